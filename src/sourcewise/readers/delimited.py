"""Delimited text files (.csv, .tsv) -> Arrow tables of text, every cell as it stands.

What is decided here is said: the encoding (by a byte order mark, else UTF-8), the separator (by
the rows, not by the header alone), lines before the header (`sep=;`, comments), a separator at the
end of each row.
"""

import codecs
import csv
import io
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from sourcewise.errors import InputError, listing
from sourcewise.limits import check_columns, check_names
from sourcewise.readers.blocks import BLOCK, cells_of
from sourcewise.readers.encoding import encoding_of, not_text
from sourcewise.readers.files import open_file, read_bytes, reading
from sourcewise.readers.short import as_text

__all__ = ["SEPARATORS", "Delimited", "Layout", "layout_of"]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_HEAD = 1 << 18  # bytes that separator and header are judged by


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


@dataclass
class Delimited:
    """A file of rows: where each stands, and its cells.

    Args:
        path: the file.
        layout: how it is laid out.
        rows: how many there are; known once they are read.
    """

    path: Path
    layout: Layout
    rows: int = 0

    def line(self, row: int) -> int:
        """The line on which a row (from 0) begins; 0 if the file no longer tells."""
        if self._one_line_each:
            return self.layout.skipped + row + 2
        return self._lines[row] if row < len(self._lines) else 0

    @cached_property
    def _lines(self) -> array:
        """The line on which each row begins: the file is read again, once."""
        return array("q", [line for line, _ in _records(self.path, self.layout)][1:])

    @cached_property
    def _one_line_each(self) -> bool:
        """Whether there are as many lines as header and rows need, so that none is blank."""
        if "\n".encode(self.layout.encoding) != b"\n":
            return False
        count, last = 0, b"\n"
        with reading(self.path), open_file(self.path) as file:
            while part := file.read(BLOCK):
                count, last = count + part.count(b"\n"), part[-1:]
        return count + (last != b"\n") == self.layout.skipped + 1 + self.rows

    def __call__(self, row: int) -> str:
        """The place of a row, for messages; a message does not fail for want of it."""
        try:
            line = self.line(row)
        except (InputError, OSError):  # the file has gone
            line = 0
        return f"{self.path}, line {line}" if line else f"{self.path}, row {row + 1}"

    def read(
        self, as_text: Collection[str] | None = None, missing: Collection[str] = ()
    ) -> pa.Table:
        """(n rows) every column text, `Short` or `Streamed`; "" where a cell is empty.

        Args:
            as_text: columns that stay text, whatever they hold; None: all.
            missing: texts that are gaps of numbers.

        Raises:
            InputError: whatever is wrong, with file and line.
        """
        path, layout = self.path, self.layout
        with reading(path):
            try:
                kept = layout.names if as_text is None else as_text
                table = _table(path, layout, kept, missing)
            except pa.ArrowInvalid as error:
                if got := re.search("Expected [0-9]+ columns, got ([0-9]+)", str(error)):
                    raise _uneven(path, layout, int(got[1])) from None
                if "UTF8" in str(error) or "UTF-8" in str(error):
                    raise not_text(path, layout.encoding) from None
                if "straddl" in str(error):
                    raise _long_row(path) from None
                raise
            except UnicodeError:
                raise not_text(path, layout.encoding) from None
        self.rows = len(table)
        if layout.quoted:
            self._refuse_swallowed(table)
        return _named(table, layout, path)

    def _refuse_swallowed(self, table: pa.Table) -> None:
        """Raise for a cell that holds rows: a quote was opened, and closed rows later or never."""
        width = len(self.layout.names)
        for column in table.columns:
            if not pa.types.is_string(column.type):
                continue  # of eight bytes, or numbers
            several = pc.match_substring(column, "\n").to_numpy()
            for row in several.nonzero()[0].tolist():
                lines = column[row].as_py().split("\n")[1:]
                first, others = _split(lines, self.layout.separator)
                same = [len(first), *(row.cells for row in others)].count(width)
                if lines[1:] and same > len(lines) / 2:
                    raise InputError(
                        f"{self(row)}: a cell holds {len(lines)} lines that look like rows: is a "
                        "quote opened there that never ends?"
                    )


def _table(
    path: Path, layout: Layout, as_text: Collection[str], missing: Collection[str]
) -> pa.Table:
    """The cells, in columns called by their numbers: real names may be empty or repeated."""
    parse = pa_csv.ParseOptions(
        delimiter=layout.separator,
        quote_char='"' if layout.quoted else False,
        newlines_in_values=layout.quoted,
    )
    names = [*layout.names, *([""] if layout.tail else [])]
    read = pa_csv.ReadOptions(
        use_threads=False,
        column_names=[str(j) for j in range(len(names))],
        skip_rows=layout.skipped,
        skip_rows_after_names=1,  # the header, which quotes may spread over lines
        encoding=layout.encoding,
    )
    kept = {j for j, name in enumerate(names) if name in as_text}
    return cells_of(path, layout.mark, read, parse, kept, missing)


