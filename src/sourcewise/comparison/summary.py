"""From the scores of all cells to intervals of levels, differences and beta-hat."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from sourcewise.comparison.plan import BASELINE, Plan
from sourcewise.comparison.scores import Cell, CellScores
from sourcewise.statistics import (
    DOMINATED,
    Interval,
    Units,
    averaged_errors,
    beta_from_gain,
    curvature,
    dominance,
    jackknife,
    row_moments,
    rows_and_seeds,
    with_shared_errors,
)

__all__ = ["Summary"]

Results = Mapping[str, Mapping[str, CellScores]]


@dataclass(frozen=True)
class Summary:
    """Intervals of the sources' scores per unit, and of sums of them, in either scope."""

    plan: Plan  # how the scores were made
    results: Results  # cell name to strategy name to scores
    _averages: dict[tuple[str, str, int | None], np.ndarray] = field(
        default_factory=dict, repr=False
    )
    _same: dict[tuple[str, str], np.ndarray] = field(default_factory=dict, repr=False)
    _row_moments: dict[tuple[tuple[str, float], ...], tuple[np.ndarray, np.ndarray]] = field(
        default_factory=dict, repr=False
    )

    def cell(self, strategy: str, repetition: int, deletion: int | None = None) -> CellScores:
        """The scores of a strategy in a cell."""
        return self.results[str(Cell(repetition, deletion))][strategy]

    def average(self, strategy: str, quantity: str, deletion: int | None = None) -> np.ndarray:
        """(K,) a field of `CellScores`, averaged over the repetitions."""
        key = strategy, quantity, deletion
        if key not in self._averages:
            cells = [self.cell(strategy, r, deletion) for r in range(self.plan.repetitions)]
            mean = torch.stack([getattr(cell, quantity) for cell in cells]).mean(0)
            self._averages[key] = mean.numpy()
        return self._averages[key]

    def mean(self, strategy: str, weights: np.ndarray, deletion: int | None = None) -> float:
        """A weighted mean of the sources' scores on test rows."""
        return _dot(weights, self.average(strategy, "test", deletion))

    def level(self, strategy: str, weights: np.ndarray) -> Interval:
        """Interval of a strategy's value of the metric on held-out rows."""
        return self._interval({strategy: 1.0}, weights)

    def difference(self, strategy: str, baseline: str, weights: np.ndarray) -> Interval:
        """Interval of strategy minus baseline; positive favours the strategy."""
        found = self._interval(self._signs(strategy, baseline), weights)
        if all(self.same_model(strategy, baseline, int(k)) for k in weights.nonzero()[0]):
            return Interval(0.0, 0.0, found.df)  # but for rounding
        return found

    def term(self, t: int, strategy: str, baseline: str) -> Interval:
        """Interval of what a term of the metric makes of a difference averaged over sources.

        It is over test rows and training seeds, in either scope.
        """
        return self._rows_and_seeds(self._signs(strategy, baseline), self.macro, t)

    def same_model(self, strategy: str, baseline: str, k: int) -> bool:
        """Whether a source's model is trained alike in both: same block, same settings."""
        return bool(self._same_models(strategy, baseline)[k])

    def _same_models(self, strategy: str, baseline: str) -> np.ndarray:
        """(K,) see `same_model`."""
        job, key = self.plan.job, (strategy, baseline)
        if key not in self._same:
            by_name = {s.name: s for s in job.strategies}
            one, other = by_name[strategy], by_name[baseline]
            alike = job.settings_of(one) == job.settings_of(other)
            alike = alike and one.trained_like(other)
            common = set(one.partition) & set(other.partition) if alike else set()
            self._same[key] = np.zeros(job.data.K, dtype=bool)
            self._same[key][[k for block in common for k in block]] = True
        return self._same[key]

    def unfinished(self, strategy: str) -> list[int]:
        """The tested sources whose model was still improving when its updates were over.

        The last weights were its best, in half of the repetitions or more.
        """
        cells = [self.cell(strategy, r) for r in range(self.plan.repetitions)]

        def improving(k: int) -> bool:
            return 2 * sum(cell.ended_at_best(k) for cell in cells) >= len(cells)

        return [k for k in self.plan.job.tested if improving(k)]

    @property
    def _deletions(self) -> range:
        """The jackknife groups."""
        return range(self.plan.group_count)

    def source(self, k: int) -> np.ndarray:
        """(K,) weights that pick one source."""
        return self._equal([k])

    @property
    def macro(self) -> np.ndarray:
        """(K,) equal weights on the tested sources."""
        return self._equal(list(self.plan.job.tested))

    def _equal(self, sources: list[int]) -> np.ndarray:
        weights = np.zeros(self.plan.job.data.K)
        weights[sources] = 1 / len(sources)
        return weights

    @property
    def by_size(self) -> np.ndarray:
        """(K,) weights by the units of test rows: their number, or that of their symbols."""
        size = self.average(self.plan.job.strategies[0].name, "test_size")
        return size / size.sum()

    def beta(self, strategy: str, baseline: str) -> Interval | str:
        """Empirical beta of a strategy against training separately, or why there is none.

        The excess error of separate training is half the gap between its training and held-out
        log-likelihoods: to first order both lie p / (2 n) from the best possible, on opposite
        sides. Errors of normalisers reach the gain; in the gap they cancel, both its ends being of
        the same models.
        """
        K = len(self.plan.job.tested)
        by_name = {s.name: s for s in self.plan.job.strategies}
        if baseline != "separate":
            return "beta-hat compares with separate training, which is not the baseline"
        J = len(by_name[strategy].partition.keep(self.plan.job.tested))
        if J >= K:
            return "the strategy has as many blocks as there are sources"
        if self.plan.scope != "procedure":
            return "beta-hat needs new training samples: --scope procedure"
        values = [self._beta(strategy, baseline, g, K, J) for g in (None, *self._deletions)]
        if not np.isfinite(values).all():
            return "separate training shows no excess error to share"
        scale = beta_from_gain(1.0, self._excess(baseline), K, J)
        signs = {strategy: 1.0, baseline: -1.0}
        return self._widened(jackknife(values[0], values[1:]), signs, scale * self.by_size)

    def _excess(self, baseline: str, deletion: int | None = None) -> float:
        test, train = (self.average(baseline, name, deletion) for name in ("test", "train"))
        return (_dot(self.by_size, train) - _dot(self.by_size, test)) / 2

    def _beta(self, strategy: str, baseline: str, deletion: int | None, K: int, J: int) -> float:
        excess = self._excess(baseline, deletion)
        gain = self._signed({strategy: 1.0, baseline: -1.0}, self.by_size, deletion)
        return beta_from_gain(gain, excess, K, J) if excess > 0 else float("nan")

    def fading(self, strategy: str, baseline: str, weights: np.ndarray) -> float:
        """The part of a difference that shrinks like one over the number of rows.

        It is what the strategy's parameters lose less than the baseline's by being estimated: the
        difference of their excess errors, see `beta`. 0 where no training rows are scored, and for
        families that are trained: stopping early leaves the gap between training and test rows,
        and nothing of what half of it is of an exact fit.
        """
        if self.plan.job.family.trained:
            return 0.0
        train, test = (
            self.average(baseline, name) - self.average(strategy, name)
            for name in ("train", "test")
        )
        found = _dot(weights, train - test) / 2
        return found if math.isfinite(found) else 0.0

    def dominated(self, strategy: str, baseline: str) -> dict[int, list[int]]:
        """The jackknife groups of rows that set the uncertainty of some source: which ones."""
        if self.plan.scope != "procedure":
            return {}
        signs = self._signs(strategy, baseline)
        out: dict[int, list[int]] = {}
        for k in self.plan.job.tested:
            weights = self.source(k)
            values = np.array([self._signed(signs, weights, g) for g in self._deletions])
            if dominance(values) > DOMINATED:
                group = int(np.abs(values - np.median(values)).argmax())
                out.setdefault(group, []).append(k)
        return out

    def suspect(self, group: int, k: int, strategy: str, baseline: str) -> tuple[int, str]:
        """The row of a jackknife group behind the uncertainty of source k, and how it acts.

        If the source's own rows in the group move its mean by more than half of what leaving the
        group out does, it is the one of them with the most unusual difference; otherwise the group
        acts through training, and it is the least likely row of the group.
        """
        rows = self.cell(strategy, 0).rows - self.cell(baseline, 0).rows
        sizes = self.plan.job.weights
        y, inside = self.plan.job.data.y, self.plan.groups == group
        own, mine = (y == k) & ~rows.isnan(), (y == k) & ~rows.isnan() & inside
        weights, signs = self.source(k), self._signs(strategy, baseline)
        effect = self._signed(signs, weights, group) - self._signed(signs, weights, None)
        level = rows[own].sum() / sizes[own].sum()
        alone = float(rows[own & ~inside].sum() / sizes[own & ~inside].sum() - level)
        if mine.any() and abs(alone) > abs(effect) / 2:
            unusual = torch.where(mine, (rows - level * sizes).abs(), -1.0)
            return int(unusual.argmax()), "the most unusual row there is"
        sign = self.plan.job.metric.sign
        scores = (sign * self.cell(name, 0).rows for name in (strategy, baseline))
        likely = torch.minimum(*scores) / sizes
        likely = torch.where(inside & ~likely.isnan(), likely, torch.inf)
        return int(likely.argmin()), "it acts through training, and the least likely row there is"

    def _signs(self, strategy: str, baseline: str) -> dict[str, float]:
        """What levels are multiplied by for a difference that favours the strategy above 0."""
        sign = self.plan.job.metric.sign
        return {strategy: sign, baseline: -sign}

    @cached_property
    def region(self) -> float:
        """Half the width of practical equivalence."""
        return self.plan.equivalence(self._signed({BASELINE: 1.0}, self.macro, None))

    def _interval(self, signs: Mapping[str, float], weights: np.ndarray) -> Interval:
        if self.plan.scope == "procedure":
            interval = self._over_samples(signs, weights)
        else:
            interval = self._rows_and_seeds(signs, weights)
        return self._widened(interval, signs, weights)

    def _widened(
        self, interval: Interval, signs: Mapping[str, float], weights: np.ndarray
    ) -> Interval:
        """Errors of normalisers taken in; where both strategies share a model, its log Z cancels.

        The jackknife sees little of them, as deletions share the draws of simulations: what it
        does see (each simulates for weights of its own), and the spread of seeds, is counted
        twice, which errs on the safe side.
        """
        errors = [(sign, self.errors(name)) for name, sign in signs.items()]
        names = list(signs)
        if len(names) == 2:
            weights = np.where(self._same_models(names[0], names[1]), 0.0, weights)
        return with_shared_errors(interval, weights, errors)

    def errors(self, strategy: str) -> np.ndarray:
        """(K, 3) errors of the log densities of a strategy's models, over the repetitions."""
        key = strategy, "shared_error", None
        if key not in self._averages:
            cells = [self.cell(strategy, r) for r in range(self.plan.repetitions)]
            errors = torch.stack([cell.shared_error for cell in cells])
            self._averages[key] = averaged_errors(errors)
        return self._averages[key]

    def _signed(
        self, signs: Mapping[str, float], weights: np.ndarray, deletion: int | None
    ) -> float:
        return sum(sign * self.mean(name, weights, deletion) for name, sign in signs.items())

    def _over_samples(self, signs: Mapping[str, float], weights: np.ndarray) -> Interval:
        """The jackknife, bent by the skewness of rows and, of a difference, by its curvature."""
        values = [self._signed(signs, weights, g) for g in (None, *self._deletions)]
        second, third = (weights**i @ m for i, m in zip((2, 3), self._moments(signs), strict=True))
        bend = third / second**1.5 / 3 if second else 0.0
        if len(signs) == 2 and self.plan.job.metric.of_log_densities:
            apart = np.where(self._same_models(*signs), 0.0, weights)
            size = np.where(apart > 0, self.average(next(iter(signs)), "test_size"), 1.0)
            plain = jackknife(values[0], values[1:])
            bend += curvature(plain.standard_error, float(apart**2 @ (2 / size)))
        return jackknife(values[0], values[1:], bend=float(bend))

    def _moments(self, signs: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """(K,) each: see `row_moments`; of the rows' scores, averaged over repetitions.

        Zeros where rows were not scored one by one.
        """
        key = tuple(signs.items())
        if key not in self._row_moments:
            rows, scored = self._rows(signs)
            if not scored.any():
                return np.zeros(len(self.macro)), np.zeros(len(self.macro))
            y, sizes = (
                part.numpy()[scored] for part in (self.plan.job.data.y, self.plan.job.weights)
            )
            self._row_moments[key] = row_moments(rows.mean(0)[scored], self._units, y, sizes)
        return self._row_moments[key]

    @cached_property
    def _units(self) -> Units:
        """Of the rows of tested sources."""
        data = self.plan.job.data
        scored = np.isin(data.y.numpy(), self.plan.job.tested)
        return Units.of(data.units.numpy()[scored], data.y.numpy()[scored], data.K)

    def _rows(
        self, signs: Mapping[str, float], term: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(R, n) what rows contribute in each repetition, NaN where never; (n,) which do."""
        seeds = range(self.plan.repetitions)
        cells = {name: [self.cell(name, r) for r in seeds] for name in signs}
        parts = {
            name: torch.stack([c.rows if term is None else c.terms[:, term] for c in every])
            for name, every in cells.items()
        }
        rows = np.sum([sign * parts[name].numpy() for name, sign in signs.items()], axis=0)
        return rows, ~np.isnan(rows[0])

    def _rows_and_seeds(
        self, signs: Mapping[str, float], weights: np.ndarray, term: int | None = None
    ) -> Interval:
        rows, scored = self._rows(signs, term)
        y = self.plan.job.data.y.numpy()
        units = self.plan.job.data.units.numpy()[scored]
        sizes = self.plan.job.weights.numpy()[scored]
        return rows_and_seeds(rows[:, scored], units, weights, y[scored], sizes=sizes)


def _dot(weights: np.ndarray, values: np.ndarray) -> float:
    used = np.flatnonzero(weights > 0)  # sources that are not tested have no values
    return float(weights[used] @ values[used])
