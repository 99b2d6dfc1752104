"""Delimited text files (.csv, .tsv) -> Arrow tables of text, every cell as it stands.

What is decided here is said: the encoding (by a byte order mark, else UTF-8), the separator (by
the rows, not by the header alone), lines before the header (`sep=;`, comments), a separator at the
end of each row. pyarrow splits the cells: of the readers tried it takes the least time and memory.
"""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv as pa_csv

from sourcewise.errors import InputError, listing
from sourcewise.limits import check_columns, check_names

__all__ = ["SEPARATORS", "Delimited", "Layout", "decoding_error", "layout_of", "read_delimited"]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_HEAD = 1 << 18  # bytes that separator and header are judged by
_BLOCK = 1 << 24
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Layout:
    """How a file is laid out.

    Args:
        encoding: of its text.
        mark: bytes of a byte order mark.
        separator: between cells.
        skipped: lines before the header.
        names: of the columns.
        tail: whether rows end with a separator that the header does not have.
        quoted: whether quotes mean something.
    """

    encoding: str
    mark: int
    separator: str
    skipped: int
    names: tuple[str, ...]
    tail: bool
    quoted: bool = True


@dataclass(frozen=True)
class Delimited:
    """A file of rows.

    Args:
        table: (n rows) every column text, "" where a cell is empty.
        path: the file.
        layout: how it is laid out.
    """

    table: pa.Table
    path: Path
    layout: Layout

    def line(self, row: int) -> int:
        """The line on which a row (from 0) begins; it reads the file again."""
        for i, (number, _) in enumerate(_records(self.path, self.layout)):
            if i == row + 1:
                return number
        return 0

    def __call__(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"{self.path}, line {self.line(row)}"


def read_delimited(path: Path, layout: Layout) -> Delimited:
    """Read the cells of a file.

    Raises:
        InputError: whatever is wrong, with file and line.
    """
    names = [*layout.names, *([""] if layout.tail else [])]
    numbered = [str(j) for j in range(len(names))]  # the real ones may be empty or repeated
    bad: list[pa_csv.InvalidRow] = []

    def note(row: pa_csv.InvalidRow) -> str:
        bad.append(row)
        return "skip" if len(bad) < 2 else "error"

    options = {
        "parse_options": pa_csv.ParseOptions(
            delimiter=layout.separator,
            quote_char='"' if layout.quoted else False,
            newlines_in_values=layout.quoted,
            invalid_row_handler=note,
        ),
        "convert_options": pa_csv.ConvertOptions(
            column_types=dict.fromkeys(numbered, pa.string()), strings_can_be_null=False
        ),
    }
    read = pa_csv.ReadOptions(
        use_threads=False,
        block_size=_BLOCK,
        column_names=numbered,
        skip_rows=layout.skipped,
        skip_rows_after_names=1,  # the header, which quotes may spread over lines
        encoding=layout.encoding,
    )
    try:
        with _open(path, layout.mark) as file:
            table = pa_csv.read_csv(file, read_options=read, **options)
    except pa.ArrowInvalid as error:
        if bad:
            raise _uneven(path, layout, bad[0]) from None
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise decoding_error(path, layout.encoding) from None
        if "straddl" in str(error):
            raise _long_row(path) from None
        raise _damaged(path, error) from None
    except (UnicodeDecodeError, LookupError):
        raise decoding_error(path, layout.encoding) from None
    except (gzip.BadGzipFile, EOFError, zlib.error, OSError) as error:
        raise _damaged(path, error) from None
    if bad:
        raise _uneven(path, layout, bad[0])
    return Delimited(_named(table, layout, path), path, layout)


def _long_row(path: Path) -> InputError:
    most = f"longer than {_BLOCK >> 20} MiB, the most that is read"
    return InputError(f"{path}: a row is {most}: is a quote opened that never ends?")


def _named(table: pa.Table, layout: Layout, path: Path) -> pa.Table:
    """With the columns' names, and without empty columns at the end that have none."""
    names = [*layout.names, *([""] if layout.tail else [])]
    while not names[-1].strip() and not any(table.column(len(names) - 1).unique().to_pylist()):
        names.pop()
    if layout.tail and len(names) > len(layout.names):
        raise InputError(
            f"{path}: rows hold a cell after the last column of the header, {names[-2]!r}: name "
            "it, or remove it"
        )
    _refuse_nameless(names, path)
    return table.select(range(len(names))).rename_columns(names)


def _refuse_nameless(names: list[str], path: Path) -> None:
    nameless = [j for j, name in enumerate(names, 1) if not name.strip()]
    if nameless:
        raise InputError(
            f"{path}: no name in the header for column {listing(nameless)} of {len(names)}: "
            "name it, or remove it (pandas: to_csv(..., index=False))"
        )
    seen: set[str] = set()
    repeated = sorted({name for name in names if name in seen or seen.add(name)})
    if repeated:
        raise InputError(f"{path}: duplicate column names: {listing(map(repr, repeated))}")


def layout_of(path: Path, separator: str | None = None, encoding: str | None = None) -> Layout:
    """How a file is laid out.

    Args:
        path: the file, gzipped if it ends in .gz.
        separator: between cells; None: judged by the rows.
        encoding: of its text; None: UTF-8, or as a byte order mark says.

    Raises:
        InputError: no header can be found, or it is not text of this encoding.
    """
    head = _read(path, _HEAD)
    if len(head) == _HEAD and head.count(b"\n") + head.count(b"\r") < 3:
        head = _read(path, _BLOCK)  # a very long header
    mark, found = next(((m, name) for m, name in _MARKS if head.startswith(m)), (b"", "utf-8"))
    encoding = encoding or found
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head[len(mark) :])
    except UnicodeDecodeError:
        raise decoding_error(path, encoding) from None
    except LookupError:
        raise InputError(f"no encoding {encoding!r} (such as utf-8, cp1252, utf-16)") from None
    if "\0" in text:
        raise decoding_error(path, encoding)
    lines = _lines(text)
    if len(head) in (_HEAD, _BLOCK):
        lines = lines[:-1] or lines  # the last one is cut
    skipped = 0
    while skipped < len(lines) and _no_header(lines[skipped]):
        told = lines[skipped].strip().casefold()
        if told.startswith("sep=") and len(told) == 5 and separator is None:
            separator = told[4]
        skipped += 1
    rest = lines[skipped:]
    if not any(line.strip() for line in rest):
        raise InputError(f"{path} is empty")
    if separator is None:
        separator = "\t" if ".tsv" in path.suffixes else _separator(rest)
    rows = [row for row in _split(rest[:200], separator) if row]
    names, others = rows[0], rows[1:]
    if len(names) == 1:
        allowed = "columns are separated by commas, semicolons, tabs or bars (--separator)"
        raise InputError(f"{path}: the header has one column only, {names[0][:60]!r}: {allowed}")
    check_columns(len(names), path)
    check_names(names, "column", path)
    if others and all(len(row) == 1 for row in others):
        raise InputError(
            f"{path}: the header has {len(names)} columns, separated by {separator!r}, "
            f"but the first row has one, {others[0][0][:40]!r}"
        )
    tail = bool(others) and all(len(row) == len(names) + 1 and not row[-1] for row in others)
    return Layout(encoding, len(mark), separator, skipped, tuple(names), tail)


