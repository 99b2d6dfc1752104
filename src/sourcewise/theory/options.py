"""Options of `sourcewise bound`: names, ranges, and numbers out of texts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from sourcewise.errors import InputError, listing
from sourcewise.theory import checks

__all__ = ["RANGES", "Range", "at_most", "group_sizes", "option", "value"]

_ENCODERS = ("per-position", "shared")
_MOST = 1e15  # of anything: larger whole numbers are not exact
_GROUPS = 10_000  # listed one by one


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
    >>> value("groups", "2"), value("groups", "3,2")
    (2, [3, 2])
    """
    if name == "groups":
        return _groups(text)
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


def _groups(text: Any) -> int | list[int]:
    """How many groups, or the size of each."""
    parts = text.split(",") if isinstance(text, str) else np.ravel(text).tolist()
    try:
        sizes = [float(part) for part in parts]
    except ValueError:
        sizes = []
    most = _GROUPS if len(sizes) == 1 and np.ndim(text) == 0 else _MOST
    if not 0 < len(sizes) <= _GROUPS or not all(s % 1 == 0 and 1 <= s <= most for s in sizes):
        allowed = f"a whole number from 1 to {_GROUPS}, or the size of each group, A,B,C"
        raise InputError(f"--groups must be {allowed}, got {text}")
    whole = [int(size) for size in sizes]
    return whole[0] if len(whole) == 1 and np.ndim(text) == 0 else whole


def group_sizes(groups: int | list[int], sources: int) -> list[int]:
    """Sizes of consecutive groups that hold all sources; as even as possible for a number.

    >>> group_sizes(2, sources=5), group_sizes([1, 4], sources=5)
    ([3, 2], [1, 4])
    """
    if isinstance(groups, int):
        if groups > sources:
            raise InputError(f"--groups must be at most --sources, {sources}, got {groups}")
        size, more = divmod(sources, groups)
        return [size + 1] * more + [size] * (groups - more)
    if sum(groups) != sources:
        given = ",".join(map(str, groups))
        raise InputError(f"--groups {given} must sum to --sources, {sources}, got {sum(groups)}")
    return groups


def at_most(name: str, settings: Mapping[str, Any], other: str) -> None:
    """Pass if an option, where it is given, is at most another one."""
    if settings.get(name, 0) > settings[other]:
        limit = f"{option(other)}, {settings[other]}"
        raise InputError(f"{option(name)} must be at most {limit}, got {settings[name]}")
