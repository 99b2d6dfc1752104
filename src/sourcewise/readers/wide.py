"""The cells of a delimited file of few rows and many columns, row after row.

Arrow's reader keeps several kilobytes for each column, whatever it holds: of 22 rows, thirty times
the file. Here `csv` splits the rows, and all columns are slices of a few long arrays.
"""

import csv
import io
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from sourcewise.memory import give_back
from sourcewise.readers.files import open_file

__all__ = ["wide_cells"]

_COLUMNS = 256  # that are many
_ROWS = 1000  # that are few
_ROW = 1 << 22  # bytes of cells: of a row that is surely not too long for Arrow
_CELLS = 1 << 16  # that are turned from rows to columns at once


def wide_cells(
    path: Path, mark: int, read: pa_csv.ReadOptions, parse: pa_csv.ParseOptions
) -> pa.Table | None:
    """All cells as text, in columns called by their numbers; None: better by Arrow.

    What `csv` and Arrow may take in two ways is left to Arrow, and so is what is wrong: rows of
    unequal length, quotes within cells, another encoding.

    Args:
        path: the file.
        mark: bytes before its text.
        read: encoding, lines to skip, names of columns.
        parse: how cells are told apart.
    """
    if len(read.column_names) < _COLUMNS:
        return None
    try:
        rows = _rows(path, mark, read, parse)
    except (csv.Error, UnicodeError):
        return None
    if rows is None:
        return None
    columns = _columns(rows)
    del rows  # their cells are in the columns
    give_back()
    return pa.table(columns, names=read.column_names)


def _rows(
    path: Path, mark: int, read: pa_csv.ReadOptions, parse: pa_csv.ParseOptions
) -> list[pa.Array] | None:
    """The cells of each row after the header, if rows are few and equally long."""
    quoting = csv.QUOTE_MINIMAL if parse.quote_char else csv.QUOTE_NONE
    found = []
    with io.TextIOWrapper(open_file(path, mark), read.encoding, newline="") as file:
        lines = islice(file, read.skip_rows, None)
        every = csv.reader(lines, delimiter=parse.delimiter, quoting=quoting, strict=True)
        for number, row in enumerate(filter(None, every)):
            if number > _ROWS or len(row) != len(read.column_names):
                return None
            if number:  # after the header
                found.append(pa.array(row, pa.string(), memory_pool=pa.system_memory_pool()))
                if found[-1].nbytes > _ROW:
                    return None
    return found or None


def _columns(rows: list[pa.Array]) -> list[pa.Array]:
    """The same cells by column."""
    pool, n, d = pa.system_memory_pool(), len(rows), len(rows[0])
    many, found = max(1, _CELLS // n), []
    for first in range(0, d, many):
        some = pa.concat_arrays([row.slice(first, many) for row in rows], memory_pool=pool)
        order = np.arange(len(some)).reshape(n, -1).T.ravel()
        turned = pc.take(some, pa.array(order), memory_pool=pool)
        found += [turned.slice(j, n) for j in range(0, len(turned), n)]
    return found
