"""Options of `sourcewise bound`: what they take, and values out of what was typed.

A class of bounds is a dataclass whose fields are annotated with an `Option` each. Nothing heavy is
imported: the command line's help is made of these declarations.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from decimal import Decimal
from typing import Any, Protocol, get_args

from sourcewise.errors import InputError, listing

__all__ = [
    "COUNT",
    "DIM",
    "FRACTION",
    "POSITIVE",
    "SPECIFIC",
    "Choice",
    "Fractions",
    "Groups",
    "Option",
    "Range",
    "Values",
    "count",
    "declared",
    "group_sizes",
    "groups_in_words",
]

_MOST = 1e15  # of anything: larger whole numbers are not exact
_GROUPS = 10_000  # listed one by one


class Values(Protocol):
    """What an option takes; its text is what messages say."""

    def read(self, typed: Any) -> Any:
        """The value of a text, or of a value itself; a ValueError says what there is to add."""
        ...


@dataclass(frozen=True)
class Range:
    """Numbers.

    >>> print(Range(1, whole=True), "|", Range(0, open=True, below=1))
    a whole number from 1 to 1e+15 | above 0 and below 1
    >>> Range(1, whole=True).read("5"), Range(0).read(".5")
    (5, 0.5)
    """

    least: float  # smallest number
    whole: bool = False  # whole numbers only
    open: bool = False  # the smallest number itself is excluded
    below: float | None = None  # the first number that is too large; above 1e15 if None

    def __contains__(self, number: float | Decimal) -> bool:
        low = number > self.least if self.open else number >= self.least
        high = number <= _MOST if self.below is None else number < self.below
        return low and high and not (self.whole and number != math.floor(number))

    def __str__(self) -> str:
        if self.whole:
            return f"a whole number from {self.least:g} to {_MOST:g}"
        high = f"at most {_MOST:g}" if self.below is None else f"below {self.below:g}"
        return f"{'above' if self.open else 'at least'} {self.least:g} and {high}"

    def read(self, typed: str | float) -> int | float:
        """A number in the range."""
        number = (_numbers(typed) or [math.nan])[0]
        if not math.isfinite(number) or number not in self:
            exact = Decimal(typed) if math.isfinite(number) and isinstance(typed, str) else number
            raise ValueError(f", which rounds to {number:g}" if exact in self else "")
        return int(number) if self.whole else number


@dataclass(frozen=True)
class Choice:
    """One of some names, which are typed with hyphens for spaces.

    >>> print(Choice(("a b", "c")), "|", Choice(("a b", "c")).read("a-b"))
    one of a-b, c | a b
    """

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {listing(name.replace(' ', '-') for name in self.names)}"

    def read(self, typed: str) -> str:
        """The name that is meant."""
        name = typed.replace("-", " ")
        if name not in self.names:
            raise ValueError
        return name


@dataclass(frozen=True)
class Fractions:
    """Positive numbers that sum to 1, `Fractions().read("0.5,.5")`."""

    def __str__(self) -> str:
        return "positive numbers that sum to 1, A,B,C"

    def read(self, typed: str | Iterable[float]) -> list[float]:
        """One number after the other."""
        found = _numbers(typed)
        if not (found and min(found) > 0 and abs(math.fsum(found) - 1) <= 1e-9):
            raise ValueError
        return found


@dataclass(frozen=True)
class Groups:
    """How many groups, or the size of each.

    >>> Groups().read("2"), Groups().read("3,2")
    (2, [3, 2])
    """

    def __str__(self) -> str:
        return f"a whole number from 1 to {_GROUPS}, or the size of each group, A,B,C"

    def read(self, typed: str | float | list[int]) -> int | list[int]:
        """A number of groups, or a list of sizes."""
        sizes = _numbers(typed)
        single = len(sizes) == 1 and not isinstance(typed, list)
        most = _GROUPS if single else _MOST
        whole = all(size % 1 == 0 and 1 <= size <= most for size in sizes)
        if not (whole and 0 < len(sizes) <= _GROUPS):
            raise ValueError
        return int(sizes[0]) if single else [int(size) for size in sizes]


def _numbers(typed: Any) -> list[float]:
    """The numbers in `A,B`, in a list, or the one that it is; none if something is no number."""
    parts = typed.split(",") if isinstance(typed, str) else typed
    try:
        return [float(part) for part in (parts if isinstance(parts, Iterable) else [parts])]
    except ValueError:
        return []


@dataclass(frozen=True)
class Option:
    """An option as a class of bounds declares it; name and need are those of its field."""

    metavar: str  # what stands for its value in the help
    help: str  # what it says, in one line
    values: Values  # what it takes
    name: str = ""  # of the field
    needed: bool = True  # the field has no default

    @property
    def written(self) -> str:
        """How the option is typed."""
        return "--" + self.name.replace("_", "-")

    def read(self, typed: Any) -> Any:
        """What stands in the option, if it is allowed.

        >>> Option("P", "chance", FRACTION, "error_rate").read("2")
        Traceback (most recent call last):
        ...
        sourcewise.errors.InputError: --error-rate must be above 0 and below 1, got 2
        """
        try:
            return self.values.read(typed)
        except ValueError as error:
            message = f"{self.written} must be {self.values}, got {typed}{error}"
            raise InputError(message) from None


def declared(kind: type) -> list[Option]:
    """The options among the fields of a dataclass."""
    return [
        replace(part, name=field.name, needed=field.default is MISSING)
        for field in fields(kind)
        for part in get_args(field.type)
        if isinstance(part, Option)
    ]


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


def groups_in_words(sizes: Sequence[int]) -> str:
    """How many groups, or their sizes where these differ and fit in a column."""
    listed = "groups " + ",".join(map(str, sizes))
    return listed if len(set(sizes)) > 1 and len(listed) <= 12 else f"{len(sizes)} groups"


def count(value: float) -> str:
    """A whole number that leaves a gap in its column.

    >>> count(957647), count(123456789012345)
    ('957,647', '1.235e+14')
    """
    shown = f"{value:,.0f}"
    return shown if len(shown) <= 11 else f"{value:.4g}"


COUNT, POSITIVE = Range(1, whole=True), Range(0, open=True)
FRACTION = Range(0, open=True, below=1)

# of several classes
DIM = Option("d", "number of coordinates of x, the columns of a table", COUNT)
SPECIFIC = Option("d1", "how many numbers belong to one source alone", Range(0, whole=True))
