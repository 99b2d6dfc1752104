"""The cells of a delimited file, block after block, each column in as little room as it needs.

Of many rows no column's text is held whole if it can be had for less: numbers that need no text to
be known for what they are as numbers (`Streamed`), texts of at most eight bytes as `Short`.
pyarrow splits the cells: of the readers tried it takes the least time and memory.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from sourcewise.memory import give_back
from sourcewise.readers.cells_of_text import among, any_match, stripped
from sourcewise.readers.files import open_file
from sourcewise.readers.short import Short, Streamed, joined, packed
from sourcewise.readers.wide import wide_cells

__all__ = ["BLOCK", "cells_of"]

BLOCK = 1 << 24  # bytes of the longest row
_SMALL = 1 << 20  # bytes that are split at once, if rows are not long
_OFTEN = 32  # blocks after which memory is given back
_MANY = 1000  # rows of a block whose columns are worth being held in little room
_NO_NUMBER = "In CSV column #([0-9]+):.* conversion error to double"
_TRIES = 3  # readings after which nothing is taken for numbers
# Such a number has a point before decimals: neither a code, nor a date, nor groups of thousands.
_DECISIVE = "^-?([0-9]+[.]([0-9]{1,2}|[0-9]{4,})|[0-9]{4,}[.][0-9]+)$"


def cells_of(
    path: Path,
    mark: int,
    read: pa_csv.ReadOptions,
    parse: pa_csv.ParseOptions,
    as_text: Collection[int],
    missing: Collection[str],
) -> pa.Table:
    """All cells of a file, in columns called by their numbers.

    Args:
        path: the file.
        mark: bytes before its text.
        read: encoding, lines to skip, names of columns.
        parse: how cells are told apart.
        as_text: the columns that stay text, whatever they hold.
        missing: texts that are gaps of numbers.

    Raises:
        pa.ArrowInvalid: a row with too few or too many cells, or longer than a block.
    """
    if (table := wide_cells(path, mark, read, parse)) is not None:
        return table
    read.block_size = min(max(_SMALL, len(read.column_names) << 13), BLOCK)
    reading = _Reading(path, mark, read, parse, missing)
    try:
        return reading.table(as_text)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
    read.block_size = BLOCK  # a row is longer
    return reading.table(as_text)


class _NotNumbers(Exception):
    """Some columns that were taken for numbers have other cells."""

    def __init__(self, *columns: int) -> None:
        self.columns = columns


@dataclass(frozen=True)
class _Reading:
    """How a file is read; see `cells_of`."""

    path: Path
    mark: int
    read: pa_csv.ReadOptions
    parse: pa_csv.ParseOptions
    missing: Collection[str]

    def table(self, as_text: Collection[int]) -> pa.Table:
        """All cells, again from the beginning if a column proves to be no numbers after all."""
        names = self.read.column_names
        if "\n".encode(self.read.encoding) != b"\n":  # which `_Watched` cannot read
            as_text = range(len(names))
        blocks = self._blocks(())
        first = next(blocks, None)
        if first is None or len(first) < _MANY:
            return self._joined(
                [_Texts() for _ in names], chain([] if first is None else [first], blocks)
            )
        rows, examples = self._rows(first), self._examples(first, as_text)
        del first, blocks
        for _ in range(_TRIES):
            parts = [
                _Numbers(j, rows, examples[j]) if j in examples else _Packed(rows)
                for j in range(len(names))
            ]
            try:
                return self._joined(parts, self._blocks(examples))
            except _NotNumbers as error:
                examples = {j: e for j, e in examples.items() if j not in error.columns}
        return self._joined([_Packed(rows) for _ in names], self._blocks(()))

    def _examples(self, block: pa.RecordBatch, as_text: Collection[int]) -> dict[int, str]:
        """Of the columns that are taken for numbers, by a block of text, the first cell."""
        found = {}
        for j, column in enumerate(block.columns):
            if j not in as_text and any_match(column, _DECISIVE):
                present = np.flatnonzero(~among(stripped(column), self.missing))
                found[j] = column[int(present[0])].as_py()
        return found

    def _rows(self, block: pa.RecordBatch) -> int:
        """About how many the file holds, rather too many."""
        size = block.nbytes - 3 * len(block) * block.num_columns  # a mark, not an offset, a cell
        return int(1.1 * self.path.stat().st_size * len(block) / max(size, 1))

    def _joined(self, parts: Sequence["_Column"], blocks: Iterable[pa.RecordBatch]) -> pa.Table:
        texts = any(isinstance(part, _Texts) for part in parts)
        for k, block in enumerate(blocks, 1):
            for part, column in zip(parts, block.columns, strict=True):
                part.add(column)
            if texts and k % _OFTEN == 0:
                give_back()
        give_back()
        return pa.table([part.done() for part in parts], names=self.read.column_names)

    def _blocks(self, numbers: Collection[int]) -> Iterator[pa.RecordBatch]:
        """Some rows after another, all columns text but `numbers`."""
        names = self.read.column_names
        kinds = (pa.float64() if j in numbers else pa.string() for j in range(len(names)))
        convert = pa_csv.ConvertOptions(
            column_types=dict(zip(names, kinds, strict=True)),
            strings_can_be_null=False,
            # Arrow keeps these words once for every column.
            null_values=[*self.missing] if numbers else [],
            true_values=[],
            false_values=[],
        )
        with open_file(self.path, self.mark) as bare:
            file = _Watched(bare) if numbers else bare
            try:
                # The system's memory holds many small arrays without gaps, and takes them back.
                pool = pa.system_memory_pool()
                for block in pa_csv.open_csv(file, self.read, self.parse, convert, pool):
                    if isinstance(file, _Watched) and file.exponents:
                        raise _NotNumbers(*numbers)
                    yield block
            except pa.ArrowInvalid as error:
                if bad := re.search(
                    "In CSV column #([0-9]+):.* conversion error to double", str(error)
                ):
                    raise _NotNumbers(int(bad[1])) from None
                raise


class _Watched:
    """A file that notes whether a number in it may have an exponent without sign and point.

    Arrow takes 11E6 for eleven millions; by the rule it is a code.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._last = file, b""
        self._lower = np.empty(0, np.uint8)  # memory that is asked for once
        self.exponents, self.closed = False, False

    def read(self, size: int = -1) -> bytes:
        """Some more bytes."""
        more = self._file.read(size)
        self.exponents |= self._found(self._last + more[:2]) or self._found(more)
        self._last = (self._last + more[-2:])[-2:]
        return more

    def _found(self, text: bytes) -> bool:
        held = np.frombuffer(text, np.uint8)
        if len(held) > len(self._lower):
            self._lower = np.empty_like(held)
        lower = np.bitwise_or(held, 32, out=self._lower[: len(held)])
        at = np.flatnonzero(np.equal(lower[1:-1], ord("e"), out=lower[1:-1].view(bool))) + 1
        before, after = held[at - 1] - np.uint8(ord("0")), held[at + 1] - np.uint8(ord("0"))
        return bool(((before < 10) & (after < 10)).any())


