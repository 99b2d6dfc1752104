"""How much data may hold: limits that all readers share, each refused in one line with its number.

They are far beyond what these models can learn from; what is above them is another kind of file,
or a fault in one, and would only take hours or the memory.
"""

from collections.abc import Sequence

from sourcewise.errors import InputError, shortened

__all__ = [
    "LONGEST_CELL",
    "LONGEST_NAME",
    "MOST_BYTES",
    "MOST_CATEGORIES",
    "MOST_CELLS",
    "MOST_COLUMNS",
    "MOST_SOURCES",
    "check_columns",
    "check_names",
    "check_unpacked",
]

MOST_COLUMNS = 20_100  # 20 000 features, and what stands beside them: the source, groups, keys
MOST_SOURCES = 10_000
MOST_CATEGORIES = 100_000  # of one column
LONGEST_NAME = 1000  # characters of the name of a column or source
LONGEST_CELL = 100_000  # characters of a value of a column
MOST_BYTES = 1 << 32  # of one array in a file
MOST_CELLS = 1 << 31  # of a file that says how many it holds
MOST_UNPACKED, MOST_TIMES = 1 << 27, 100  # bytes of what is packed; or times as many as it takes


def check_columns(count: int, where: object) -> None:
    """Raise for too many columns; to be called before they are read.

    >>> check_columns(100_000, "a.csv")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: a.csv: 100000 columns (at most 20100)
    """
    if count > MOST_COLUMNS:
        raise InputError(f"{where}: {count} columns (at most {MOST_COLUMNS})")


def check_names(names: Sequence[str], what: str, where: object) -> None:
    """Raise for a name that no screen and no file can hold.

    >>> check_names(["a" * 2000], "column", "a.csv")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: a.csv: the name of a column has 2000 characters \
(at most 1000): it begins with 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    """
    for name in names:
        if len(name) > LONGEST_NAME:
            raise InputError(
                f"{where}: the name of a {what} has {len(name)} characters (at most "
                f"{LONGEST_NAME}): it begins with {name[:40]!r}"
            )
    together = "".join(names)
    if "\0" in together or not _is_text(together):
        bad = next(name for name in names if "\0" in name or not _is_text(name))
        held = "NUL" if "\0" in bad else "half a surrogate pair"
        raise InputError(
            f"{where}: the name {shortened(repr(bad))} of a {what} holds {held}, no character"
        )


def check_unpacked(size: int, packed: int, where: object, remedy: str) -> None:
    """Raise for what is packed too well: a small file that would fill the memory.

    >>> check_unpacked(1 << 34, 1 << 24, "a.csv.gz", "unpack it first")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: a.csv.gz holds more than 1600 MiB, over 100 times what it takes \
packed: if that is right, unpack it first

    Args:
        size: bytes that are known to be in it.
        packed: bytes that it takes.
        where: it stands, for messages.
        remedy: what helps, if it is right nevertheless.
    """
    if size > max(MOST_UNPACKED, MOST_TIMES * packed):
        most = f"{max(MOST_UNPACKED, MOST_TIMES * packed) / 2**20:.4g} MiB"
        raise InputError(
            f"{where} holds more than {most}, over {MOST_TIMES} times what it takes packed: if "
            f"that is right, {remedy}"
        )


def _is_text(name: str) -> bool:
    """Whether UTF-8 can hold a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
