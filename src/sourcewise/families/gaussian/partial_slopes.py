"""Slopes of each source on given columns, drawn towards those of all.

With rows x and given columns c about their sources' means, c in units in which its covariance
within sources is the identity, and W the covariance of x that a pooled fit leaves,

    x | c, y = k  ~  N(B_k c, W),   B_k = B + a matrix normal of covariances W and I / r

so that the common slopes B count as r rows. With G_k = sum c c', H_k = sum c x' of source k,

    E[B_k]' = (G_k + r I)^-1 (H_k + r B'),
    B' = (sum_k r (G_k + r I)^-1 G_k)^-1  sum_k r (G_k + r I)^-1 H_k

(generalised least squares). The slopes are averaged over a ladder of r, weighed by how likely each
is, with B integrated out (Lindley and Smith, "Bayes estimates for the linear model", 1972). What
the slopes may be wrong by does not widen the density.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["STRENGTHS", "PartialSlopes", "partial_slopes"]

STRENGTHS = tuple(2.0**i for i in range(-12, 21))  # rows that the common slopes may count as
ALIKE = 1e-10  # variances of c, relative to the largest, below which columns depend


@dataclass(frozen=True)
class PartialSlopes:
    """Slopes of K sources.

    Args:
        slopes: E[B_k], (K, d, C).
        share: (K,) that the common slopes have in each, from 0 to 1.
        strength: (G,) how likely each of `STRENGTHS` is.
    """

    slopes: Tensor
    share: Tensor
    strength: Tensor


def partial_slopes(x: Tensor, c: Tensor, y: Tensor, K: int, scale_tril: Tensor) -> PartialSlopes:
    """Slopes from the rows of K sources.

    Args:
        x: (n, d) rows.
        c: (n, C) their given columns.
        y: (n,) their sources.
        K: number of sources.
        scale_tril: (d, d) Cholesky factor of W.
    """
    x, c = _centred(x, y, K), _centred(c, y, K)
    white = torch.linalg.solve_triangular(scale_tril, x.T, upper=False).T
    values, vectors = torch.linalg.eigh(c.T @ c / len(c))
    kept = values > ALIKE * values.max()
    units = vectors[:, kept] / values[kept].sqrt()  # (C, q)
    of = _Sums.of(white, c @ units, y, K)
    fits = [of.fit(r) for r in STRENGTHS]
    strength = torch.stack([fit[2] for fit in fits]).softmax(0)
    slopes = sum(w * fit[0] for w, fit in zip(strength, fits, strict=True))
    share = sum(w * fit[1] for w, fit in zip(strength, fits, strict=True))
    assert isinstance(slopes, Tensor)
    assert isinstance(share, Tensor)
    return PartialSlopes(scale_tril @ slopes.mT @ units.T, share, strength)


def _centred(v: Tensor, y: Tensor, K: int) -> Tensor:
    """About the means of the sources."""
    sums = v.new_zeros(K, v.shape[1]).index_add_(0, y, v)
    return v - (sums / torch.bincount(y, minlength=K).clamp(min=1)[:, None])[y]


@dataclass(frozen=True)
class _Sums:
    """Sums over the rows of K sources, of whitened x and c."""

    G: Tensor  # (K, q, q) sum c c'
    H: Tensor  # (K, q, d) sum c x'
    xx: Tensor  # (,) sum |x|^2

    @classmethod
    def of(cls, x: Tensor, c: Tensor, y: Tensor, K: int) -> "_Sums":
        order = torch.argsort(y, stable=True)
        each = order.split(torch.bincount(y, minlength=K).tolist())
        G = torch.stack([c[rows].T @ c[rows] for rows in each])
        H = torch.stack([c[rows].T @ x[rows] for rows in each])
        return cls(G, H, x.square().sum())

    def fit(self, r: float) -> tuple[Tensor, Tensor, Tensor]:
        """Slopes (K, q, d), shares (K,), and the log-likelihood (,) of r, less a constant."""
        G, H = self.G, self.H
        q, d = H.shape[1:]
        total = G + r * torch.eye(q, dtype=G.dtype)
        drawn = r * torch.linalg.inv(total)  # (K, q, q)
        M = drawn @ G
        B = torch.linalg.solve(M.sum(0), (drawn @ H).sum(0))  # (q, d)
        left = H - G @ B
        squares = self.xx - 2 * (B * H.sum(0)).sum() + (B * (G.sum(0) @ B)).sum()
        squares = squares - (left * (drawn @ left)).sum() / r
        dets = torch.logdet(total / r).sum() + torch.logdet(M.sum(0))
        slopes = drawn @ (H / r + B)
        return slopes, drawn.diagonal(dim1=1, dim2=2).mean(1), -(squares + d * dets) / 2
