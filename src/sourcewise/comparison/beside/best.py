"""Families beside each other: every strategy of every family on the same test rows.

Scores of one metric in one unit are paired row by row, whichever family they are of. If all
families were cross-validated, all rows are scored; otherwise those of the first split are, which
all plans have in common: the first fold of the first repetition. Of a family whose strategies were
compared on more rows than these, only the one it recommends may be the best.

Differences have the intervals of paired rows and seeds, or of the jackknife where all rows are
scored; they hold for all pairs together (`statistics.selection`), so that the best may be chosen
by the rows that tell how far it is ahead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from sourcewise.comparison.plan import Plan
from sourcewise.comparison.summary import Summary
from sourcewise.randomness import Noise
from sourcewise.results.families import Ahead, Best, FamilyLevel
from sourcewise.splits import deal
from sourcewise.statistics import (
    Familywise,
    Interval,
    Ranked,
    jackknife,
    ranked,
    rows_and_seeds,
    with_shared_errors,
)

__all__ = ["Contest", "Pair", "same_rows"]

Pair = tuple[str, str]  # a family and a strategy
STEADY = 5  # folds of the rows, without each of which the choice is made again


@dataclass(frozen=True)
class Contest:
    """All strategies of several families, compared on the same rows.

    Args:
        summaries: of every family, by its name.
        recommended: the strategy that each family alone would recommend.
    """

    summaries: Mapping[str, Summary]
    recommended: Mapping[str, str]

    @cached_property
    def plan(self) -> Plan:
        """That of the first family: of rows and units all families have the same."""
        return next(iter(self.summaries.values())).plan

    @cached_property
    def whole(self) -> bool:
        """Whether all rows are scored by all families."""
        return all(s.plan.scope == "procedure" for s in self.summaries.values())

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every family with every strategy that is no control."""
        return [
            (family, strategy.name)
            for family, summary in self.summaries.items()
            for strategy in summary.plan.job.strategies
            if not strategy.shuffled
        ]

    @cached_property
    def rivals(self) -> list[Pair]:
        """The pairs that the best is chosen from."""
        settled = {
            family
            for family, summary in self.summaries.items()
            if summary.plan.scope == "procedure" and not self.whole
        }
        return [
            pair
            for pair in self.pairs
            if pair[0] not in settled or self.recommended[pair[0]] == pair[1]
        ]

    def levels(self) -> list[FamilyLevel]:
        """The macro mean of every pair on the common rows, with its interval."""
        key, sign = self.plan.job.metric.key, self.plan.job.metric.sign
        found = []
        for pair in self.pairs:
            i = self._interval({pair: 1.0})
            ends = sorted((sign * i.low, sign * i.high))
            found.append(FamilyLevel(*pair, key, sign * i.value, *ends))
        return found

    def best(self, default: Pair) -> Best:
        """The best pair, its lead over all others, and over one that was named beforehand.

        Intervals and p-values hold for all pairs together, so also for the one that is best.
        """
        order = [self.rivals[i] for i in self._ranked.order]
        first, second = order[:2]
        apart = {other: self._apart(first, other) for other in order[1:]}
        next_one, usual = apart[second], apart.get(default)
        if usual is None and default != first:
            usual = self._apart(first, default)
        return Best(
            *first,
            runner_up=self._ahead(second, next_one),
            difference=next_one.value,
            low=min(interval.low for interval in apart.values()),
            high=next_one.high,
            p=max(self._familywise.adjusted(interval.p) for interval in apart.values()),
            steady=self._ranked.steady,
            folds=len(self._ranked.again),
            default=None if usual is None else self._ahead(default, usual),
        )

    def _apart(self, first: Pair, other: Pair) -> Interval:
        """The first less the other, at the level at which all such differences hold together."""
        interval = self._interval({first: 1.0, other: -1.0})
        return replace(interval, level=self._familywise.level(interval.level))

    def _ahead(self, other: Pair, interval: Interval) -> Ahead:
        p = self._familywise.adjusted(interval.p)
        return Ahead(*other, interval.value, interval.low, interval.high, p)

    @cached_property
    def _familywise(self) -> Familywise:
        """Of the pairs that are ranked, by how their scores vary together over test rows."""
        _, y, sizes = self._facts
        scores, K = self._scores.mean(1), len(self.macro)
        total = np.bincount(y, weights=sizes, minlength=K)
        total[total == 0] = 1.0
        means = np.stack([np.bincount(y, weights=row, minlength=K) for row in scores]) / total
        moves = (self.macro / total)[y] * (scores - means[:, y] * sizes)
        df = self._interval({self.rivals[0]: 1.0, self.rivals[-1]: -1.0}).df
        return Familywise.of(moves @ moves.T, df)

    @cached_property
    def macro(self) -> np.ndarray:
        """(K,) equal weights on the sources that all families test."""
        each = [set(summary.plan.job.tested) for summary in self.summaries.values()]
        tested = sorted(set.intersection(*each))
        weights = np.zeros(self.plan.job.data.K)
        weights[tested] = 1 / len(tested)
        return weights

    @cached_property
    def _scored(self) -> np.ndarray:
        """(m,) the rows that all families score."""
        found = np.isin(self.plan.job.data.y.numpy(), np.flatnonzero(self.macro))
        if not self.whole:
            found &= self.plan.folds(0).numpy() == 0
        return np.flatnonzero(found)

    def _of(self, pair: Pair) -> np.ndarray:
        """(R, m) what the scored rows contribute, signed so that more is better.

        One repetition of an exact fit stands for all training seeds; of these, those count that
        all trained families have.
        """
        summary = self.summaries[pair[0]]
        most = min((s.plan.repetitions for s in self.summaries.values() if _seeded(s)), default=1)
        own = summary.plan.repetitions if self.whole else most if _seeded(summary) else 1
        rows = np.stack([summary.cell(pair[1], r).rows.numpy() for r in range(own)])
        rows = summary.plan.job.metric.sign * rows[:, self._scored]
        if self.whole:  # repetitions are other splits of the same rows
            rows = rows.mean(0, keepdims=True)
        return np.broadcast_to(rows, (most, rows.shape[1]))

    @cached_property
    def _scores(self) -> np.ndarray:
        """(P, R, m) of the rivals."""
        return np.stack([self._of(pair) for pair in self.rivals])

    @cached_property
    def _facts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(m,) each: unit, source and size of the scored rows."""
        job = self.plan.job
        facts = (job.data.units, job.data.y, job.weights)
        unit, y, sizes = (fact.numpy()[self._scored] for fact in facts)
        return unit, y, sizes

    @cached_property
    def _fold(self) -> np.ndarray:
        """(m,) the fold of each scored row, units whole."""
        unit, y, _ = self._facts
        noise = Noise(self.plan.seed).of("families", "again")
        parts = deal(torch.from_numpy(unit), torch.from_numpy(y), STEADY, noise)
        return np.unique(parts.numpy(), return_inverse=True)[1]

    @cached_property
    def _ranked(self) -> Ranked:
        _, y, sizes = self._facts
        return ranked(self._scores.mean(1), self._fold, y, self.macro, sizes)

    def _interval(self, signs: Mapping[Pair, float]) -> Interval:
        """Of a sum of pairs' values."""
        unit, y, sizes = self._facts
        rows = np.sum([sign * self._of(pair) for pair, sign in signs.items()], axis=0)
        interval = rows_and_seeds(rows, unit, self.macro, y, sizes=sizes)
        if self.whole:
            interval = self._over_samples(signs)
        errors = [(sign, self.summaries[pair[0]].errors(pair[1])) for pair, sign in signs.items()]
        return with_shared_errors(interval, self.macro, errors)

    def _over_samples(self, signs: Mapping[Pair, float]) -> Interval:
        """The jackknife of a sum of pairs' values."""
        sign = self.plan.job.metric.sign
        values = [
            sum(
                sign * s * self.summaries[family].mean(name, self.macro, group)
                for (family, name), s in signs.items()
            )
            for group in (None, *range(self.plan.group_count))
        ]
        return jackknife(values[0], values[1:])


def _seeded(summary: Summary) -> bool:
    """Whether the repetitions of a family are training seeds."""
    return summary.plan.scope != "procedure" and summary.plan.job.family.trained


def same_rows(plan: Plan, other: Plan) -> bool:
    """Whether two plans split the same rows of the same sources, in the same way."""
    one, two = plan.job.data, other.job.data
    return torch.equal(one.y, two.y) and torch.equal(one.units, two.units)
