"""Arrow columns -> a `Table`, with what was found of each column and what must be said of it.

A type that the data declare (a dictionary, a boolean, a date, a number) is honoured; text is typed
by the rule of `readers.kinds`. What no model takes is refused by name.
"""

from collections.abc import Callable, Collection, Sequence
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
from sourcewise.readers.kinds import EXACT, Decided, Texts, decide, file_mark
from sourcewise.readers.registry import ReadOptions
from sourcewise.schema import SeenColumn

__all__ = [
    "MISSING",
    "Typed",
    "encoded",
    "is_plain",
    "is_text",
    "level",
    "levels",
    "refuse_nested",
    "stored",
    "typed_columns",
]

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "<NA>", "#N/A", "#NA", "?")
_KINDS = ("number", "category", "date")
_NESTED: dict[str, Callable[[pa.DataType], bool]] = {
    "lists": lambda t: pa.types.is_list(t) or pa.types.is_large_list(t),
    "arrays": pa.types.is_fixed_size_list,
    "structs": pa.types.is_struct,
    "maps": pa.types.is_map,
    "durations": pa.types.is_duration,
    "times of day": pa.types.is_time,
    "bytes": lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t),
    "fixed bytes": pa.types.is_fixed_size_binary,
    "intervals": pa.types.is_interval,
}
_PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_date,
    pa.types.is_timestamp,
)


Place = Callable[[int], str]  # where a row stands: "FILE, line 3"


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


def typed_columns(
    table: pa.Table, names: Sequence[str], options: ReadOptions, place: Place
) -> Typed:
    """The columns called `names`; `place` says where a row stands.

    Raises:
        InputError: a column that no model takes, or that can be read in two ways.
    """
    missing = frozenset((*MISSING, *options.na))
    texts = {
        name: _texts(table.column(name), name, missing, place)
        for name in names
        if is_text(table.column(name).type)
    }
    mark = options.decimal or file_mark([found for found, _ in texts.values()])
    columns, schema, seen = {}, [], []
    said: dict[tuple[Kind, str], list[str]] = {}
    for name in names:
        override = options.types.get(name)
        if override is not None and override not in _KINDS:
            raise InputError(
                f"column {name!r}: no type {override!r} (allowed: {', '.join(_KINDS)})"
            )
        if name in texts:
            found, codes = texts.pop(name)
            distinct: Cells = found.values
            decided, column, values = _of_text(
                found, codes, decide(found, override, options.decimal, mark, options.dates)
            )
        else:
            decided, column, values = _of_type(table.column(name), name, override, place)
            distinct = encoded(table.column(name))[0]
        if column.kind == "number" and options.na:  # however they are written: -999, -999.0
            values = values.masked_fill(torch.isin(values, _numbers(options.na)), torch.nan)
        columns[name] = values
        schema.append(column)
        seen.append(_seen(column, values, distinct, decided))
        if decided.said:
            said.setdefault((decided.kind, decided.why), []).append(name)
    notes = tuple(
        f"{listing(map(repr, which))}: read as {'a category: ' * (kind == 'category')}{why}"
        for (kind, why), which in said.items()
    )
    return Typed(Table(columns, tuple(schema)), tuple(seen), notes)


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


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text that declares no type."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def is_plain(kind: pa.DataType) -> bool:
    """Whether values of a type may be numbers, categories or dates, or name sources."""
    if pa.types.is_dictionary(kind):
        return is_plain(kind.value_type)
    return any(test(kind) for test in _PLAIN)


def stored(table: pa.Table) -> pa.Table:
    """With columns as what they stand for: views of text as text, runs of values as values."""
    for j, column in enumerate(table.columns):
        kind = column.type
        if isinstance(kind, pa.BaseExtensionType):
            plain = column.cast(kind.storage_type)
        elif pa.types.is_run_end_encoded(kind):
            plain = pc.run_end_decode(column)
        elif pa.types.is_string_view(kind):
            plain = column.cast(pa.large_string())
        else:
            continue
        table = table.set_column(j, table.column_names[j], plain)
    return table


