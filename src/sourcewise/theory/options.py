"""Options of `sourcewise bound`: names, ranges, and numbers out of texts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sourcewise.errors import InputError, listing
from sourcewise.theory import checks

__all__ = ["RANGES", "Range", "at_most", "option", "value"]

_ENCODERS = ("per-position", "shared")
_MOST = 1e15  # of anything: larger whole numbers are not exact


@dataclass(frozen=True)
class Range:
    """The numbers that an option takes; its text is what messages say.

    >>> print(Range(1, whole=True), "|", Range(0, open=True, below=1))
    a whole number from 1 to 1e+15 | above 0 and below 1

    Args:
        least: smallest number.
        whole: whole numbers only.
        open: the smallest number itself is excluded.
        below: the first number that is too large; above 1e15 if None.
    """

    least: float
    whole: bool = False
    open: bool = False
    below: float | None = None

    def __contains__(self, number: float | Decimal) -> bool:
        low = number > self.least if self.open else number >= self.least
        high = number <= _MOST if self.below is None else number < self.below
        return low and high and not (self.whole and number != math.floor(number))

    def __str__(self) -> str:
        if self.whole:
            return f"a whole number from {self.least:g} to {_MOST:g}"
        high = f"at most {_MOST:g}" if self.below is None else f"below {self.below:g}"
        return f"{'above' if self.open else 'at least'} {self.least:g} and {high}"


_COUNT, _POSITIVE = Range(1, whole=True), Range(0, open=True)
_FRACTION = Range(0, open=True, below=1)

RANGES = {
    "sources": _COUNT,
    "samples": _COUNT,
    "groups": _COUNT,
    "delta": _FRACTION,
    "target": _FRACTION,
    "dim": _COUNT,
    "specific": Range(0, whole=True),
    "mean_bound": _POSITIVE,
    "vocabulary": Range(2, whole=True),
    "length": _COUNT,
    "embedding": _COUNT,
    "width": _COUNT,
    "depth": _COUNT,
    "weight_bound": Range(1),
    "nonzeros": _COUNT,
    "shared": Range(0, whole=True),
    "constant": _POSITIVE,
}


def option(name: str) -> str:
    """How an option is written.

    >>> option("mean_bound")
    '--mean-bound'
    """
    return "--" + name.replace("_", "-")


def value(name: str, text: Any) -> Any:
    """What stands in an option, if it is in the option's range.

    >>> value("delta", ".1"), value("shares", "0.5,0.5"), value("encoder", "per-position")
    (0.1, [0.5, 0.5], 'per position')
    """
    if name == "shares":
        return _shares(text)
    if name == "encoder":
        return _encoder(text)
    allowed = RANGES[name]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number not in allowed:
        typed = Decimal(text) if math.isfinite(number) and isinstance(text, str) else number
        nearest = f", which rounds to {number:g}" if typed in allowed else ""
        raise InputError(f"{option(name)} must be {allowed}, got {text}{nearest}")
    return int(number) if allowed.whole else number


def _encoder(text: Any) -> str:
    if str(text).replace(" ", "-") not in _ENCODERS:
        raise InputError(f"--encoder must be one of {listing(_ENCODERS)}, got {text}")
    return str(text).replace("-", " ")


def _shares(text: Any) -> list[float]:
    parts = text.split(",") if isinstance(text, str) else text
    try:
        return checks.shares([float(part) for part in parts]).tolist()
    except ValueError:  # an InputError is one
        message = f"--shares must be positive numbers that sum to 1, A,B,C, got {text}"
        raise InputError(message) from None


def at_most(name: str, settings: Mapping[str, Any], other: str) -> None:
    """Pass if an option, where it is given, is at most another one."""
    if settings.get(name, 0) > settings[other]:
        limit = f"{option(other)}, {settings[other]}"
        raise InputError(f"{option(name)} must be at most {limit}, got {settings[name]}")