class _Texts:
    """Texts as they came."""

    def __init__(self) -> None:
        self.parts: list[pa.Array] = []

    def add(self, cells: pa.Array) -> None:
        self.parts.append(cells)

    def done(self) -> pa.ChunkedArray:
        return joined(self.parts)


class _Packed:
    """Texts as numbers while all are short."""

    def __init__(self, rows: int) -> None:
        self.numbers = _Growing(np.uint64, rows)
        self.texts: _Texts | None = None

    def add(self, cells: pa.Array) -> None:
        found = packed(cells) if self.texts is None else cells
        if isinstance(found.type, Short):
            self.numbers.add(found.storage.to_numpy())
            return
        if self.texts is None:
            self.texts = _Texts()
            if len(self.numbers):
                self.texts.add(self._short())
        self.texts.add(cells)

    def done(self) -> pa.ChunkedArray:
        return pa.chunked_array([self._short()]) if self.texts is None else self.texts.done()

    def _short(self) -> pa.Array:
        return pa.ExtensionArray.from_storage(Short(), pa.array(self.numbers.values()))


class _Numbers:
    """A column that is taken for numbers, and has been so far."""

    def __init__(self, column: int, rows: int, example: str) -> None:
        self.column, self.example = column, example
        self.numbers = _Growing(np.float64, rows)

    def add(self, cells: pa.Array) -> None:
        values = cells.to_numpy(zero_copy_only=False)
        if np.count_nonzero(np.isfinite(values)) + cells.null_count < len(cells):
            raise _NotNumbers(self.column)
        self.numbers.add(values)

    def done(self) -> pa.ChunkedArray:
        storage = pa.array(self.numbers.values())
        return pa.chunked_array([pa.ExtensionArray.from_storage(Streamed(self.example), storage)])


_Column = _Texts | _Packed | _Numbers


class _Growing:
    """Numbers that are added some at a time, in memory that is asked for once if it suffices."""

    def __init__(self, dtype: type[np.generic], size: int) -> None:
        self._held, self._end = np.empty(size, dtype), 0

    def __len__(self) -> int:
        return self._end

    def add(self, values: np.ndarray) -> None:
        start, self._end = self._end, self._end + len(values)
        if self._end > len(self._held):
            larger = np.empty(self._end * 3 // 2, self._held.dtype)
            larger[:start] = self._held[:start]
            self._held = larger
        self._held[start : self._end] = values

    def values(self) -> np.ndarray:
        """All of them; memory that was never written to is none."""
        return self._held[: self._end]
