"""Draws of every strategy, measured source by source beside new rows.

All strategies draw by the same noise, and the same rows and draws are left out where a metric
takes as many of both: differences between strategies are paired.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.lifecycle.draws.asked import DrawsAsked
from sourcewise.lifecycle.draws.rows import Examples, PointRows, Tick, drawn
from sourcewise.lifecycle.score import Scored
from sourcewise.metrics import energy_distance, kernel_distance
from sourcewise.metrics.base import Metric
from sourcewise.metrics.frechet import equal_rows, floor, frechet_distance
from sourcewise.metrics.frechet_replicates import frechet_difference
from sourcewise.metrics.manifold import NEIGHBOURS, expected_coverage, manifold
from sourcewise.metrics.memorisation import memorisation
from sourcewise.metrics.projections import PARTS
from sourcewise.randomness import Noise
from sourcewise.statistics import Interval

__all__ = ["LINEAR", "Measured", "Value", "measured", "parts_of", "shown"]

# What is linear in contributions of rows, and so has intervals like any other score of rows.
LINEAR = {
    module.METRIC.key: (module.METRIC, module.contributions)
    for module in (energy_distance, kernel_distance)
}
HALVED, GROUPS = 4, 10  # rows that are halved, at least; groups of them that replicates leave out


@dataclass(frozen=True)
class Value:
    """A number of draws, and what draws from the truth have on average, where that is known."""

    value: float
    expected: float | None = None


@dataclass(frozen=True)
class Measured:
    """The draws of a strategy; filled source by source.

    Args:
        linear: by metric, contributions of the rows and errors of draws, as scores have them.
        shown: by source, the numbers that have no intervals, by name.
        gaps: by source, how much less the Frechet distance is than that of the baseline.
        kept: by source, draws that a classifier may learn from.
    """

    linear: dict[str, Scored]
    shown: dict[int, dict[str, Value]] = field(default_factory=dict)
    gaps: dict[int, Interval | float] = field(default_factory=dict)
    kept: dict[int, Examples] = field(default_factory=dict)

    @classmethod
    def begun(cls, scored: Scored, trained: TrainedStrategy) -> "Measured":
        """Nothing measured yet, of the rows that were scored."""
        return cls({key: _empty(scored, trained, metric) for key, (metric, _) in LINEAR.items()})

    @property
    def sources(self) -> list[int]:
        """Those with draws, in order."""
        return sorted(self.shown)

    def add(
        self, k: int, rows: Tensor, draws: Examples, training: Tensor | None, noise: Noise
    ) -> None:
        """The draws of a source."""
        for key, (_, contributions) in LINEAR.items():
            item = self.linear[key]
            at = (item.data.y == k).numpy()
            each, of_draws = contributions(rows, draws.points, noise.of("parts"))
            item.rows[at] = each.numpy()
            item.error[k, 3:] = parts_of(of_draws).numpy()
        self.shown[k] = shown(rows, draws.points, training, noise)
        self.kept[k] = draws


def parts_of(of_draws: Tensor) -> Tensor:
    """(20,) numbers whose spread is that of the mean of the draws: `var / 20 = var(draws) / m`.

    They are means of 20 parts of the draws (m,), which is so in expectation. Of fewer draws, with
    d their deviations from their mean, `d sqrt(20 * 19 / (m (m - 1)))` and zeros, which is exact.
    Either is linear in the draws: differences of two strategies have those of the differences.
    """
    m = len(of_draws)
    if m >= PARTS:
        return torch.stack([of_draws[b::PARTS].mean() for b in range(PARTS)])
    factor = math.sqrt(PARTS * (PARTS - 1) / (m * (m - 1)))
    return pad(factor * (of_draws - of_draws.mean()), (0, PARTS - m))


def _empty(scored: Scored, trained: TrainedStrategy, metric: Metric) -> Scored:
    n, K = len(scored.data), scored.data.K
    return replace(
        scored,
        metric=metric,
        unit=metric.unit(trained.encoder.coding),
        sizes=np.ones(n),
        rows=np.full(n, np.nan),
        error=np.zeros((K, 3 + PARTS)),
    )


def measured(
    real: PointRows,
    models: Mapping[str, TrainedStrategy],
    scored: Mapping[str, Scored],
    baseline: str,
    asked: DrawsAsked,
    seed: int,
    tick: Tick,
) -> dict[str, Measured]:
    """Draw and measure; `tick` is called after each source of each strategy."""
    noise = Noise(seed).of("evaluate", "draws")
    found = {name: Measured.begun(scored[name], item) for name, item in models.items()}
    for k in real.sources:
        rows, training = real.of_source(k).points, real.training_of(k)
        others = None if training is None else training.points
        draws: dict[str, Examples] = {}
        for name, trained in models.items():
            if trained.model.routes[k, 0] >= 0:
                draws[name] = drawn(trained, real.features, k, asked, seed)
                found[name].add(k, rows, draws[name], others, noise.of(k))
            tick()
        for name in draws:
            if name != baseline and baseline in draws:
                pair = draws[baseline].points, draws[name].points
                found[name].gaps[k] = _gap(rows, *pair, noise.of(k))
    return found


def shown(rows: Tensor, draws: Tensor, training: Tensor | None, noise: Noise) -> dict[str, Value]:
    """The numbers of a source that have no intervals: what there are rows enough for.

    Args:
        rows: (n, D) points, n >= 2.
        draws: (m, D), m >= 2.
        training: (N, D) of the training rows of the source, if there are some.
        noise: of rows that are left out, and of halves.
    """
    x, y = equal_rows(rows, draws, noise.of("equal"))
    found, n = {"frechet_distance": Value(frechet_distance(x, y))}, len(x)
    if n >= HALVED:
        halves = floor(x, y, noise.of("floor"))
        found["frechet_of_halves"] = Value(halves.drawn, halves.real)
    if n > NEIGHBOURS:
        near = manifold(x, y)
        found |= {"precision": Value(near.precision), "recall": Value(near.recall)}
        found["density"] = Value(near.density, 1.0)
        found["coverage"] = Value(near.coverage, expected_coverage(n, n))
    if training is not None:
        copied = memorisation(draws, training, rows)
        found["memorisation_ratio"] = Value(copied.ratio)
        found["memorisation_share"] = Value(copied.share, copied.expected_share)
    return found


def _gap(rows: Tensor, baseline: Tensor, draws: Tensor, noise: Noise) -> Interval | float:
    """Of Frechet distances, by leaving out groups; the value alone of too few rows."""
    x, first = equal_rows(rows, baseline, noise.of("equal"))
    _, second = equal_rows(rows, draws, noise.of("equal"))
    if len(x) < HALVED:
        return frechet_distance(x, first) - frechet_distance(x, second)
    groups = min(GROUPS, len(x))
    found = frechet_difference(x, first, second, noise.of("gap"), "groups", groups)
    return Interval(found.value, found.standard_error, groups - 1)
