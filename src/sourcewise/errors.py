"""What went wrong on the user's side, in one line: what, where, and what is allowed."""

import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = [
    "Damaged",
    "InputError",
    "NotTaken",
    "TrainingFailed",
    "Unsuited",
    "counted",
    "listing",
    "phrases",
    "rounded",
    "shortened",
    "unknown",
    "visible",
]

LONGEST_MESSAGE, LONGEST_VALUE = 2000, 60  # characters
_COMPARED = 2000  # names that a wrong one is compared with
# Control, format (marks of direction, of no width), half a pair, private, unassigned, line ends.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class InputError(ValueError):
    """Bad input or usage. The command line prints its one line and exits with code 2.

    >>> print(InputError("no column 'a\\x1b[31m\\n'"))
    no column 'a\\x1b[31m\\n'
    >>> print(InputError("{row} is empty", row=0))
    row 1 is empty

    Args:
        message: the line; of a row, `{row}` where its place belongs.
        row: its number from 0, where only who has the sample knows its place (`sources.places`).
    """

    def __init__(self, message: str, row: int | None = None):
        self.message, self.row = message, row
        told = message if row is None else message.replace("{row}", f"row {row + 1}")
        super().__init__(shortened(visible(told), LONGEST_MESSAGE))

    def placed(self, place: str) -> "InputError":
        """The same, of a row whose place is known."""
        return type(self)(self.message.replace("{row}", place))


class Damaged(InputError):
    """What stands in a place is not what was written there; the message names the place."""


class NotTaken(InputError):
    """Data that this family does not take as they are, but another may."""


class Unsuited(NotTaken):
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


def visible(text: str) -> str:
    """Text on one line, in which nothing moves the cursor, turns the line around or hides.

    >>> print(visible("a\\r\\n\\x1b[31m \\u202eb\\u200b é"))
    a\\r\\n\\x1b[31m \\u202eb\\u200b é
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c
        for c in text
    )


def shortened(text: str, limit: int = LONGEST_VALUE) -> str:
    """A long value with its middle cut out, and how long it is.

    >>> shortened("short"), shortened("a" * 50 + "b" * 950, 20)
    ('short', 'aaaaaaaaaa…bbbbbbbbb (1000 characters)')
    """
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[-tail:]} ({len(text)} characters)"


def listing(items: Iterable[object], limit: int = 8) -> str:
    """Join names for a message, cut after `limit` of them.

    >>> listing(["a", "b"]), listing(range(12), limit=3)
    ('a, b', '0, 1, 2 and 9 more')
    """
    names = [str(item) for item in items]
    return phrases([*map(shortened, names[:limit]), *names[limit:]], limit)


def phrases(items: Sequence[str], limit: int = 8) -> str:
    """As `listing`, of more than names: none is shortened.

    >>> phrases(["a (1 row)", "b (2 rows)"], limit=1)
    'a (1 row) and 1 more'
    """
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")


def unknown(what: str, name: str, allowed: Iterable[object]) -> InputError:
    """Error for a name that is not among those there are; suggests the nearest.

    >>> print(unknown("column", "heigth", ["height", "weight"]))
    no column 'heigth': did you mean 'height'? (there are: height, weight)
    >>> print(unknown("column", "age", ["height", "weight"]))
    no column 'age' (there are: height, weight)
    """
    names = [str(item) for item in allowed]
    # Comparing takes a while: of long lists only the first names, and none that nobody types.
    short = [item for item in names[:_COMPARED] if len(item) <= LONGEST_VALUE]
    near = get_close_matches(name[:LONGEST_VALUE], short, n=1, cutoff=0.6)
    hint = f": did you mean {near[0]!r}?" if near else ""
    told = shortened(repr(name))
    return InputError(f"no {what} {told}{hint} (there are: {listing(names, 12)})")
