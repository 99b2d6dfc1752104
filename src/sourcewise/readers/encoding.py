"""Bytes -> text: the encoding of a file, and what is said of files that have another.

A byte order mark decides; without one a file is in UTF-8, or in the encoding that the user names.
"""

import codecs
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sourcewise.errors import InputError, phrases
from sourcewise.readers.files import open_file, read_bytes, reading
from sourcewise.readers.guess import likely

__all__ = [
    "NotText",
    "TextLines",
    "check_encoding",
    "encoding_of",
    "is_surely_utf8",
    "lines_of",
    "not_text",
    "read_text",
]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_MARK = max(len(mark) for mark, _ in _MARKS)
_BLOCK = 1 << 20  # characters that are checked at once
_SAMPLE = 1 << 18  # bytes that a guess looks at


class NotText(InputError):
    """Bytes that are not text of an encoding.

    Args:
        where: the file, and the line and byte if one is wrong.
        encoding: that they should have.
        sample: the first of them.
    """

    def __init__(self, where: str, encoding: str, sample: bytes):
        self.where, self.encoding, self.sample = where, encoding, sample
        guess = _likely(sample)
        remedy = f"say --encoding {guess} if it was written so, or " if guess else ""
        super().__init__(f"{where} is not {encoding.upper()} text: {remedy}save it as UTF-8")

    @staticmethod
    def of_all(errors: Sequence["NotText"]) -> InputError:
        """One error for several files."""
        if len(errors) == 1:
            return errors[0]
        kinds = {_likely(error.sample).startswith("utf-16") for error in errors}
        guess = _likely(b"\n".join(error.sample for error in errors)) if len(kinds) == 1 else ""
        remedy = f"say --encoding {guess} if they were written so, or " if guess else ""
        places = phrases([error.where for error in errors], 3)
        return InputError(
            f"{len(errors)} files are not {errors[0].encoding.upper()} text ({places}): {remedy}"
            "save them as UTF-8"
        )


def check_encoding(name: str) -> None:
    """Raise unless there is an encoding of this name.

    >>> check_encoding("latin-x")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no encoding 'latin-x' (such as utf-8, cp1252, utf-16)
    """
    try:
        "a".encode(name).decode(name)
    except (LookupError, ValueError):
        raise InputError(f"no encoding {name!r} (such as utf-8, cp1252, utf-16)") from None


def encoding_of(content: bytes, wanted: str | None = None) -> tuple[str, int]:
    """The encoding of a file by its beginning, and the bytes of its mark.

    >>> encoding_of(b"\\xff\\xfea\\0"), encoding_of(b"a", "cp1252")
    (('utf-16-le', 2), ('cp1252', 0))
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name, len(mark)
    return wanted or "utf-8", 0


def is_surely_utf8(content: bytes, wanted: str) -> bool:
    """Whether a file is UTF-8 although its folder is said to have another encoding.

    >>> [is_surely_utf8("é".encode(code), "cp1252") for code in ("utf-8", "cp1252")]
    [True, False]
    """
    marked = encoding_of(content)[1] > 0
    if marked or codecs.lookup(wanted).name == "utf-8" or b"\0" in content:
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    wide = "\n".encode(wanted) != b"\n"
    return wide or not content.isascii()


def not_text(path: Path, encoding: str, content: bytes | None = None) -> NotText:
    """What is not text of an encoding: where, and which encoding it may be instead."""
    content = read_bytes(path) if content is None else content
    _, mark = encoding_of(content)
    try:
        before, nul, _ = content[mark:].decode(encoding).partition("\0")
        at = len(before.encode(encoding)) if nul else -1
    except UnicodeDecodeError as error:
        at = error.start
    except UnicodeError:  # a codec of Python that says no place
        at = -1
    where = f"{path}"
    at += mark
    if mark <= at < len(content):
        line = content.count(b"\n", 0, at) + 1
        where = f"{path}, line {line}: byte {at + 1} (0x{content[at]:02x})"
    start = 0 if at < _SAMPLE else content.rfind(b"\n", 0, at) + 1
    return NotText(where, encoding, content[start:][:_SAMPLE])


def _likely(content: bytes) -> str:
    """What the encoding of a file may be; "" if it is none that can be guessed."""
    content = content[:_SAMPLE]
    if encoding_of(content)[1]:
        return ""  # its mark says so, and is not true
    if b"\0" in content:
        wide = content.count(b"\0") > len(content) / 10
        return ("utf-16-le" if content[1:2] == b"\0" else "utf-16-be") if wide else ""
    return likely(content)


def read_text(path: Path, encoding: str | None = None) -> str:
    """The text of a whole file.

    Args:
        path: the file.
        encoding: that it has; None: UTF-8, or as a byte order mark says.
    """
    content = read_bytes(path)
    name, mark = encoding_of(content, encoding)
    try:
        text = content[mark:].decode(name)
    except UnicodeError:
        raise not_text(path, name, content) from None
    if "\0" in text:
        raise not_text(path, name, content)
    return text


class TextLines:
    """A file of text, checked as a whole, then read line by line; never all of it is held.

    All lines end with \\n, except perhaps the last.

    Args:
        path: the file.
        encoding: that it has; None: UTF-8, or as a byte order mark says.

    Attributes:
        end: how its lines end: \\n, or \\r\\n if any has \\r.

    Raises:
        NotText: the file is not text of the encoding.
    """

    def __init__(self, path: Path, encoding: str | None = None):
        self.path = path
        self._name, self._mark = encoding_of(read_bytes(path, _LONGEST_MARK), encoding)
        with self._opened() as text:
            while block := text.read(_BLOCK):
                if "\0" in block:
                    raise not_text(path, self._name)
            ends = "".join(text.newlines or "")
            self.end = "\r\n" if "\r" in ends else ends

    def __iter__(self) -> Iterator[str]:
        with self._opened() as text:
            yield from text

    @contextmanager
    def _opened(self) -> Iterator[io.TextIOWrapper]:
        with reading(self.path), open_file(self.path, self._mark) as file:
            try:
                yield io.TextIOWrapper(file, self._name)
            except UnicodeError:
                raise not_text(self.path, self._name) from None


def lines_of(text: str) -> list[str]:
    """All lines without their ends (LF, CRLF, CR), blank ones included: line i + 1 at i."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
