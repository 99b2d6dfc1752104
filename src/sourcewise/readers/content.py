"""What a file is by its bytes, where its name says something else.

Names decide how files are read, and contents do not: a file that is something else is refused in
one line that says what it is, and what to call it or how to write it.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from sourcewise.errors import InputError
from sourcewise.readers.files import reading

__all__ = ["refuse_other_content"]


@dataclass(frozen=True)
class _Content:
    """What bytes are, the endings of names that say so, and what helps under another name."""

    what: str
    remedy: str
    endings: tuple[str, ...] = ()


_WORKBOOK = _Content("a workbook of a spreadsheet", "save its sheet as .csv there")
_DOCUMENT = _Content("a document of an office program", "save what it holds as .txt or .csv there")
_ARRAYS = _Content("an archive of NumPy arrays", "call it .npz", (".npz",))
# An .npz file is an archive too: what is wrong with one, its reader says.
_ARCHIVE = _Content(
    "a zip archive", "unpack it, or call it .zip if it holds images", (".zip", ".npz")
)
_GZIP = _Content(
    "gzipped", "unpack it, or add .gz to its name if it is text or a table of text", (".gz",)
)
_PACKED = "unpack it"
_WRITTEN = "write it as .parquet or .csv"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
# The first bytes, and the last ones where the first could begin a text.
_MARKS = (
    (b"\x1f\x8b", b"", _GZIP),
    (b"PAR1", b"PAR1", _Content("a Parquet file", "call it .parquet", (".parquet",))),
    (b"ARROW1\0\0", b"", _Content("an Arrow (Feather) file", _WRITTEN)),
    (b"FEA1", b"FEA1", _Content("a Feather file", _WRITTEN)),
    (b"\x93NUMPY", b"", _Content("a lone NumPy array", "write x and y by numpy.savez, as .npz")),
    (b"\x89HDF\r\n\x1a\n", b"", _Content("an HDF5 file", _WRITTEN)),
    (b"SQLite format 3\0", b"", _Content("an SQLite database", _WRITTEN)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", _WORKBOOK),
    (b"BZh91AY&SY", b"", _Content("packed by bzip2", _PACKED)),
    (b"\xfd7zXZ\0", b"", _Content("packed by xz", _PACKED)),
    (b"\x28\xb5\x2f\xfd", b"", _Content("packed by zstd", _PACKED)),
    (b"7z\xbc\xaf\x27\x1c", b"", _Content("a 7z archive", _PACKED)),
)


def refuse_other_content(path: Path) -> None:
    """Raise for a file that is something else than its name says, or that nothing reads.

    Raises:
        InputError: what it is, and what helps.
    """
    found = _content(path)
    if found is not None and path.suffix.lower() not in found.endings:
        raise InputError(f"{path} is {found.what}: {found.remedy}")


def _content(path: Path) -> _Content | None:
    """What a file is by its bytes; None: text, or what these do not tell."""
    with reading(path), path.open("rb") as file:
        first = file.read(16)
        file.seek(-min(path.stat().st_size, 4), 2)
        last = file.read()
    if first.startswith(_ZIP):
        return _archived(path)
    return next((of for mark, end, of in _MARKS if _between(first, last, mark, end)), None)


def _between(first: bytes, last: bytes, mark: bytes, end: bytes) -> bool:
    return first.startswith(mark) and last.endswith(end)


def _archived(path: Path) -> _Content:
    """What a zip archive is by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.namelist()
    except Exception:  # damaged: its reader says how, if it is called like an archive
        return _ARCHIVE
    if {"xl/workbook.xml", "xl/workbook.bin"} & set(inside):
        return _WORKBOOK
    if {"[Content_Types].xml", "mimetype"} & set(inside):
        return _DOCUMENT
    return _ARRAYS if inside and all(name.endswith(".npy") for name in inside) else _ARCHIVE
