"""Names and values as CSV files and shells have them, so that they read back as the same.

A cell stands in quotes where some reader would take it for something else without them: also
for a carriage return, a space at an end, and a mark of comments.
"""

import re
import shlex
from collections.abc import Iterable

from sourcewise.errors import visible

__all__ = ["as_cell", "as_option", "csv_text", "in_shell"]

EMPTY = '""'  # a row of one empty cell, which else is no row
_AMBIGUOUS = re.compile(r"""^[\s#]|\s$|[",;\t|\r\n]|^sep=""", re.IGNORECASE)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as a CSV file has them; None is an empty cell.

    >>> csv_text([["a", None, 1], [" b", 0.5, "c\\r"]])
    'a,,1\\n" b",0.5,"c\\r"\\n'
    """
    lines = (",".join(map(as_cell, row)) for row in rows)
    return "".join(f"{line or EMPTY}\n" for line in lines)


def as_cell(value: object) -> str:
    """A cell of a CSV file; None is an empty one.

    >>> print(as_cell("age"), as_cell("Weight, kg"))
    age "Weight, kg"
    """
    text = "" if value is None else str(value)
    if not _AMBIGUOUS.search(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def as_option(option: str, *names: str) -> str:
    """An option as it is typed into a shell, with names as it takes them: `A,B`, as in CSV.

    >>> print(as_option("--ignore", "age", "Weight, kg"))
    --ignore 'age,"Weight, kg"'
    >>> print(as_option("--types", "a\\r=date"), as_option("--log", "b"))
    --types $'"a\\r=date"' --log b
    """
    return f"{option} {in_shell(','.join(map(as_cell, names)))}"


def in_shell(text: str) -> str:
    """A word of a command line, for shells that know $'...', where `\\x` is a byte.

    >>> print(in_shell("site"), in_shell("a b"), in_shell("it's\\u202e\\n"))
    site 'a b' $'it\\'s\\U0000202e\\n'
    """
    if visible(text) == text:
        return shlex.quote(text)
    marked = text.replace("\\", "\\\\").replace("'", "\\'")
    shown = (visible(c) if c < "\x80" or visible(c) == c else f"\\U{ord(c):08x}" for c in marked)
    return f"$'{''.join(shown)}'"
