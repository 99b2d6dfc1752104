"""The energy distance between held-out rows and draws of a source's model.

For rows x_1, ..., x_n of a source and m draws y_1, ..., y_m of its model, as points (see
`metrics.features`), the distance is without bias

    D = 2 mean_ij |x_i - y_j| - mean_ii' |x_i - x_i'| - mean_jj' |y_j - y_j'|,   i != i', j != j'

(Szekely and Rizzo, "Energy statistics", 2013). It is 0 in expectation where the laws are equal,
above 0 where they differ, and may come out below 0 by noise. Row i contributes its Hajek
projection

    a_i = 2 mean_j |x_i - y_j| - 2 mean_i' |x_i - x_i'|
          + mean_ii' |x_i - x_i'| - mean_jj' |y_j - y_j'|

whose mean is D: the spread of the a_i over rows tells how far D would be from its expectation
with other rows. Other draws would change D by an error that all rows share. Projections on the
draws tell it alike, averaged over 20 parts of the draws: strategies draw by the same streams, so
that the errors of two of them are much the same, and what is left of them in their difference is
that of the differences of parts. Between two strategies the terms of rows alone cancel, to the
bit.

Half the width of practical equivalence is 2 % of the baseline's distance, and at least .1 % of how
far rows are from each other under a standard normal: where models are good the distance itself is
near 0, and says nothing of what matters. All means off by .045 standard deviations come to that.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.families.partitioned import PartitionedModel
from sourcewise.forms import X
from sourcewise.metrics.base import Contributions, HeldOut, Metric, Trained
from sourcewise.metrics.features.base import Features
from sourcewise.metrics.pairs import apart, distances, within
from sourcewise.randomness import Noise

__all__ = ["METRIC", "contributions", "energy_distance", "measure", "permutation_test", "spread"]

DRAWS, FEWEST, MOST = 8, 1024, 4000  # for each held-out row; of a source, at least and at most
SLOW_DRAWS, FEWEST_SLOW = 4, 128  # likewise, of models whose draws take long
AT_ONCE = 1 << 15  # draws of several sources
PARTS = 20  # of the draws, whose spread tells their error
TOGETHER = 500  # points of a sample that are compared with each other; more are parted
SHARE, FLOOR = 0.02, 0.001


def spread(d: int) -> float:
    """Mean distance of two rows of a standard normal in d columns: `2 G((d+1)/2) / G(d/2)`.

    >>> round(spread(1), 4)  # 2 / sqrt(pi)
    1.1284
    """
    return 2 * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))


METRIC = Metric(
    name="energy-distance",
    about="energy distance between held-out rows and draws",
    needs="samples",
    higher_is_better=False,
    home="sourcewise.metrics.energy_distance:measure",
    unit=lambda coding: "standard deviations",
    region=lambda coding, baseline: max(SHARE * abs(baseline), FLOOR * spread(coding.coordinates)),
    features=True,
    per_unit=False,
    remedy="more draws of the models",
    parts=PARTS,
)


def measure(trained: Trained, held_out: HeldOut, noise: Noise) -> Contributions:
    """What each row contributes, and the error that a source's draws leave."""
    y, features, model = held_out.batch.y, trained.features, trained.model
    assert features is not None
    assert isinstance(model, PartitionedModel)
    points = _points(features, held_out.x, held_out.batch.c)
    rows, shared = points.new_zeros(len(y)), points.new_zeros(len(model.names), 3 + PARTS)
    slow = model.block(0).slow_draws
    for k, drawn in _draws(trained, features, y, slow, noise.of("draws")):
        mine = y == k
        rows[mine], of_draws = contributions(points[mine], drawn, noise.of("parts", k))
        shared[k, 3:] = torch.stack([of_draws[b::PARTS].mean() for b in range(PARTS)])
    return Contributions(rows, shared)


def _draws(
    trained: Trained, features: Features, y: Tensor, slow: bool, noise: Noise
) -> Iterator[tuple[int, Tensor]]:
    """Every source among y with the points of its draws; some sources are drawn at a time."""
    sources, counts = y.unique(return_counts=True)
    each, fewest = (SLOW_DRAWS, FEWEST_SLOW) if slow else (DRAWS, FEWEST)
    m = (each * counts).clamp(fewest, MOST)
    for part in torch.arange(len(sources)).split(max(1, AT_ONCE // int(m.max()))):
        of = sources[part].repeat_interleave(m[part])
        number = torch.cat([torch.arange(n) for n in m[part].tolist()])  # of a source's draws
        drawn = _points(features, *trained.draw(of, noise.each(of, number)))
        points = drawn.split(m[part].tolist())
        yield from zip(sources[part].tolist(), points, strict=True)


def _points(features: Features, x: X, c: Tensor | None) -> Tensor:
    """Of rows with what is given beside them: the distance is between laws of both."""
    points = features(x)
    return points if c is None else torch.cat([points, c], 1)


def contributions(x: Tensor, draws: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
    """(n,) a_i of each row, and (m,) what each draw adds to their mean, beside a constant.

    Of one row alone, which tells no spread, it is the energy score: what rows are apart counts 0.

    Args:
        x: (n, D) points of rows.
        draws: (m, D) points of draws, m >= 2.
        noise: of the parts in which more than `TOGETHER` points of a sample are compared with
            each other, which keeps the estimate without bias; seed 0 if None.
    """
    to_draws, to_rows = apart(x, draws)
    noise = noise or Noise(0)
    own, among = (_within_parts(points, noise) for points in (x, draws))
    rows = 2 * (to_draws - own) + own.mean() - among.mean()
    return rows, 2 * (to_rows - among)


def _within_parts(x: Tensor, noise: Noise) -> Tensor:
    """(n,) the mean distance of each point to the others of its part, drawn at random."""
    if len(x) <= TOGETHER:
        return within(x)
    out = torch.empty_like(x[:, 0])
    for part in noise.permutation(len(x)).chunk(math.ceil(len(x) / TOGETHER)):
        out[part] = within(x[part])
    return out


def energy_distance(x: Tensor, y: Tensor) -> float:
    """D between two samples of points, (n, D) and (m, D), two of each at least; without bias.

    >>> energy_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [3.0]]))
    -1.0
    """
    return float(2 * apart(x, y)[0].mean() - within(x).mean() - within(y).mean())


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
    x: Tensor, y: Tensor, noise: Noise, permutations: int = 999
) -> PermutationTest:
    """Exact test of equal laws: labels of the points of both samples are permuted.

    All permutations at once: with the distances d between all points and a column of `s` for
    each permutation, 1 for points that x gets, `s' d s` is one product of matrices.

    Args:
        x: (n, D) points, n >= 2.
        y: (m, D) points, m >= 2.
        noise: of the permutations.
        permutations: beside the identity.
    """
    both, n, m = torch.cat([x, y]).double(), len(x), len(y)
    d = distances(both, both)
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