def _long_row(path: Path) -> InputError:
    most = f"longer than {BLOCK >> 20} MiB, the most that is read"
    return InputError(f"{path}: a row is {most}: is a quote opened that never ends?")


def _named(table: pa.Table, layout: Layout, path: Path) -> pa.Table:
    """With the columns' names, and without empty columns at the end that have none."""
    names = [*layout.names, *([""] if layout.tail else [])]
    while (
        len(names) > 1
        and not names[-1].strip()
        and not any(as_text(table.column(len(names) - 1)).unique().to_pylist())
    ):
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


def layout_of(
    path: Path,
    separator: str | None = None,
    encoding: str | None = None,
    only: Sequence[str] = (),
) -> Layout:
    """How a file is laid out.

    Args:
        path: the file, gzipped if it ends in .gz.
        separator: between cells; None: judged by the rows.
        encoding: of its text, if no byte order mark says; None: UTF-8.
        only: names that a file of one column may have.

    Raises:
        InputError: no header can be found, or it is not text of this encoding.
    """
    head = read_bytes(path, _HEAD)
    if len(head) == _HEAD and head.count(b"\n") + head.count(b"\r") < 3:
        head = read_bytes(path, BLOCK)  # a very long header
    encoding, mark = encoding_of(head, encoding)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head[mark:])
    except UnicodeError:
        raise not_text(path, encoding) from None
    if "\0" in text:
        raise not_text(path, encoding)
    lines = _lines(text)
    if len(head) in (_HEAD, BLOCK):
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
    names, others = _split(rest[:200], separator)
    if len(names) == 1 and names[0] not in only:
        allowed = "columns are separated by commas, semicolons, tabs or bars (--separator)"
        raise InputError(f"{path}: the header has one column only, {names[0][:60]!r}: {allowed}")
    check_columns(len(names), path)
    check_names(names, "column", path)
    if len(names) > 1 and others and all(row.cells == 1 for row in others):
        raise InputError(
            f"{path}: the header has {len(names)} columns, separated by {separator!r}, "
            f"but the first row has one, {others[0].last[:40]!r}"
        )
    tail = bool(others) and all(row == (len(names) + 1, "") for row in others)
    return Layout(encoding, mark, separator, skipped, tuple(names), tail)


def _no_header(line: str) -> bool:
    """Whether a line at the beginning is none of the table: blank, a comment, Excel's `sep=`."""
    text = line.strip()
    return not text or text.startswith("#") or (text[:4].casefold() == "sep=" and len(text) == 5)


def _separator(lines: list[str]) -> str:
    """The one that splits most rows into as many cells as the header, two or more."""

    def score(mark: str) -> tuple[float, int]:
        names, rows = _split(lines[:100], mark)
        cells = len(names)
        same = sum(row.cells in (cells, cells + 1) for row in rows)
        return (same / max(len(rows), 1) if cells > 1 else -1.0), cells

    return max(SEPARATORS, key=score)


class _Row(NamedTuple):
    """What tells a layout of a row: how many cells it has, and the last."""

    cells: int
    last: str


def _split(lines: list[str], separator: str) -> tuple[list[str], list[_Row]]:
    """The first of some lines as cells, and the rows after it without theirs: they may be wide.

    A cell too long for `csv` holds what is no separator.
    """

    def told(rows: Iterable[list[str]]) -> tuple[list[str], list[_Row]]:
        some = filter(None, rows)
        return next(some, []), [_Row(len(row), row[-1]) for row in some]

    try:
        return told(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return told(line.rstrip("\r\n").split(separator) for line in lines)


def _lines(text: str) -> list[str]:
    """With their ends (LF, CRLF, CR), so that those within quotes stay what they are."""
    return re.findall("[^\r\n]*(?:\r\n?|\n)|[^\r\n]+", text)


def _records(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Header and rows, each with the line that it begins on; for messages, as it is slow."""
    quoting = csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
    # The limit on cells is global: raised row by row, for this file only.
    before = csv.field_size_limit()
    bare = open_file(path, layout.mark)
    with reading(path), io.TextIOWrapper(bare, layout.encoding, "replace", newline="") as file:
        lines = islice(file, layout.skipped, None)
        reader = csv.reader(lines, delimiter=layout.separator, quoting=quoting)
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


def _uneven(path: Path, layout: Layout, cells: int) -> InputError:
    """A row with more or fewer cells than the header."""
    wanted = len(layout.names) + layout.tail
    records = _records(path, layout)
    line = next((n for n, row in records if len(row) != wanted and n > layout.skipped + 1), 0)
    place = f"{path}, line {line}" if line else f"{path}"
    return InputError(
        f"{place} has {cells} cells, but the header has {len(layout.names)} "
        f"columns: {listing(layout.names)}; correct the row, or say --separator"
    )
