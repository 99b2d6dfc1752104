"""The energy distance between held-out rows and draws of a source's model.

It is the distance of `projections` whose pairs are Euclidean distances of points (see
`metrics.features`),

    D = 2 mean_ij |x_i - y_j| - mean_ii' |x_i - x_i'| - mean_jj' |y_j - y_j'|,   i != i', j != j'

(Szekely and Rizzo, "Energy statistics", 2013). Its expectation is above 0 where the laws differ.

Half the width of practical equivalence is 2 % of the baseline's distance, and at least .1 % of how
far rows are from each other under a standard normal: where models are good the distance itself is
near 0, and says nothing of what matters. All means off by .045 standard deviations come to that.
"""

import math

from torch import Tensor

from sourcewise.metrics import projections
from sourcewise.metrics.base import Contributions, HeldOut, Metric, Trained
from sourcewise.metrics.pairs import distances
from sourcewise.metrics.projections import PARTS, PermutationTest
from sourcewise.randomness import Noise

__all__ = ["METRIC", "contributions", "energy_distance", "measure", "permutation_test", "spread"]

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
    return projections.measure(trained, held_out, noise, distances)


def contributions(x: Tensor, draws: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
    """(n,) a_i of each row, and (m,) what each draw adds; see `projections.contributions`.

    Of one row alone it is the energy score.
    """
    return projections.contributions(x, draws, distances, noise)


def energy_distance(x: Tensor, y: Tensor) -> float:
    """D between two samples of points, (n, D) and (m, D), two of each at least; without bias.

    >>> energy_distance(Tensor([[0.0], [1.0]]), Tensor([[0.0], [3.0]]))
    -1.0
    """
    return projections.distance(x, y, distances)


def permutation_test(
    x: Tensor, y: Tensor, noise: Noise, permutations: int = 999
) -> PermutationTest:
    """Exact test of equal laws, see `projections.permutation_test`."""
    return projections.permutation_test(x, y, distances, noise, permutations)
