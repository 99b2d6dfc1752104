"""Replicates of Frechet distances: other rows of a sample, by one Gram matrix of its points.

For rows x_i and draws y_j, with G_xx, G_xy and G_yy their inner products and H the centring of the
rows that are chosen, each with its repetitions,

    |m_x - m_y|^2 = mean G_xx - 2 mean G_xy + mean G_yy,   tr S_x = tr(H G_xx) / (n - 1),
    tr (S_x S_y)^(1/2) = |H G_xy H|_* / sqrt((n - 1)(m - 1)),   |.|_* the nuclear norm.

A replicate re-indexes G: points are not touched again. (Where rows are more than coordinates, the
covariance of the rows that are chosen costs less.) Intervals are of *differences* of two
strategies, whose replicates share the indices of real rows: the bias of the distance, which
repeated rows enlarge, is in both. An interval of one distance would not cover its truth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.metrics.estimate import Estimate
from sourcewise.metrics.frechet import frechet_distance, refuse_few
from sourcewise.randomness import Noise

__all__ = ["Gram", "frechet_difference", "gram_of"]

REPLICATES, GROUPS = 100, 10
Replicates = Literal["bootstrap", "groups"]
Chosen = tuple[Tensor, Tensor]  # rows (n',) and draws (m',)


@dataclass(frozen=True)
class Gram:
    """Inner products of the points of two samples, about one point near both.

    Args:
        xx: (n, n).
        xy: (n, m).
        yy: (m, m).
    """

    xx: Tensor
    xy: Tensor
    yy: Tensor

    def take(self, i: Tensor, j: Tensor) -> "Gram":
        """Of the rows at i (n',) and the draws at j (m',), each with its repetitions."""
        return Gram(self.xx[i][:, i], self.xy[i][:, j], self.yy[j][:, j])

    @property
    def distance(self) -> float:
        """D; at least 0."""
        n, m = self.xy.shape
        gap = self.xx.mean() - 2 * self.xy.mean() + self.yy.mean()
        cross = self.xy - self.xy.mean(0) - self.xy.mean(1, keepdim=True) + self.xy.mean()
        norm = torch.linalg.svdvals(cross).sum() / math.sqrt((n - 1) * (m - 1))
        return max(0.0, float(gap + _trace(self.xx) + _trace(self.yy) - 2 * norm))


def _trace(G: Tensor) -> Tensor:
    """tr S by inner products of all of its n rows."""
    n = len(G)
    return (G.trace() - n * G.mean()) / (n - 1)


def gram_of(x: Tensor, y: Tensor) -> Gram:
    """Of points (n, d) and (m, d), two of each at least."""
    center = x.double().mean(0)  # smaller inner products leave more digits
    a, b = x.double() - center, y.double() - center
    return Gram(a @ a.T, a @ b.T, b @ b.T)


def frechet_difference(
    x: Tensor,
    first: Tensor,
    second: Tensor,
    noise: Noise,
    by: Replicates = "bootstrap",
    replicates: int | None = None,
) -> Estimate:
    """D of the first strategy's draws less that of the second's, with its standard error.

    - `bootstrap`: rows and draws are drawn anew, with replacement. The error is the spread of
      the replicates.
    - `groups`: each replicate leaves out one of G groups of rows and of draws. The error is
      `sqrt((G - 1) / G sum_g (t_g - mean t)^2)`.

    Draws that strategies have made by the same noise are chosen together. The interval of the
    estimate is about the difference of all rows; replicates only tell its error.

    Args:
        x: (n, d) real points.
        first: (m, d) draws.
        second: (m, d) draws, of the same noise as those of the first, or of another.
        noise: of the replicates.
        by: see above.
        replicates: how many; None: 100, or 10 groups.

    Raises:
        InputError: samples of draws of different sizes, whose bias differs, or too few rows.
    """
    if len(first) != len(second):
        raise InputError(
            f"{len(first)} and {len(second)} draws: a difference needs as many of both strategies"
        )
    refuse_few(x, first)
    choose = _bootstrapped if by == "bootstrap" else _left_out
    chosen = choose(len(x), len(first), replicates, noise)
    every = torch.arange(len(x)), torch.arange(len(first))
    one, other = (_distances(x, draws, [every, *chosen]) for draws in (first, second))
    whole, B = one - other, len(chosen)
    factor = 1.0 if by == "bootstrap" else (B - 1) ** 2 / B
    error = math.sqrt(factor * float(whole[1:].var(correction=1)))
    return Estimate(float(whole[0]), error, f"{B} paired replicates ({by})")


def _distances(x: Tensor, y: Tensor, chosen: Sequence[Chosen]) -> Tensor:
    """D of each choice of rows and draws; by points where these have few coordinates."""
    if max(len(x), len(y)) > x.shape[1]:
        found = [frechet_distance(x[i], y[j]) for i, j in chosen]
    else:
        gram = gram_of(x, y)
        found = [gram.take(i, j).distance for i, j in chosen]
    return torch.tensor(found, dtype=torch.float64)


def _bootstrapped(n: int, m: int, replicates: int | None, noise: Noise) -> list[Chosen]:
    """Rows and draws of each replicate."""
    parts = (noise.of("bootstrap", b) for b in range(replicates or REPLICATES))
    return [(part.of("rows").integers(n, n), part.of("draws").integers(m, m)) for part in parts]


def _left_out(n: int, m: int, groups: int | None, noise: Noise) -> list[Chosen]:
    """Rows and draws that each replicate keeps."""
    G = groups or GROUPS
    if not 2 <= G <= min(n, m):
        raise InputError(f"{G} groups: at least 2, and at most the {min(n, m)} rows and draws")
    rows, draws = (noise.of(what).permutation(size) % G for what, size in (("x", n), ("y", m)))
    return [
        ((rows != g).nonzero().squeeze(1), (draws != g).nonzero().squeeze(1)) for g in range(G)
    ]
