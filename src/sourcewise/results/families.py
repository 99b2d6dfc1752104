"""Families beside each other: part of the result of a comparison."""

from dataclasses import dataclass

from sourcewise.results.contract import Sometimes

__all__ = ["Ahead", "Best", "FamilyLevel", "FamilyVerdict"]


@dataclass(frozen=True)
class FamilyLevel:
    """The value of the metric on average over the sources, of a strategy of a family."""

    family: str
    strategy: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FamilyVerdict:
    """What a family alone would have said: its rival less its baseline, on average."""

    family: str
    overall: str
    recommended: str
    strategy: str  # the rival
    baseline: str
    difference: float | None
    low: float | None
    high: float | None
    condition: str | None = None


@dataclass(frozen=True)
class Ahead:
    """How far the best is ahead of a strategy of a family; above 0 favours the best."""

    family: str
    strategy: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True)
class Best:
    """The strategy of a family that is best of all, and how far it is ahead of all others.

    Intervals hold for all pairs together, so also for the one that was chosen.
    """

    family: str
    strategy: str
    runner_up: Ahead  # the one that comes next
    difference: float | None  # over the next
    low: float | None  # of its lead over all others
    high: float | None  # of that over the next
    p: float | None  # against the others being as good
    steady: int  # folds of the test rows without which it would have been chosen as well
    folds: int
    default: Sometimes[Ahead] = None  # what the first family alone would have recommended

    @property
    def behind(self) -> tuple[Ahead, ...]:
        """Those that a reader is told of: the next, and the default if that is another."""
        others = [self.runner_up, *([self.default] if self.default else [])]
        return tuple({(ahead.family, ahead.strategy): ahead for ahead in others}.values())

    @property
    def told_apart(self) -> bool:
        """Whether the interval of its lead is above 0."""
        return self.low is not None and self.low > 0
