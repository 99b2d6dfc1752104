"""Distances between two samples that are linear in pairs, by their Hajek projections.

Of a symmetric function d of pairs, such as their distance or minus a kernel, rows x_1, ..., x_n
and draws y_1, ..., y_m, the distance of two samples is without bias

    D = 2 mean_ij d(x_i, y_j) - mean_ii' d(x_i, x_i') - mean_jj' d(y_j, y_j'),   i != i', j != j'

It is 0 in expectation where the laws are equal, and may come out below 0 by noise. Row i
contributes its Hajek projection

    a_i = 2 mean_j d(x_i, y_j) - 2 mean_i' d(x_i, x_i')
          + mean_ii' d(x_i, x_i') - mean_jj' d(y_j, y_j')

whose mean is D: the spread of the a_i over rows tells how far D would be from its expectation
with other rows. Other draws would change D by an error that all rows share. Projections on the
draws tell it alike, averaged over 20 parts of the draws: strategies draw by the same streams, so
that the errors of two of them are much the same, and what is left of them in their difference is
that of the differences of parts. Between two strategies the terms of rows alone cancel, to the
bit.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.base import Contributions, HeldOut, Trained
from sourcewise.metrics.draws import as_points, points_of_draws, usual_counts
from sourcewise.metrics.pairs import Pairs, apart, within
from sourcewise.randomness import Noise

__all__ = ["PARTS", "PermutationTest", "contributions", "distance", "measure", "permutation_test"]

PARTS = 20  # of the draws, whose spread tells their error
TOGETHER = 500  # points of a sample that are compared with each other; more are parted


def measure(trained: Trained, held_out: HeldOut, noise: Noise, pairs: Pairs) -> Contributions:
    """What each row contributes, and the error that a source's draws leave."""
    y, features, model = held_out.batch.y, trained.features, trained.model
    assert features is not None
    assert isinstance(model, PartitionedModel)
    points = as_points(features, held_out.x, held_out.batch.c)
    rows, shared = points.new_zeros(len(y)), points.new_zeros(len(model.names), 3 + PARTS)
    sources, counts = y.unique(return_counts=True)
    m = usual_counts(model, counts)
    for k, drawn in points_of_draws(trained, features, sources, m, noise.of("draws")):
        mine = y == k
        rows[mine], of_draws = contributions(points[mine], drawn, pairs, noise.of("parts", k))
        shared[k, 3:] = torch.stack([of_draws[b::PARTS].mean() for b in range(PARTS)])
    return Contributions(rows, shared)


def contributions(
    x: Tensor, draws: Tensor, pairs: Pairs, noise: Noise | None = None
) -> tuple[Tensor, Tensor]:
    """(n,) a_i of each row, and (m,) what each draw adds to their mean, beside a constant.

    Of one row alone, which tells no spread, it is a score: what rows are apart counts 0.

    Args:
        x: (n, D) points of rows.
        draws: (m, D) points of draws, m >= 2.
        pairs: d.
        noise: of the parts in which more than `TOGETHER` points of a sample are compared with
            each other, which keeps the estimate without bias; seed 0 if None.
    """
    to_draws, to_rows = apart(x, draws, pairs)
    noise = noise or Noise(0)
    own, among = (_within_parts(points, pairs, noise) for points in (x, draws))
    rows = 2 * (to_draws - own) + own.mean() - among.mean()
    return rows, 2 * (to_rows - among)


def _within_parts(x: Tensor, pairs: Pairs, noise: Noise) -> Tensor:
    """(n,) the mean of d of each point and the others of its part, drawn at random."""
    if len(x) <= TOGETHER:
        return within(x, pairs)
    out = torch.empty_like(x[:, 0])
    for part in noise.permutation(len(x)).chunk(math.ceil(len(x) / TOGETHER)):
        out[part] = within(x[part], pairs)
    return out


def distance(x: Tensor, y: Tensor, pairs: Pairs) -> float:
    """D between two samples of points, (n, D) and (m, D), two of each at least; without bias."""
    return float(
        2 * apart(x, y, pairs)[0].mean() - within(x, pairs).mean() - within(y, pairs).mean()
    )


@dataclass(frozen=True)
class PermutationTest:
    """Whether two samples are of one law.

    Args:
        value: D between them.
        p: share of the permutations, the identity among them, whose D is at least as large.
    """

    value: float
    p: float


def permutation_test(
    x: Tensor, y: Tensor, pairs: Pairs, noise: Noise, permutations: int = 999
) -> PermutationTest:
    """Exact test of equal laws: labels of the points of both samples are permuted.

    All permutations at once: with d between all points (0 of a point and itself) and a column of
    `s` for each permutation, 1 for points that x gets, `s' d s` is one product of matrices.

    Args:
        x: (n, D) points, n >= 2.
        y: (m, D) points, m >= 2.
        pairs: d.
        noise: of the permutations.
        permutations: beside the identity.
    """
    both, n, m = torch.cat([x, y]).double(), len(x), len(y)
    d = pairs(both, both).fill_diagonal_(0)
    first = torch.zeros(n + m, permutations + 1, dtype=torch.float64)
    first[:n, 0] = 1.0
    for i in range(permutations):
        first[noise.of(i).permutation(n + m)[:n], i + 1] = 1.0
    to_first = d @ first  # (n + m, P + 1)
    inside, crossing = (first * to_first).sum(0), ((1 - first) * to_first).sum(0)
    outside = d.sum() - inside - 2 * crossing
    D = 2 * crossing / (n * m) - inside / (n * (n - 1)) - outside / (m * (m - 1))
    rounding = 1e-12 * float(D.abs().max())
    return PermutationTest(float(D[0]), float((D >= D[0] - rounding).double().mean()))
