"""The localized bound for conditional Gaussians with labels that are drawn, not given.

Ours: section 2 of the project's theory, with its proof in docs/theory/gaussian.md. n pairs are
drawn from `p*(y) p*(x|y)`, `p_k` the probability of source k, `b = sum_k p_k BC_k` for a bracket
element. With probability `1 - delta` the element above the estimate has

    -log b <= a_s = (log Z_s + log(1/delta)) / (s n),   Z_s >= sum over elements of b^((1-s) n),

so `R_TV = sum_k p_k TV_k <= T(eps, a_s)`. For whole `N = (1-s) n`, b^N is a mean over multinomial
counts: see `theory.gaussian.tilt_drawn`. N = 0 counts all elements alike. The search for eps and s
starts at those of `localized`; a choice that is made before the data are seen gives a valid bound.
`refined` is a candidate, as it is for drawn labels too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.theory import checks
from sourcewise.theory.checks import Floats
from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_eta
from sourcewise.theory.gaussian.localized import Counts, best_of, localized
from sourcewise.theory.gaussian.tilt import Groups, make_cells
from sourcewise.theory.gaussian.tilt_drawn import Block, blocks_of_shares, log_z_drawn
from sourcewise.theory.general import Bound, least, refined, worst_case

__all__ = ["Shares", "localized_drawn"]

_LOOK = np.array([-1.0, 0.0, 1.0])
_STEPS = ((0.3, 0.6), (0.15, 0.3), (0.06, 0.1))  # of log eta and log N
_CHUNK = 1 << 18  # numbers per array


@dataclass(frozen=True)
class Shares:
    """Probabilities of the sources of a partition, the weights of the average; see its methods."""

    K: Floats  # (...) sources, >= 1
    J: Floats  # (...) blocks, in 1..K
    blocks: tuple[Block, ...]  # their shares, those alike together

    @classmethod
    def equal(cls, K: ArrayLike, J: ArrayLike = 1) -> "Shares":
        """`p_k = 1/K`, in J blocks of equal size; K and J broadcast.

        Args:
            K: sources, whole, >= 1.
            J: blocks, in 1..K: 1 is pooled, K is separate. Where J does not divide K, the bound
                interpolates: use `of_sizes`.
        """
        K = checks.wholes("K", K, 1)
        J = checks.wholes("J", J, 1, K)
        return cls(K, J, (Block(J, 1 / J, ((K / J, J / K),)),))

    @classmethod
    def of_sizes(cls, sizes: ArrayLike) -> "Shares":
        """`p_k = 1/K`, in blocks of these sizes.

        Args:
            sizes: (J,) sources of each block, each >= 1.
        """
        found = np.unique(checks.counts(sizes, least=1), return_counts=True)
        size, times = (part.astype(np.float64) for part in found)
        K = times @ size
        blocks = tuple(
            Block(many, each / K, ((each, 1 / each),))
            for each, many in zip(size, times, strict=True)
        )
        return cls(K, times.sum(), blocks)

    @classmethod
    def of_sources(cls, p: ArrayLike, blocks: Sequence[Sequence[int]] | None = None) -> "Shares":
        """Any probabilities; a source may be so rare that it draws no example.

        Args:
            p: (K,) probabilities of the sources, positive, summing to 1.
            blocks: sources of each block, every source once; one block of all (pooled) if None.
        """
        shares = checks.shares(p)
        groups = checks.blocks(blocks, len(shares))
        alike = blocks_of_shares(shares[group] for group in groups)
        return cls(np.array(float(len(shares))), np.array(float(len(groups))), alike)


@dataclass(frozen=True)
class _Points:
    """What is asked, (points,) each, and the blocks."""

    blocks: tuple[Block, ...]
    n: Floats
    d: int
    d1: Floats
    finer: Floats
    B: Floats
    delta: Floats

    def at(self, rows: slice | NDArray[np.bool_]) -> "_Points":
        blocks = tuple(block.map(lambda part: part[rows]) for block in self.blocks)
        parts = (self.d1, self.finer, self.B, self.delta)
        return _Points(blocks, self.n[rows], self.d, *(part[rows] for part in parts))


def localized_drawn(
    shares: Shares, n: ArrayLike, d: int, d1: ArrayLike, B: ArrayLike, delta: ArrayLike = 0.05
) -> Bound:
    """The bound for labels that are drawn, `T(eps, a_s)` for `R_TV = sum_k p_k TV_k`.

    Never above `refined`. It exceeds `localized`, which has the labels in exact shares, by ever
    less as n grows. All arguments broadcast; arguments as for `localized`.

    >>> found = localized_drawn(Shares.equal(K=5), n=5000, d=10, d1=5, B=5.0)
    >>> round(found.value, 4), round((1 - found.s) * 5000)
    (0.2852, 368)
    >>> round(localized_drawn(Shares.of_sizes([3, 2]), n=5000, d=10, d1=5, B=5.0).value, 4)
    0.3074
    >>> rare = Shares.of_sources([0.1, 0.2, 0.7])
    >>> round(localized_drawn(rare, n=5000, d=10, d1=5, B=5.0).value, 4)
    0.2409

    Args:
        shares: probabilities of the sources and their blocks.
        n: examples in all, > 0.
    """
    start = localized(Counts.equal(shares.K, n, shares.J), d, d1, B, delta)
    given = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (shares.K, n, d1, B, delta, shares.J))
    )
    shape = given[0].shape
    K, n, d1, B, delta, J = (values.ravel() for values in given)
    blocks = tuple(
        block.map(lambda part: np.broadcast_to(part, shape).ravel()) for block in shares.blocks
    )
    points = _Points(blocks, n, d, d1, J / K, B, delta)
    found = np.empty((4, len(n)))
    eps, s = np.ravel(start.epsilon), np.ravel(start.s)
    for kind in (J == 1, (J > 1) & (J == K), (J > 1) & (J < K)):  # each has its own cost
        found[:, kind] = _in_chunks(points.at(kind), eps[kind], s[kind])
    # `refined`, too, is for labels that are drawn
    whole = refined(envelope_bracketing(K * d1 + J * (d - d1), d, B), n, delta)
    return best_of("localized_drawn", found, whole.value, whole, n, delta, shape)


def _in_chunks(points: _Points, eps: Floats, s: Floats) -> Floats:
    nested = any(block.nested for block in points.blocks)
    step = max(1, _CHUNK // (9 * 56 * (56 if nested else 1)))  # eta and N, edges, edges
    parts = [np.empty((4, 0))]
    for low in range(0, len(eps), step):
        at = slice(low, low + step)
        parts.append(_search(points.at(at), eps[at], s[at]))
    return np.concatenate(parts, axis=1)


def _search(points: _Points, eps: Floats, s: Floats) -> Floats:
    """Value, eps, s, log Z_s at the best place found about the start: (4, points)."""
    log_eta, N = np.log(gaussian_eta(np.maximum(eps, 1e-300), points.d)), (1 - s) * points.n
    widest, most = np.log(gaussian_eta(1.0, points.d)), np.ceil(points.n) - 1
    best = None
    for eta_step, N_step in _STEPS:
        etas = np.minimum(log_eta[:, None] + eta_step * _LOOK, widest)
        sizes = np.clip(np.rint(N[:, None] * np.exp(N_step * _LOOK)), 0, most[:, None])
        found = _best_of(points, etas, sizes)
        best = found if best is None else np.where(found[0] < best[0], found, best)
        log_eta, N = best[4:]
    assert best is not None
    return best[:4]


def _best_of(points: _Points, log_eta: Floats, N: Floats) -> Floats:
    """Value, eps, s, log Z_s, log eta, N of the best pair: (6, points)."""
    unused = np.zeros((len(N), 0))
    groups = Groups(unused, unused, np.zeros(0, bool), points.d1[:, None], points.finer[:, None])
    own, rest, eps = make_cells(groups, np.exp(log_eta), points.d, points.B)
    N, n = N[:, None, :], points.n[:, None, None]
    log_number = log_z_drawn(points.blocks, own, rest, points.d, points.d1[:, None, None], N)
    a = np.maximum(log_number - np.log(points.delta)[:, None, None], 0) / (n - N)
    value = worst_case(eps, a)
    return least(value, eps, 1 - N / n, log_number, log_eta[:, :, None], N)
