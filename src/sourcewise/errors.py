"""What went wrong on the user's side, in one line: what, where, and what is allowed."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "InputError",
    "TrainingFailed",
    "Unsuited",
    "counted",
    "listing",
    "rounded",
    "unknown",
]


class InputError(ValueError):
    """Bad input or usage. The command line prints its one line and exits with code 2."""


class Unsuited(InputError):
    """Data that this family cannot take in any way, but another may."""


class TrainingFailed(RuntimeError):
    """Training broke down; the message says where and what to change. Exit code 1."""


def counted(n: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def rounded(value: float) -> str:
    """A number to two digits, large ones without exponents.

    >>> rounded(0.0123), rounded(112.0), rounded(99.7), rounded(-2.71)
    ('0.012', '110', '100', '-2.7')
    """
    short = f"{value:.2g}"
    return f"{float(short):.0f}" if abs(float(short)) >= 100 else short


def listing(items: Iterable[object], limit: int = 8) -> str:
    """Join names for a message, cut after `limit` of them.

    >>> listing(["a", "b"]), listing(range(12), limit=3)
    ('a, b', '0, 1, 2 and 9 more')
    """
    names = [text if (text := str(item)).isprintable() else repr(text) for item in items]
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def unknown(what: str, name: str, allowed: Iterable[object]) -> InputError:
    """Error for a name that is not among those there are; suggests the nearest.

    >>> print(unknown("column", "heigth", ["height", "weight"]))
    no column 'heigth': did you mean 'height'? (there are: height, weight)
    >>> print(unknown("column", "age", ["height", "weight"]))
    no column 'age' (there are: height, weight)
    """
    names = [str(item) for item in allowed]
    near = get_close_matches(str(name), names, n=1, cutoff=0.6)
    hint = f": did you mean {near[0]!r}?" if near else ""
    return InputError(f"no {what} {str(name)!r}{hint} (there are: {listing(names, 12)})")
