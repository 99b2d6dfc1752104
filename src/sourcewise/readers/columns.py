"""Arrow columns -> a `Table`, with what was found of each column and what must be said of it.

A type that the data declare (a dictionary, a boolean, a date, a number) is honoured; text is typed
by the rule of `readers.kinds`. What no model takes is refused by name.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.errors import InputError, listing
from sourcewise.forms import Column, Kind, Table
from sourcewise.limits import LONGEST_CELL, MOST_CATEGORIES
from sourcewise.memory import give_back
from sourcewise.places import Place
from sourcewise.readers.cells_of_text import (
    FEW,
    Cells,
    among,
    kept,
    listed,
    longest,
    stripped,
    text_cells,
)
from sourcewise.readers.declared import is_text, refuse_nested
from sourcewise.readers.kinds import EXACT, Decided, Texts, decide, file_mark
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.short import Short, Streamed, all_different, as_text, unpacked
from sourcewise.schema import SeenColumn

__all__ = [
    "MISSING",
    "Typed",
    "encoded",
    "level",
    "levels",
    "typed_columns",
]

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "<NA>", "#N/A", "#NA", "?")
_KINDS = ("number", "category", "date")


@dataclass(frozen=True)
class Typed:
    """Columns as models take them.

    Args:
        table: their values.
        seen: what was found of each.
        notes: what a reader of results must know of how they were read.
    """

    table: Table
    seen: tuple[SeenColumn, ...]
    notes: tuple[str, ...]


Read = tuple[Decided, Column, Tensor]
_LARGE = 1 << 17  # rows of a column whose memory is worth being given back at once


def typed_columns(arrays: dict[str, pa.ChunkedArray], options: ReadOptions, place: Place) -> Typed:
    """Columns by name; `place` says where a row stands.

    Each of `arrays` is taken out and let go of when it is read: text may fill the memory.

    Raises:
        InputError: a column that no model takes, or that can be read in two ways.
    """
    missing = frozenset((*MISSING, *options.na))
    names = tuple(arrays)
    _let_go(max(map(len, arrays.values())))
    held: dict[str, Texts | pa.ChunkedArray] = {
        name: _texts(arrays.pop(name), name, missing, place)
        if is_text(arrays[name].type)
        else arrays.pop(name)
        for name in names
    }
    texts = (found for found in held.values() if isinstance(found, Texts))
    points = any(
        isinstance(found.type, Streamed) for found in held.values() if not isinstance(found, Texts)
    )
    mark = options.decimal or file_mark(texts, points)
    columns, schema, seen = {}, [], []
    said: dict[tuple[Kind, str], list[str]] = {}
    for name in names:
        decided, column, values, shown = _read(held.pop(name), name, options, mark, place)
        _let_go(len(values))
        if column.kind == "number" and options.na:  # however they are written: -999, -999.0
            values = values.masked_fill(torch.isin(values, _numbers(options.na)), torch.nan)
        columns[name] = values
        schema.append(column)
        seen.append(_seen(column, values, shown, decided))
        if decided.said:
            said.setdefault((decided.kind, decided.why), []).append(name)
    notes = tuple(
        f"{listing(map(repr, which))}: read as {'a category: ' * (kind == 'category')}{why}"
        for (kind, why), which in said.items()
    )
    return Typed(Table(columns, tuple(schema)), tuple(seen), notes)


def _read(
    found: Texts | pa.ChunkedArray,
    name: str,
    options: ReadOptions,
    mark: str | None,
    place: Place,
) -> tuple[Decided, Column, Tensor, "_Shown"]:
    """A column, and what is shown of its values."""
    override = options.types.get(name)
    if override is not None and override not in _KINDS:
        raise InputError(f"column {name!r}: no type {override!r} (allowed: {', '.join(_KINDS)})")
    if isinstance(found, Texts):
        decided = decide(found, override, options.decimal, mark, options.dates)
        many = len(found.values) if decided.numbers is None else _different(decided.numbers)
        return *_of_text(found, decided), _Shown("".join(listed(found.values[:1])), many)
    if isinstance(found.type, Streamed):
        numbers = pa.chunked_array([c.storage for c in found.chunks]).to_numpy().copy()
        shown = _Shown(found.type.example, _different(numbers))
        return Decided("number", "numbers"), Column(name), torch.from_numpy(numbers), shown
    read = _of_type(found, name, override, place)
    distinct = encoded(found)[0].drop_null()
    return *read, _Shown("".join(levels(distinct[:1])), len(distinct))


def _let_go(rows: int) -> None:
    """Give memory back to the system after a column of so many rows, if it is worth it."""
    if rows >= _LARGE:
        pa.default_memory_pool().release_unused()
        give_back()


def _numbers(texts: Sequence[str]) -> Tensor:
    """Of some texts those that are numbers.

    >>> _numbers(["-999", "none"])
    tensor([-999.], dtype=torch.float64)
    """
    found = []
    for text in texts:
        with suppress(ValueError):
            found.append(float(text))
    return torch.tensor(found, dtype=torch.float64)


def encoded(array: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Distinct values in the order in which they appear, and (n,) which of them, -1: missing."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)  # levels that no row has are left behind
    if _is_short(array.type):
        array = pa.chunked_array([pa.array(_floats(array), from_pandas=True)])
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


def _texts(array: pa.ChunkedArray, name: str, missing: Collection[str], place: Place) -> Texts:
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
    _let_go(rows)
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


def _of_text(texts: Texts, decided: Decided) -> Read:
    if decided.numbers is not None:
        values = texts.spread(decided.numbers, np.nan)
        return decided, Column(texts.name, decided.kind), torch.from_numpy(values)
    levels = decided.levels or listed(texts.values)
    column, number = _category(texts.name, levels)
    return decided, column, torch.from_numpy(texts.spread(number, -1))


def _category(name: str, texts: Sequence[str]) -> tuple[Column, np.ndarray]:
    """A category with its levels in alphabetical order, and the level of each text.

    Several texts may be one level.
    """
    levels = sorted(set(texts))
    if len(levels) > MOST_CATEGORIES:
        raise InputError(
            f"column {name!r} holds {len(levels)} categories (at most {MOST_CATEGORIES}): is it "
            f"an identifier? {as_option('--ignore', name)} leaves it out"
        )
    place = {text: i for i, text in enumerate(levels)}
    number = np.array([place[text] for text in texts], np.int64)
    return Column(name, "category", tuple(levels)), number


def _of_type(array: pa.ChunkedArray, name: str, override: Kind | None, place: Place) -> Read:
    """A column whose type is declared."""
    kind = array.type
    refuse_nested(array, name)
    if pa.types.is_null(kind):
        gaps = torch.full((len(array),), torch.nan, dtype=torch.float64)
        return Decided("number", "no value at all"), Column(name), gaps
    if pa.types.is_dictionary(kind) and override in (None, "category"):
        return _levels(array, name, "declared a category")
    if override == "category":
        return _levels(array, name, "as --types says", recorded=_recorded(kind))
    if pa.types.is_boolean(kind) and override is None:
        return _levels(array, name, "declared boolean", recorded="boolean")
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if override == "number":
            remedy = as_option("--types", f"{name}=date")
            raise InputError(f"column {name!r} holds dates, no numbers: {remedy}")
        why = "declared a date"
        return Decided("date", why, recorded=_recorded(kind)), Column(name, "date"), _dates(array)
    if pa.types.is_dictionary(kind) or override == "date":
        found = _texts(array.cast(pa.string()), name, MISSING, place)
        return _of_text(found, decide(found, override))
    return _number(array, name, place)


def _levels(array: pa.ChunkedArray, name: str, why: str, recorded: str = "") -> Read:
    values, codes = encoded(array)
    refuse_nested(pa.chunked_array([values]), name)
    column, number = _category(name, levels(values))
    found = torch.from_numpy(np.append(number, -1)[codes])
    return Decided("category", why, recorded=recorded), column, found


def _dates(array: pa.ChunkedArray) -> Tensor:
    """(n,) float64 seconds since 1970, UTC."""
    micro = (
        array.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
    )
    return torch.from_numpy(micro.to_numpy().astype(np.float64) / 1e6)


def _number(array: pa.ChunkedArray, name: str, place: Place) -> Read:
    kind = array.type
    if pa.types.is_integer(kind):
        ends = pc.min_max(array).as_py()
        if max(abs(ends["min"] or 0), abs(ends["max"] or 0)) > EXACT:
            return _levels(array, name, "whole numbers above 2^53, kept exact", "integer")
    values = _floats(array)
    infinite = np.isinf(values)
    if infinite.any():
        first = place(int(infinite.argmax()))
        raise InputError(
            f"column {name!r} holds {infinite.sum()} infinite values (first: {first})"
        )
    decided = Decided("number", f"declared {kind}", recorded=_recorded(kind))
    return decided, Column(name), torch.from_numpy(values)


def _floats(array: pa.ChunkedArray) -> np.ndarray:
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


def _recorded(kind: pa.DataType) -> str:
    """What draws of a column become again, beside numbers and texts."""
    tests = {
        "boolean": pa.types.is_boolean,
        "integer": pa.types.is_integer,
        "day": pa.types.is_date,
        "float16": pa.types.is_float16,
        "float32": pa.types.is_float32,
        f"{kind}": pa.types.is_decimal,
    }
    return next((word for word, test in tests.items() if test(kind)), "")


@dataclass(frozen=True)
class _Shown:
    """What a table of columns shows of the values of one: the first, and how many differ."""

    example: str
    distinct: int


def _different(numbers: np.ndarray) -> int:
    """How many different numbers there are beside NaN.

    >>> _different(np.array([2.0, np.nan, 2.0, -1.0]))
    2
    """
    ordered = np.sort(numbers)
    ordered = ordered[: len(ordered) - np.count_nonzero(np.isnan(ordered))]
    return len(ordered[:1]) + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _seen(column: Column, values: Tensor, shown: _Shown, decided: Decided) -> SeenColumn:
    """What a table of columns shows of one."""
    gaps = values.isnan() if values.is_floating_point() else values < 0
    told = (shown.example, int(torch.count_nonzero(gaps)), shown.distinct)
    return SeenColumn(column.name, column.kind, *told, decided.why, decided.recorded)
