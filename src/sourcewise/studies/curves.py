"""What studies that measure errors along curves have in common: settings, points, exponents.

A study varies one size after the other; at each value, in a *cell*, it trains both ways in several
seeds. Each strategy's errors there are a `Point`, to which a study adds what it compares them
with; a line through points of one strategy is a `Fit`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from sourcewise.settings import Many
from sourcewise.statistics import Interval
from sourcewise.theory.sharing import empirical_beta

__all__ = [
    "STRATEGIES",
    "Fit",
    "Passes",
    "Point",
    "Rate",
    "Rows",
    "Strategy",
    "Updates",
    "compared",
    "fit",
    "over_seeds",
    "reason",
]

Strategy = Literal["separate", "pooled"]
STRATEGIES: tuple[Strategy, ...] = ("separate", "pooled")
ONE = "beta-hat and gain: with K = 1 both are one"

# Settings that every study of trained models has.
ROWS = "rows per update; all: exact full-batch gradients"
PASSES = "passes over the training rows; more where `updates` asks for more"
Rows = Annotated[Many | Literal["all"], Field(description=ROWS)]
Passes = Annotated[float, Field(gt=0, le=1_000_000, description=PASSES)]
Updates = Annotated[
    int,
    Field(ge=0, le=1_000_000_000, description="the fewest updates, if `passes` makes fewer"),
]
Rate = Annotated[float, Field(gt=0, description="the rate at its peak")]


@dataclass(frozen=True)
class Point:
    """The error of one strategy in one cell. None where there is no value; `reason` says why."""

    sweep: str  # what is varied
    value: int  # to what
    strategy: Strategy  # pooled (multi-source) or separate (single-source)
    K: int  # sources
    n: int  # examples in all
    measured: float  # average TV, mean over seeds
    standard_error: float  # of `measured`
    low: float  # t interval of `measured` over seeds, 95 %
    high: float
    per_seed: tuple[float, ...]  # average TV of each seed
    # separate minus pooled, paired by seed, with its interval; pooled points only
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    beta_hat: float | None  # `theory.sharing.empirical_beta` of pooled over separate, not clipped
    beta: float  # the parameter-count similarity of the class
    updates: int  # gradient steps
    reason: str | None  # why a value is missing

    @property
    def half_width(self) -> float:
        """Of the interval of `measured`."""
        return self.high - self.measured

    @property
    def gain_half_width(self) -> float | None:
        """Of the interval of `gain`."""
        if self.gain is None or self.gain_high is None:
            return None
        return self.gain_high - self.gain


class Compared(NamedTuple):
    """The fields of a `Point` that follow from the errors of both strategies."""

    measured: float
    standard_error: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    beta_hat: float | None = None


def compared(
    separate: Sequence[float], pooled: Sequence[float], strategy: Strategy, K: int
) -> Compared:
    """What a point says of the errors of both strategies, seed by seed.

    >>> found = compared([0.3, 0.5], [0.2, 0.4], "pooled", K=2)
    >>> [round(value, 4) for value in (found.measured, found.gain, found.beta_hat)]
    [0.3, 0.1, 0.875]
    >>> compared([0.3, 0.5], [0.2, 0.4], "separate", K=2).gain
    """
    values = separate if strategy == "separate" else pooled
    own = over_seeds(values)
    found = Compared(own.value, own.standard_error, own.low, own.high, tuple(values))
    if strategy == "separate" or K == 1:
        return found
    gain = over_seeds([s - p for s, p in zip(separate, pooled, strict=True)])
    beta_hat = empirical_beta(found.measured / mean(separate), K)
    return found._replace(
        gain=gain.value, gain_low=gain.low, gain_high=gain.high, beta_hat=beta_hat
    )


def reason(strategy: Strategy, K: int, *others: str) -> str | None:
    """Why a point lacks values: the study's own reasons, and that of a single source."""
    alone = [ONE] if strategy == "pooled" and K == 1 else []
    return "; ".join([*others, *alone]) or None


@dataclass(frozen=True)
class Fit:
    """The exponent a of `error = c value^a`: least squares of logarithms in each seed."""

    strategy: str  # whose error, or the name of another curve that is fitted the same way
    exponent: float  # mean over seeds
    low: float | None  # t interval over seeds, 95 %; None where there is one curve only
    high: float | None
    first: int  # the values it is fitted between
    last: int

    def line(self, width: int) -> str:
        """Name, exponent and interval."""
        interval = "" if self.low is None else f"  [{self.low:+.4f}, {self.high:+.4f}]"
        return f"{self.strategy:<{width}}{self.exponent:+.4f}{interval}"


def fit(name: str, x: Sequence[int], per_seed: Sequence[Sequence[float]]) -> Fit:
    """The exponent of a curve, of which every x (two different ones at least) has a number a seed.

    >>> fit("law", [1, 10], [[2.0, 4.0], [0.2, 0.4]]).exponent.__round__(6)
    -1.0
    """
    columns = zip(*per_seed, strict=True)
    slopes = [float(np.polyfit(np.log(x), np.log(values), 1)[0]) for values in columns]
    if len(slopes) == 1:
        return Fit(name, slopes[0], None, None, x[0], x[-1])
    found = over_seeds(slopes)
    return Fit(name, found.value, found.low, found.high, x[0], x[-1])


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean over seeds with its t interval."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean(values), error, len(values) - 1)
