"""The distinct values of Arrow columns: texts, and the names of sources and categories."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pyarrow as pa

from sourcewise.cells import as_option
from sourcewise.errors import InputError
from sourcewise.limits import LONGEST_CELL
from sourcewise.memory import give_back
from sourcewise.places import Place
from sourcewise.readers.cells_of_text import (
    FEW,
    Cells,
    among,
    kept,
    longest,
    stripped,
    text_cells,
)
from sourcewise.readers.declared import is_text
from sourcewise.readers.kinds import Texts
from sourcewise.readers.short import Short, all_different, as_text, unpacked

__all__ = [
    "MISSING",
    "Unread",
    "encoded",
    "floats",
    "let_go",
    "level",
    "levels",
    "recorded_decimals",
    "texts_of",
]

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "<NA>", "#N/A", "#NA", "?")
_LARGE = 1 << 17  # rows of a column whose memory is worth being given back at once


@dataclass
class Unread:
    """Columns that are taken one by one, those of text as `Texts`.

    What all of them show is asked before the first is taken. Texts of many rows take long to find,
    and are held until then; those of few would take more room than all else, and are found again.

    Args:
        arrays: by name; each is let go of as it is taken, or becomes texts that are held.
        missing: texts that are gaps.
        place: where a row stands.
    """

    arrays: dict[str, pa.ChunkedArray]
    missing: Collection[str]
    place: Place
    held: dict[str, Texts] = field(default_factory=dict)

    def texts(self) -> Iterator[Texts]:
        """Of every column of text."""
        for name in [name for name, array in self.arrays.items() if is_text(array.type)]:
            if len(self.arrays[name]) <= FEW:
                yield texts_of(self.arrays[name], name, self.missing, self.place)
            else:
                found = texts_of(self.arrays.pop(name), name, self.missing, self.place)
                self.held[name] = found
                yield found

    def take(self, name: str) -> Texts | pa.ChunkedArray:
        """A column, which is let go of."""
        if name in self.held:
            return self.held.pop(name)
        if is_text(self.arrays[name].type):
            return texts_of(self.arrays.pop(name), name, self.missing, self.place)
        return self.arrays.pop(name)


def encoded(array: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Distinct values in the order in which they appear, and (n,) which of them, -1: missing."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)  # levels that no row has are left behind
    if _is_short(array.type):
        array = pa.chunked_array([pa.array(floats(array), from_pandas=True)])
    if short := isinstance(array.type, Short):
        array = pa.chunked_array([part.storage for part in array.chunks], pa.uint64())
    parts = cast(list[pa.DictionaryArray], array.dictionary_encode().chunks)
    values = parts[0].dictionary if parts else pa.array([], array.type)  # of all parts the same
    codes = np.empty(len(array), np.int32)
    end = 0
    for part in parts:
        end, start = end + len(part), end
        codes[start:end] = part.indices.fill_null(-1)
    return unpacked(values) if short else values, codes


def level(value: object) -> str:
    """A value as a name of a source or category.

    >>> level(2.0), level(True), level("a")
    ('2', 'True', 'a')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def levels(values: pa.Array) -> list[str]:
    """Distinct values as names of sources or categories."""
    try:
        return [level(value) for value in values.to_pylist()]
    except (OverflowError, ValueError):  # dates that Python has not
        return values.cast(pa.string()).to_pylist()


def texts_of(array: pa.ChunkedArray, name: str, missing: Collection[str], place: Place) -> Texts:
    """Distinct texts that are not missing, and which of them each row has."""
    values, codes = _distinct(array)
    rows = len(array)
    del array  # its text is in `values`
    if (characters := longest(values)) > LONGEST_CELL:
        raise InputError(
            f"column {name!r} holds a value of {characters} characters (at most {LONGEST_CELL}): "
            f"{as_option('--ignore', name)} leaves it out"
        )
    gone = among(stripped(values), missing)
    if gone.any():
        number = np.full(len(values) + 1, -1, np.int32)  # the last entry is that of -1
        number[:-1][~gone] = np.arange(len(values) - gone.sum())
        values = kept(values, ~gone)
        codes = number[:-1] if codes is None else number[codes]
    let_go(rows)
    return Texts(name, values, codes, place)


def _distinct(array: pa.ChunkedArray) -> tuple[Cells, np.ndarray | None]:
    """As `encoded`, of texts; no codes where each row has its own."""
    if len(array) <= FEW:
        texts = as_text(array).to_pylist()
        numbers: dict[str, int] = {}
        codes = [-1 if t is None else numbers.setdefault(t, len(numbers)) for t in texts]
        return list(numbers), np.array(codes)
    if not isinstance(array.type, Short):
        array = array.cast(pa.string())
        if all_different(array):
            return array.combine_chunks(), None
    values, codes = encoded(array)
    return text_cells(values), codes


def let_go(rows: int) -> None:
    """Give memory back to the system after a column of so many rows, if it is worth it."""
    if rows >= _LARGE:
        pa.default_memory_pool().release_unused()
        give_back()


def floats(array: pa.ChunkedArray) -> np.ndarray:
    """(n,) float64; of shorter types with the decimals that they record: 5.01, not 5.010000229."""
    kind = array.type
    if _is_short(kind):
        return recorded_decimals(array.to_numpy())
    if pa.types.is_decimal(kind):
        array = array.cast(pa.string())
    return array.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)


def _is_short(kind: pa.DataType) -> bool:
    return pa.types.is_float16(kind) or pa.types.is_float32(kind)


def recorded_decimals(short: np.ndarray) -> np.ndarray:
    """float64 with the shortest decimals that a float16 or float32 stands for.

    >>> recorded_decimals(np.array([5.01, 7], np.float32))
    array([5.01, 7.  ])
    """
    found = short.astype(np.float64)
    left = np.ones(short.shape, bool)
    if short.dtype == np.float32:  # of which there are many: few decimals are tried for all
        large = ~(np.abs(found) < 1 << 24)
        left = ~large
        for k in range(10):
            tried = np.rint(found * 10.0**k) / 10.0**k
            right = left & (tried.astype(np.float32) == short)
            found[right], left = tried[right], left & ~right
        left |= large
    values, back = np.unique(short[left], return_inverse=True)
    found[left] = values.astype(str).astype(np.float64)[back]
    return found
