"""Whether the intervals of the best pair's leads hold the true ones, after it was chosen."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sourcewise.comparison.beside.best import Pair
from sourcewise.results.families import Ahead, Best

__all__ = ["Chosen", "Covered", "Gap", "commonest"]


@dataclass(frozen=True)
class Gap:
    """An interval, and the true value."""

    low: float
    high: float
    true: float

    @classmethod
    def of(cls, ends: Ahead | Best, true: float) -> "Gap":
        """Of a lead."""
        return cls(float(ends.low or 0.0), float(ends.high or 0.0), true)


@dataclass(frozen=True)
class Chosen:
    """The best pair of one data set.

    Args:
        pair: which it is.
        right: whether it truly is the best of the candidates.
        told_apart: whether the interval of its lead is above 0.
        regret: what it truly loses against the best of the candidates.
        lead: over all others.
        following: over the one that comes next.
        default: over what the first family alone would have recommended; None: it is that.
    """

    pair: Pair
    right: bool
    told_apart: bool
    regret: float
    lead: Gap
    following: Gap
    default: Gap | None

    @classmethod
    def of(
        cls, best: Best, candidates: Sequence[Pair], apart: Callable[[Pair, Pair], float]
    ) -> "Chosen":
        """Of a contest.

        Args:
            best: what it says.
            candidates: the pairs that the best was chosen from.
            apart: what a pair truly is ahead of another.
        """
        pair, following = (best.family, best.strategy), best.runner_up
        lead = min(apart(pair, other) for other in candidates if other != pair)
        default = best.default and Gap.of(best.default, apart(pair, _pair(best.default)))
        return cls(
            pair,
            lead >= 0,
            best.told_apart,
            max(0.0, -lead),
            Gap.of(best, lead),
            Gap.of(following, apart(pair, _pair(following))),
            default,
        )


def _pair(ahead: Ahead) -> Pair:
    return ahead.family, ahead.strategy


@dataclass(frozen=True)
class Covered:
    """Shares of intervals that hold their true value, or miss it on either side."""

    number: int  # of intervals
    above: float  # the interval lies above the true value
    below: float

    @classmethod
    def of(cls, gaps: Sequence[Gap]) -> "Covered":
        """Of many; 0 misses of none."""
        above, below = (
            float(np.mean(missed)) if missed else 0.0
            for missed in ([g.low > g.true for g in gaps], [g.high < g.true for g in gaps])
        )
        return cls(len(gaps), above, below)

    @classmethod
    def joined(cls, each: Sequence["Covered"]) -> "Covered":
        """Of several settings, every interval counted once."""
        number = sum(c.number for c in each)
        above, below = (
            sum(getattr(c, side) * c.number for c in each) / max(number, 1)
            for side in ("above", "below")
        )
        return cls(number, above, below)

    @property
    def share(self) -> float:
        """That hold it."""
        return 1 - self.above - self.below

    def __str__(self) -> str:
        """Two entries of a Markdown table; none where there are no intervals."""
        if not self.number:
            return "- | -"
        return f"{100 * self.share:.1f} | {100 * self.above:.1f} / {100 * self.below:.1f}"


def commonest(chosen: Sequence[Chosen]) -> str:
    """The pair that is best most often, and how often, in per cent."""
    (family, strategy), times = Counter(one.pair for one in chosen).most_common(1)[0]
    return f"{strategy} {family} ({100 * times / len(chosen):.0f})"
