"""What studies that measure errors along curves have in common: points, intervals, exponents.

A study varies one size after the other; at each value, in a *cell*, it trains both ways in several
seeds. Each strategy's errors there are a `Point`, to which a study adds what it compares them
with; a line through points of one strategy is a `Fit`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal, NamedTuple

import numpy as np

from sourcewise.statistics import Interval
from sourcewise.theory.sharing import empirical_beta

__all__ = [
    "STRATEGIES",
    "Fit",
    "Point",
    "Strategy",
    "compared",
    "fit",
    "over_seeds",
    "reason",
    "slope",
]

Strategy = Literal["separate", "pooled"]
STRATEGIES: tuple[Strategy, ...] = ("separate", "pooled")
ONE = "beta-hat and gain: with K = 1 both are one"


@dataclass(frozen=True)
class Point:
    """The error of one strategy in one cell. None where there is no value; `reason` says why.

    Args:
        sweep: what is varied.
        value: to what.
        strategy: pooled (multi-source) or separate (single-source).
        K: sources.
        n: examples in all.
        measured: average TV, mean over seeds.
        standard_error: of `measured`.
        low, high: t interval of `measured` over seeds, 95 %.
        per_seed: average TV of each seed.
        gain, gain_low, gain_high: separate minus pooled, paired by seed; pooled points only.
        beta_hat: `theory.sharing.empirical_beta` of pooled over separate, not clipped.
        beta: the parameter-count similarity of the class.
        updates: gradient steps.
        reason: why a value is missing.
    """

    sweep: str
    value: int
    strategy: Strategy
    K: int
    n: int
    measured: float
    standard_error: float
    low: float
    high: float
    per_seed: tuple[float, ...]
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    beta_hat: float | None
    beta: float
    updates: int
    reason: str | None

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

    Args:
        separate, pooled: an average TV per seed.
        strategy: whose point it is.
        K: sources; with one both strategies are the same.
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
    """The exponent a of `error = c value^a`: least squares of logarithms in each seed.

    Args:
        strategy: whose error, or the name of another curve that is fitted the same way.
        exponent: mean over seeds.
        low, high: t interval over seeds, 95 %; None where there is one curve only.
        first, last: the values it is fitted between.
    """

    strategy: str
    exponent: float
    low: float | None
    high: float | None
    first: int
    last: int


def fit(name: str, x: Sequence[int], per_seed: Sequence[Sequence[float]]) -> Fit:
    """The exponent of a curve of which every value of x has a number per seed.

    >>> fit("law", [1, 10], [[2.0, 4.0], [0.2, 0.4]]).exponent.__round__(6)
    -1.0

    Args:
        name: of the curve.
        x: two different values at least.
        per_seed: for every x, its numbers.
    """
    slopes = [slope(x, values) for values in zip(*per_seed, strict=True)]
    if len(slopes) == 1:
        return Fit(name, slopes[0], None, None, x[0], x[-1])
    found = over_seeds(slopes)
    return Fit(name, found.value, found.low, found.high, x[0], x[-1])


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least squares of log y on log x.

    >>> round(slope([1, 10, 100], [3.0, 0.3, 0.03]), 6)
    -1.0
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean over seeds with its t interval."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean(values), error, len(values) - 1)
