"""The one door to the screen: what is printed, and streams and warnings made fit for it."""

import codecs
import io
import sys
import warnings
from typing import TextIO

from sourcewise.errors import visible

__all__ = ["prepare", "show"]

_PLAIN = str.maketrans(
    {"±": "+-", "–": "-", "−": "-", "—": "-", "…": "...", "×": "x", "·": "*", "→": "->", "≥": ">="}
)


def show(*lines: str, file: TextIO | None = None) -> None:
    """Print lines; names and values from data cannot leave theirs, nor hide or move anything."""
    print("\n".join(map(visible, lines)), file=file or sys.stdout)


def prepare() -> None:
    """What the encoding of the screen lacks is shown by other marks; warnings are one line."""
    codecs.register_error("sourcewise.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sourcewise.plain")
    warnings.formatwarning = _warning


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_PLAIN)
    return lacking.encode("ascii", "backslashreplace").decode(), error.end


def _warning(message: Warning | str, *_: object) -> str:
    return f"note: {visible(str(message))}\n"
