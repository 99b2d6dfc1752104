"""Rows in pieces: what lets one matrix product serve all rows, sources and fits at once.

A Gaussian log density is linear in the features `f(z) = (1, z_i, z_i z_j for i <= j)`, so those of
T components at n rows are one product (n, F) x (F, T), and the sums over rows that EM asks for are
another, (T, n) x (n, F). Components differ between sources, and with the columns that a row has:
rows are cut into pieces of one source and one pattern of gaps, of at most L rows each, and padded.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.gaps import patterns

__all__ = ["Pieces", "features", "symmetric"]

LENGTHS = tuple(2**i for i in range(3, 11))  # of pieces
OVERHEAD = 8  # rows that cost what a piece costs
PAIRS: dict[int, tuple[Tensor, Tensor]] = {}


def _pairs(D: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the upper triangle."""
    if D not in PAIRS:
        i, j = torch.triu_indices(D, D)
        PAIRS[D] = (i, j)
    return PAIRS[D]


def features(z: Tensor) -> Tensor:
    """(..., F) `(1, z_i, z_i z_j for i <= j)` of (..., D), F = 1 + D + D (D + 1) / 2."""
    i, j = _pairs(z.shape[-1])
    return torch.cat([torch.ones_like(z[..., :1]), z, z[..., i] * z[..., j]], -1)


def symmetric(v: Tensor, D: int) -> Tensor:
    """(..., D, D) of upper triangles (..., D (D + 1) / 2)."""
    i, j = _pairs(D)
    out = v.new_empty(*v.shape[:-1], D, D)
    out[..., i, j] = v
    out[..., j, i] = v
    return out


def quadratic(P: Tensor) -> Tensor:
    """(..., D (D + 1) / 2) coefficients of `-1/2 z' P z` in the products of features."""
    i, j = _pairs(P.shape[-1])
    return -P[..., i, j] * torch.where(i == j, 0.5, 1.0)


def _length(counts: Tensor) -> int:
    """The length of pieces under which groups of rows, so many each, cost least."""
    lengths = [L for L in LENGTHS if L < counts.max()] + [min(int(counts.max()), LENGTHS[-1])]
    costs = [int(((counts + L - 1) // L).sum()) * (L + OVERHEAD) for L in lengths]
    return lengths[costs.index(min(costs))]


@dataclass(frozen=True)
class Pieces:
    """Rows of K sources, cut and padded.

    Args:
        features: (B, L, F) of B pieces; 0 where a piece has no row, and of columns with gaps.
        row: (B, L) which row of the sample; -1 for none.
        pair: (B,) the pair of source and pattern of each piece.
        source: (U,) of each pair.
        pattern: (U,) of each pair.
        observed: (Q, D) the columns that rows of each pattern have.
        K: number of sources.
        n: number of rows of the sample.
    """

    features: Tensor
    row: Tensor
    pair: Tensor
    source: Tensor
    pattern: Tensor
    observed: Tensor
    K: int
    n: int

    @property
    def D(self) -> int:
        """Columns."""
        return self.observed.shape[1]

    @property
    def whole(self) -> bool:
        """Whether no row has a gap."""
        return bool(self.observed.all())

    @classmethod
    def of(cls, z: Tensor, y: Tensor, K: int) -> "Pieces":
        """Of rows (n, D) with gaps (NaN) and their sources y (n,)."""
        missing, which = patterns(z.isnan())
        observed = ~missing
        pairs, pair = (y * len(observed) + which).unique(return_inverse=True)
        counts = torch.bincount(pair, minlength=len(pairs))
        L = _length(counts)
        order = torch.argsort(pair, stable=True)
        start = counts.cumsum(0) - counts
        within = torch.empty_like(pair)
        within[order] = torch.arange(len(pair)) - start[pair[order]]
        pieces = (counts + L - 1) // L
        first = pieces.cumsum(0) - pieces
        B = int(pieces.sum())
        row = torch.full((B, L), -1)
        row[first[pair] + within // L, within % L] = torch.arange(len(pair))
        found = features(z.nan_to_num(0.0)[row.clamp(min=0)]) * (row >= 0)[..., None]
        owner = torch.repeat_interleave(torch.arange(len(pairs)), pieces)
        Q = len(observed)
        return cls(found, row, owner, pairs // Q, pairs % Q, observed, K, len(y))

    def laid(self, v: Tensor) -> Tensor:
        """(B, L, ...) values of rows (n, ...) where the rows are; 0 where there is none."""
        kept = (self.row >= 0).view(*self.row.shape, *[1] * (v.ndim - 1))
        return torch.where(kept, v[self.row.clamp(min=0)], 0)

    def only(self, kept: Tensor) -> tuple["Pieces", Tensor]:
        """The pieces of some sources (K',), which are numbered anew, and which pieces they are."""
        number = torch.full((self.K,), -1)
        number[kept] = torch.arange(len(kept))
        pairs = number[self.source] >= 0
        at = pairs[self.pair].nonzero().squeeze(1)
        pair = (pairs.cumsum(0) - 1)[self.pair[at]]
        source, pattern = number[self.source[pairs]], self.pattern[pairs]
        where = self.features[at], self.row[at], pair, source, pattern
        return Pieces(*where, self.observed, len(kept), self.n), at
