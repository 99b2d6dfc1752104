"""The looks that the studies' tables share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sourcewise.studies.curves import Fit

__all__ = ["exponent", "number", "row"]


def number(value: float | None) -> str:
    """Four decimals, `-` for none."""
    return "-" if value is None else f"{value:.4f}"


def row(texts: Sequence[str], width: int) -> str:
    """A line: the first text in so many characters, then the strategy and other columns of ten.

    >>> row(["n", "pooled", "0.5"], 4)
    'n   pooled           0.5'
    """
    first, second, *rest = texts
    return f"{first:<{width}}{second:<10}" + "".join(f"{text:>10}" for text in rest)


def exponent(fit: "Fit", width: int) -> str:
    """Name, exponent and interval."""
    interval = "" if fit.low is None else f"  [{fit.low:+.4f}, {fit.high:+.4f}]"
    return f"{fit.strategy:<{width}}{fit.exponent:+.4f}{interval}"
