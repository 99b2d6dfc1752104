"""A number of `evaluate` with its interval."""

from dataclasses import dataclass

from sourcewise.results.contract import Sometimes

__all__ = ["Score"]


@dataclass(frozen=True)
class Score:
    """Of a source or on average; the mean alone where there are too few rows."""

    mean: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    reason: Sometimes[str] = None
