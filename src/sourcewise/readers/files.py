"""Files as bytes: their names, what may be opened, and every library's complaint as one line."""

import gzip
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, cast

from sourcewise.cells import in_shell
from sourcewise.errors import InputError
from sourcewise.limits import check_unpacked

__all__ = [
    "Lines",
    "is_no_data",
    "natural",
    "open_file",
    "read_bytes",
    "reading",
    "refuse_special",
    "stem",
    "suffix",
]

_PART = 1 << 20  # bytes
_NO_DATA = (".*", "thumbs.db", "desktop.ini", "icon\r", "__macosx", "readme*", "license*")
_SPECIAL = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device or terminal",
    stat.S_ISBLK: "a device",
}


def suffix(path: Path) -> str:
    """The ending that tells the format, in small letters: .txt, .jsonl.gz.

    >>> suffix(Path("A.TXT")), suffix(Path("b.c.jsonl.gz"))
    ('.txt', '.jsonl.gz')
    """
    compressed = path.suffix.lower() == ".gz"
    return ("".join(path.suffixes[-2:]) if compressed else path.suffix).lower()


def stem(path: Path) -> str:
    """The file's name without its ending.

    >>> stem(Path("names/Scots.Gaelic.txt.gz"))
    'Scots.Gaelic'
    """
    return path.name[: len(path.name) - len(suffix(path))]


def natural(text: str) -> tuple[tuple[float, str], ...]:
    """Sort key that puts "a2" before "a10"."""
    parts = re.split(r"(\d+)", text)
    return tuple((float(p), "") if p.isdecimal() else (-1.0, p) for p in parts)


def is_no_data(name: str) -> bool:
    """Whether a file or folder is called like what systems and people leave beside data.

    >>> is_no_data(".DS_Store"), is_no_data("ReadMe.txt"), is_no_data("red.txt")
    (True, True, False)
    """
    return any(fnmatch(name.casefold(), mark) for mark in _NO_DATA)


@dataclass(frozen=True)
class Lines:
    """Where rows stand: a file, and the line of each."""

    path: Path
    lines: Sequence[int]

    def __call__(self, i: int) -> str:
        """The place of a row, for messages."""
        return f"{self.path}, line {self.lines[i]}"


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Around what a library does with a file: whatever it raises says that the file is damaged.

    >>> with reading("a.npz"):
    ...     raise OverflowError("3 GiB, or so")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: a.npz is damaged: 3 GiB, or so
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        told = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        if isinstance(error, OSError) and error.filename is not None:
            raise InputError(f"cannot read {path}: {told}") from None
        told = told.splitlines()[0]
        raise InputError(f"{path} is damaged: {told:.300}") from None


def refuse_special(path: Path) -> None:
    """Raise unless a path is a file or folder: others may never end, or never begin."""
    with reading(path):
        mode = path.stat().st_mode
    for test, words in _SPECIAL.items():
        if test(mode):
            raise InputError(f"{path} is {words}, no file: write its content to a file first")


def open_file(path: Path, skip: int = 0) -> IO[bytes]:
    """A file's bytes after the first few, unpacked if it ends in .gz; use inside `reading`."""
    file = cast(IO[bytes], (_Unpacked if path.suffix.lower() == ".gz" else open)(path, "rb"))
    file.read(skip)
    return file


class _Unpacked(gzip.GzipFile):
    """A gzipped file that is read bit by bit, and refused where it holds too much."""

    def __init__(self, path: Path, mode: str):
        super().__init__(path, mode)
        self.path, self.packed = path, path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, or all."""
        remedy = f"unpack it first: gunzip {in_shell(str(self.path))}"
        parts, left = [], float("inf") if size is None or size < 0 else size
        while left > 0 and (part := super().read(int(min(left, _PART)))):
            parts.append(part)
            left -= len(part)
            check_unpacked(self.tell(), self.packed, self.path, remedy)
        return b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        """As many bytes as come at once: what readers of lines ask for."""
        return self.read(_PART if size < 0 else size)


def read_bytes(path: Path, size: int = -1) -> bytes:
    """The first bytes of a file, or all; unpacked if it ends in .gz."""
    with reading(path), open_file(path) as file:
        return file.read(size)
