"""What studies that measure errors along curves have in common: points, intervals, exponents.

A study varies one size after the other; at each value, in a *cell*, it trains both ways in several
seeds. Each strategy's errors there are a `Point`, to which a study adds what it compares them
with; a line through points of one strategy is a `Fit`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any, Literal, Self, TypeVar

import numpy as np
from pydantic import TypeAdapter

from sourcewise.settings import Settings
from sourcewise.statistics import Interval
from sourcewise.theory.sharing import empirical_beta

__all__ = [
    "STRATEGIES",
    "Curves",
    "Fit",
    "Point",
    "Strategy",
    "compared",
    "fit",
    "over_seeds",
    "reason",
    "select",
    "slope",
]

Strategy = Literal["separate", "pooled"]
STRATEGIES: tuple[Strategy, ...] = ("separate", "pooled")
ONE = "beta-hat and gain: with K = 1 both are one"

T = TypeVar("T")


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


def compared(
    errors: Mapping[Strategy, Sequence[float]], strategy: Strategy, K: int
) -> dict[str, Any]:
    """The fields of a `Point` that follow from the errors of both strategies, seed by seed.

    >>> both = {"separate": [0.3, 0.5], "pooled": [0.2, 0.4]}
    >>> found = compared(both, "pooled", K=2)
    >>> [round(found[name], 4) for name in ("measured", "gain", "beta_hat")]
    [0.3, 0.1, 0.875]
    >>> compared(both, "separate", K=2)["gain"]

    Args:
        errors: of each strategy, an average TV per seed.
        strategy: whose point it is.
        K: sources; with one both strategies are the same.
    """
    values, separate = errors[strategy], errors["separate"]
    measured = over_seeds(values)
    found = dict.fromkeys(("gain", "gain_low", "gain_high", "beta_hat"))
    if strategy == "pooled" and K > 1:
        gain = over_seeds([s - p for s, p in zip(separate, values, strict=True)])
        beta_hat = empirical_beta(measured.value / mean(separate), K)
        found = dict(zip(found, (gain.value, gain.low, gain.high, beta_hat), strict=True))
    return {
        "measured": measured.value,
        "standard_error": measured.standard_error,
        "low": measured.low,
        "high": measured.high,
        "per_seed": tuple(values),
        **found,
    }


def reason(strategy: Strategy, K: int, *others: str) -> str | None:
    """Why a point lacks values: the study's own reasons, and that of a single source."""
    alone = [ONE] if strategy == "pooled" and K == 1 else []
    return "; ".join([*others, *alone]) or None


def select(points: Iterable[T], **where: Any) -> tuple[T, ...]:
    """Those whose fields have these values, in order.

    >>> select([Fit("a", -0.5, None, None, 1, 2)], strategy="b")
    ()
    """
    return tuple(p for p in points if all(getattr(p, k) == v for k, v in where.items()))


@dataclass(frozen=True)
class Curves:
    """The result of a study: the points of all its curves. A study says of which types.

    Args:
        settings: that it was computed for.
        points: of all sweeps.
    """

    settings: Settings
    points: tuple[Any, ...]

    def select(self, **where: Any) -> tuple[Any, ...]:
        """The points whose fields have these values, in order."""
        return select(self.points, **where)

    def to_json(self) -> dict[str, Any]:
        """As plain values; a row per point."""
        settings = self.settings.model_dump(mode="json")
        return {"settings": settings, "cells": [asdict(point) for point in self.points]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The result again from the study's JSON document; keys unknown here are passed over."""
        return TypeAdapter(cls).validate_python({**document, "points": document["cells"]})


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
