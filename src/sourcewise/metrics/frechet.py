"""The Frechet distance of two samples of points: of the normal laws with their moments.

    D = |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))

(Heusel et al., "GANs trained by a two time-scale update rule", 2017; with the features of an
Inception network it is FID). The last trace is a nuclear norm: of `L_1' L_2` for any factors
S = L L'. There are three ways to it, in float64 throughout:

- covariances of full rank: with L the Cholesky factor of S_1 it is the sum of the roots of the
  eigenvalues of `L' S_2 L`, which is symmetric;
- covariances that are singular: the singular values of `L_1' L_2`, L of as many columns as S has
  rank. Roots of eigenvalues would make 1e-8 of each rounded zero;
- fewer rows than coordinates: the singular values of `A B'`, A and B the centred points over
  `sqrt(n - 1)`: the cost is in rows, and no covariance is made.

**The distance is biased upward, the more the fewer rows there are**: two samples of one normal law
of n rows each have about `2 d / n + d (d + 1) / (2 (n - 1))` between them. So both samples have
the same number of rows, and beside it stands what two halves of the real rows have between them
(`floor`). It is shown and never decides.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.base import HeldOut, Metric, Trained
from sourcewise.metrics.draws import points_by_source
from sourcewise.metrics.summary import Summary
from sourcewise.randomness import Noise

__all__ = [
    "METRIC",
    "Floor",
    "equal_rows",
    "floor",
    "frechet_between",
    "frechet_distance",
    "real_floor",
    "refuse_few",
    "values",
]

SMALLEST_PIVOT = 1e-6  # of a Cholesky factor, relative to the largest: below, S counts as singular
HALVINGS = 10
BLOCK = 1 << 12  # points that are centred at once


METRIC = Metric(
    name="frechet-distance",
    about="Frechet distance between held-out rows and as many draws; biased where rows are few",
    needs="samples",
    higher_is_better=False,
    home="sourcewise.metrics.frechet:values",
    unit=lambda coding: "variances",
    region=lambda coding, baseline: 0.02 * abs(baseline),
    decides=False,
    features=True,
    per_unit=False,
)


def values(trained: Trained, held_out: HeldOut, noise: Noise) -> Tensor:
    """(K,) the distance of each source; NaN of one with fewer than two rows."""
    assert isinstance(trained.model, PartitionedModel)
    out = torch.full((len(trained.model.names),), torch.nan, dtype=torch.float64)
    for k, rows, drawn in points_by_source(trained, held_out, noise):
        out[k] = frechet_distance(rows, drawn) if len(rows) > 1 else torch.nan
    return out


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """D between two samples of points, by the way that costs less.

    >>> frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [7.0]]))
    25.0

    Args:
        x: (n, d), n >= 2.
        y: (m, d), m >= 2; bias is alike where m = n, see `equal_rows`.
    """
    if max(len(x), len(y)) <= x.shape[1]:
        return _by_rows(x, y)
    return frechet_between(Summary.of(x.split(BLOCK)), Summary.of(y.split(BLOCK)))


def _by_rows(x: Tensor, y: Tensor) -> float:
    """D by the nuclear norm of `A B'`."""
    refuse_few(x, y)
    means = x.double().mean(0), y.double().mean(0)
    A, B = (
        (points.double() - mean) / math.sqrt(len(points) - 1)
        for points, mean in zip((x, y), means, strict=True)
    )
    gap = (means[0] - means[1]).square().sum()
    traces = A.square().sum() + B.square().sum()
    return max(0.0, float(gap + traces - 2 * torch.linalg.svdvals(A @ B.T).sum()))


def refuse_few(*samples: Tensor) -> None:
    """A covariance needs two rows.

    Raises:
        InputError: one of the samples has fewer.
    """
    if (few := min(map(len, samples))) < 2:
        raise InputError(f"a Frechet distance needs 2 rows of each sample, and one has {few}")


def frechet_between(first: Summary, second: Summary) -> float:
    """D between two samples by their means and covariances; at least 0, finite at any rank."""
    gap = (first.mean - second.mean).square().sum()
    traces = first.covariance.trace() + second.covariance.trace()
    return max(0.0, float(gap + traces - 2 * _root(first.covariance, second.covariance)))


def _root(S: Tensor, T: Tensor) -> Tensor:
    """`tr (S T)^(1/2)`."""
    L, failed = torch.linalg.cholesky_ex(S)
    if not failed and _full(L) and _full(torch.linalg.cholesky_ex(T)[0]):
        return torch.linalg.eigvalsh(L.T @ T @ L).clamp(min=0).sqrt().sum()
    return torch.linalg.svdvals(_factor(S).T @ _factor(T)).sum()


def _full(L: Tensor) -> bool:
    """Whether a Cholesky factor is of a matrix of full rank, far from rounding."""
    pivots = L.diagonal()
    return bool((pivots > SMALLEST_PIVOT * pivots.max()).all())


def _factor(S: Tensor) -> Tensor:
    """(d, r) with L L' = S, of as many columns as S has rank (one at least)."""
    square, axes = torch.linalg.eigh(S)
    kept = square > len(S) * torch.finfo(S.dtype).eps * square[-1]
    kept[-1] = True
    return axes[:, kept] * square[kept].clamp(min=0).sqrt()


def equal_rows(x: Tensor, y: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """Both samples with as many rows as the smaller has: of the larger, some at random."""
    n = min(len(x), len(y))
    first, second = (
        points if len(points) == n else points[noise.of(which).permutation(len(points))[:n]]
        for which, points in (("x", x), ("y", y))
    )
    return first, second


@dataclass(frozen=True)
class Floor:
    """The distance of real rows from real rows, beside that of draws, at one number of rows.

    Args:
        real: mean D between two halves of the real rows.
        drawn: mean D between a half of the real rows and as many draws.
        n: rows of a half.
    """

    real: float
    drawn: float
    n: int


def real_floor(x: Tensor, n: int, noise: Noise, halvings: int = HALVINGS) -> float:
    """Mean D between n rows and n others of x (N, d), N >= 2 n, over some random choices."""
    order = [noise.of(i).permutation(len(x)) for i in range(halvings)]
    found = [frechet_distance(x[rows[:n]], x[rows[n : 2 * n]]) for rows in order]
    return float(torch.tensor(found, dtype=torch.float64).mean())


def floor(x: Tensor, draws: Tensor, noise: Noise, halvings: int = HALVINGS) -> Floor:
    """What D comes to for real rows, with the bias that draws have.

    Args:
        x: (N, d) real points, N >= 4.
        draws: (M, d), M >= N // 2.
        noise: of the halves.
        halvings: random ones that are averaged over.

    Raises:
        InputError: too few rows or draws.
    """
    n = len(x) // 2
    if n < 2 or len(draws) < n:
        raise InputError(
            f"a floor needs 4 real rows and half as many draws, and there are {len(x)} rows "
            f"and {len(draws)} draws"
        )
    found = []
    for i in range(halvings):
        rows, drawn = (noise.of(i, j).permutation(len(p)) for j, p in enumerate((x, draws)))
        half = x[rows[:n]]
        others = x[rows[n : 2 * n]], draws[drawn[:n]]
        found.append([frechet_distance(half, other) for other in others])
    real, drawn = torch.tensor(found, dtype=torch.float64).mean(0).tolist()
    return Floor(real, drawn, n)