def _no_header(line: str) -> bool:
    """Whether a line at the beginning is none of the table: blank, a comment, Excel's `sep=`."""
    text = line.strip()
    return not text or text.startswith("#") or (text[:4].casefold() == "sep=" and len(text) == 5)


def _separator(lines: list[str]) -> str:
    """The one that splits most rows into as many cells as the header, two or more."""

    def score(mark: str) -> tuple[float, int]:
        rows = [row for row in _split(lines[:100], mark) if row]
        cells = len(rows[0])
        same = sum(len(row) in (cells, cells + 1) for row in rows[1:])
        return (same / max(len(rows) - 1, 1) if cells > 1 else -1.0), cells

    return max(SEPARATORS, key=score)


def _split(lines: list[str], separator: str) -> list[list[str]]:
    """The cells of some lines; a cell too long for `csv` holds what is no separator."""
    try:
        return list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return [line.rstrip("\r\n").split(separator) for line in lines]


def _lines(text: str) -> list[str]:
    """With their ends (LF, CRLF, CR), so that those within quotes stay what they are."""
    return io.StringIO(text, newline="").readlines()


def _records(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Header and rows, each with the line that it begins on; for messages, as it is slow."""
    text = _read(path)[layout.mark :].decode(layout.encoding, "replace")
    lines = _lines(text)[layout.skipped :]
    quoting = csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=layout.separator, quoting=quoting)
    # The limit on cells is global: raised row by row, for this file only.
    before = csv.field_size_limit()
    while True:
        start = reader.line_num + 1
        csv.field_size_limit(1 << 31)
        try:
            row = next(reader, None)
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        if row:
            yield layout.skipped + start, row


def _uneven(path: Path, layout: Layout, row: pa_csv.InvalidRow) -> InputError:
    """A row with more or fewer cells than the header."""
    wanted = len(layout.names) + layout.tail
    records = _records(path, layout)
    line = next((n for n, cells in records if len(cells) != wanted and n > layout.skipped + 1), 0)
    place = f"{path}, line {line}" if line else f"{path}"
    return InputError(
        f"{place} has {row.actual_columns} cells, but the header has {len(layout.names)} "
        f"columns: {listing(layout.names)}; correct the row, or say --separator"
    )


def decoding_error(path: Path, encoding: str) -> InputError:
    """What is not text of an encoding: where, and which encoding it may be instead."""
    content = _read(path)
    mark = next((m for m, _ in _MARKS if content.startswith(m)), b"")
    try:
        content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = error.start + len(mark)
        line = content.count(b"\n", 0, at) + 1
        return InputError(
            f"{path}, line {line}: byte {at + 1} (0x{content[at]:02x}) is not {encoding.upper()} "
            f"text{_likely(content)}"
        )
    except LookupError:
        return InputError(f"no encoding {encoding!r} (such as utf-8, cp1252, utf-16)")
    return InputError(f"{path} is not {encoding.upper()} text{_likely(content)}")


def _likely(content: bytes) -> str:
    """What the encoding may be, for messages."""
    if b"\0" in content[:200]:
        guess = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    else:
        from charset_normalizer import from_bytes

        best = from_bytes(content[: 1 << 20], cp_isolation=list(_COMMON)).best()
        alike = [] if best is None else [best.encoding, *best.could_be_from_charset]
        guess = next((name for name in _COMMON if name in alike), _COMMON[0])
    return f": say --encoding {guess} if it was written so, or save it as UTF-8"


_COMMON = ("cp1252", "cp1250", "cp1251", "cp1253", "shift_jis", "gb18030", "big5", "euc_kr")


def _open(path: Path, mark: int) -> IO[bytes]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    file = cast(IO[bytes], opener(path, "rb"))
    file.read(mark)
    return file


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with _open(path, 0) as file:
            return file.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged: {str(error).splitlines()[0]}")