def refuse_nested(array: pa.ChunkedArray, name: str, what: str = "column") -> None:
    """Raise for values that no model takes, and that name no source or group."""
    if not is_plain(array.type):
        words = next((w for w, test in _NESTED.items() if test(array.type)), f"{array.type}")
        remedy = (
            f"leave it out with {as_option('--ignore', name)}, or " if what == "column" else ""
        )
        raise InputError(
            f"the {what} {name!r} holds {words}: {remedy}make it numbers, text or dates"
        )


def encoded(array: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Distinct values in the order in which they appear, and (n,) which of them, -1: missing."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)  # levels that no row has are left behind
    if _is_short(array.type):
        array = pa.chunked_array([pa.array(_floats(array), from_pandas=True)])
    found = cast(pa.DictionaryArray, array.combine_chunks().dictionary_encode())
    codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return found.dictionary, codes.astype(np.int64)


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


def _texts(
    array: pa.ChunkedArray, name: str, missing: Collection[str], place: Place
) -> tuple[Texts, np.ndarray]:
    """Distinct texts that are not missing, and (n,) which of them each row has."""
    values, codes = _distinct(array)
    characters = longest(values)
    if characters > LONGEST_CELL:
        raise InputError(
            f"column {name!r} holds a value of {characters} characters (at most {LONGEST_CELL}): "
            f"{as_option('--ignore', name)} leaves it out"
        )
    keep = ~among(stripped(values), missing)
    number = np.full(len(values) + 1, -1)  # the last entry is that of -1
    number[:-1][keep] = np.arange(keep.sum())
    codes = number[codes]
    present = np.flatnonzero(codes >= 0)
    rows = np.zeros(int(keep.sum()), np.int64)
    rows[codes[present[::-1]]] = present[::-1]  # the first row is written last
    counts = np.bincount(codes[present], minlength=len(rows))
    return Texts(name, kept(values, keep), counts, rows, place), codes


def _distinct(array: pa.ChunkedArray) -> tuple[Cells, np.ndarray]:
    """As `encoded`, of texts."""
    if len(array) > FEW:
        values, codes = encoded(array.cast(pa.string()))
        return text_cells(values), codes
    numbers: dict[str, int] = {}
    codes = [
        -1 if text is None else numbers.setdefault(text, len(numbers))
        for text in array.to_pylist()
    ]
    return list(numbers), np.array(codes, np.int64)


def _of_text(texts: Texts, codes: np.ndarray, decided: Decided) -> Read:
    if decided.numbers is not None:
        values = np.append(decided.numbers, np.nan)[codes]
        return decided, Column(texts.name, decided.kind), torch.from_numpy(values)
    levels = decided.levels or listed(texts.values)
    return decided, *_category(texts.name, levels, codes)


def _category(name: str, texts: Sequence[str], codes: np.ndarray) -> tuple[Column, Tensor]:
    """A category with its levels in alphabetical order; several texts may be one level."""
    levels = sorted(set(texts))
    if len(levels) > MOST_CATEGORIES:
        raise InputError(
            f"column {name!r} holds {len(levels)} categories (at most {MOST_CATEGORIES}): is it "
            f"an identifier? {as_option('--ignore', name)} leaves it out"
        )
    place = {text: i for i, text in enumerate(levels)}
    number = np.array([*(place[text] for text in texts), -1])
    return Column(name, "category", tuple(levels)), torch.from_numpy(number[codes])


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
        found, codes = _texts(array.cast(pa.string()), name, MISSING, place)
        return _of_text(found, codes, decide(found, override))
    return _number(array, name, place)


def _levels(array: pa.ChunkedArray, name: str, why: str, recorded: str = "") -> Read:
    values, codes = encoded(array)
    refuse_nested(pa.chunked_array([values]), name)
    column, found = _category(name, levels(values), codes)
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
    }
    return next((word for word, test in tests.items() if test(kind)), "")


def _seen(column: Column, values: Tensor, found: Cells, decided: Decided) -> SeenColumn:
    """What a table of columns shows of one."""
    gaps = values.isnan() if values.is_floating_point() else values < 0
    distinct = found if isinstance(found, list) else found.drop_null()
    first = distinct[:1]
    example = "".join(first if isinstance(first, list) else levels(first))
    told = (example, int(gaps.sum()), len(distinct), decided.why, decided.recorded)
    return SeenColumn(column.name, column.kind, *told)
