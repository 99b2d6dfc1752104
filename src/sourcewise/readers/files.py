"""Plain text files -> their lines, with every defect named by file and line."""

import codecs
import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from sourcewise.errors import InputError

__all__ = ["Lines", "read_lines", "stem", "suffix"]


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


@dataclass(frozen=True)
class Lines:
    """Where rows stand: a file, and the line of each."""

    path: Path
    lines: list[int]

    def __call__(self, i: int) -> str:
        """The place of a row, for messages."""
        return f"{self.path}, line {self.lines[i]}"


def read_lines(path: Path) -> list[str]:
    """All lines without their ends (LF, CRLF, CR), blank ones included: line i + 1 at i.

    Args:
        path: UTF-8 text, with or without a byte order mark; gzipped if it ends in .gz.
    """
    content = _read(path).removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, content, error.start) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            return file.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def _not_utf8(path: Path, content: bytes, at: int) -> InputError:
    line = content.count(b"\n", 0, at) + 1
    byte = at - content.rfind(b"\n", 0, at)
    return InputError(
        f"{path}, line {line}: byte {byte} (0x{content[at]:02x}) is not UTF-8 text: save the file "
        "as UTF-8"
    )
