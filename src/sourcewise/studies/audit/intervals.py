"""Whether intervals hold a true value, and what verdicts make of it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

import numpy as np

from sourcewise.results.comparison import Difference
from sourcewise.statistics import Verdict, judge_overall

__all__ = ["Intervals", "Judged"]


@dataclass(frozen=True)
class Judged:
    """The intervals of one data set, and its verdict."""

    low: np.ndarray  # (K + 1,) of each source and, last, on average
    high: np.ndarray
    verdict: str

    @classmethod
    def of(cls, differences: Sequence[Difference], strategy: str) -> "Judged":
        """Of a strategy minus separate; the average over the sources comes last."""
        rows = [d for d in differences if d.strategy == strategy]
        low, high = (np.array([getattr(d, end) for d in rows], float) for end in ("low", "high"))
        *each, average = (d.verdict for d in rows)
        return cls(low, high, judge_overall(cast(Verdict, average), each))


@dataclass(frozen=True)
class Intervals:
    """What was found of a difference; shares, but for what says otherwise."""

    true_difference: (
        float  # the strategy minus separate, nats per row, on average over the sources
    )
    coverage: float  # of the sources' intervals
    above: float  # of the sources' intervals, that lie above the true difference
    below: float
    coverage_worst: float  # of the source that is covered least
    coverage_macro: float
    above_macro: float
    below_macro: float
    width_macro: float  # nats per row
    right: float  # a verdict for the better side, where that matters
    wrong: float  # a verdict for the worse side
    equivalent: float
    undecided: float

    @classmethod
    def of(cls, true: np.ndarray, found: Sequence[Judged]) -> "Intervals":
        """Of data sets, and the true differences (K + 1,)."""
        above = np.mean([one.low > true for one in found], 0)
        below = np.mean([one.high < true for one in found], 0)
        covered = 1 - above - below
        better, worse = _sides(float(true[-1]))
        words = [
            float(np.mean([one.verdict == word for one in found]))
            for word in (better, worse, "equivalent", "undecided")
        ]
        return cls(
            float(true[-1]),
            float(covered[:-1].mean()),
            float(above[:-1].mean()),
            float(below[:-1].mean()),
            float(covered[:-1].min()),
            float(covered[-1]),
            float(above[-1]),
            float(below[-1]),
            float(np.mean([one.high[-1] - one.low[-1] for one in found])),
            *words,
        )

    @property
    def worse(self) -> str:
        """The verdict for the worse side."""
        return _sides(self.true_difference)[1]

    @classmethod
    def mean(cls, each: Sequence["Intervals"]) -> "Intervals":
        """Of several settings."""
        return cls(*(float(np.mean([getattr(i, f.name) for i in each])) for f in fields(cls)))

    HEAD = (
        "true difference | covers, per source (worst) | above / below "
        "| covers, macro | above / below | right / wrong / equivalent / undecided"
    )

    def __str__(self) -> str:
        """Entries of a Markdown table, under HEAD."""
        entries = [
            f"{self.true_difference:+.4f}",
            f"{100 * self.coverage:.1f} ({100 * self.coverage_worst:.1f})",
            _shares(self.above, self.below),
            f"{100 * self.coverage_macro:.1f}",
            _shares(self.above_macro, self.below_macro),
            _shares(self.right, self.wrong, self.equivalent, self.undecided),
        ]
        return " | ".join(entries)


def _sides(true: float) -> tuple[str, str]:
    """The verdicts for the better and the worse side."""
    return ("pool", "separate") if true > 0 else ("separate", "pool")


def _shares(*shares: float) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in shares)
