"""Arrow columns -> a `Table`, with what was found of each column and what must be said of it.

A type that the data declare (a dictionary, a boolean, a date, a number) is honoured; text is typed
by the rule of `readers.kinds`. What no model takes is refused by name.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.errors import InputError, listing
from sourcewise.forms import Column, Kind, Table
from sourcewise.forms.stacked import Stacked
from sourcewise.limits import MOST_CATEGORIES
from sourcewise.places import Place
from sourcewise.readers.cells_of_text import FEW, listed
from sourcewise.readers.declared import refuse_nested
from sourcewise.readers.distinct import (
    MISSING,
    Unread,
    encoded,
    floats,
    let_go,
    levels,
    texts_of,
)
from sourcewise.readers.kinds import EXACT, Decided, Texts, decide, file_mark
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.short import Streamed
from sourcewise.schema import SeenColumn

__all__ = ["Typed", "typed_columns"]

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


def typed_columns(arrays: dict[str, pa.ChunkedArray], options: ReadOptions, place: Place) -> Typed:
    """Columns by name; `place` says where a row stands.

    Each of `arrays` is taken out and let go of when it is read: text may fill the memory.

    Raises:
        InputError: a column that no model takes, or that can be read in two ways.
    """
    names, rows = tuple(arrays), max(map(len, arrays.values()))
    let_go(rows)
    points = any(isinstance(array.type, Streamed) for array in arrays.values())
    unread = Unread(arrays, frozenset((*MISSING, *options.na)), place)
    mark = options.decimal or file_mark(unread.texts(), points)
    columns = Stacked.empty(rows, len(names)) if rows <= FEW else {}
    schema, seen = [], []
    said: dict[tuple[Kind, str], list[str]] = {}
    for name in names:
        decided, column, values, shown = _read(unread.take(name), name, options, mark, place)
        let_go(len(values))
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
        found = texts_of(array.cast(pa.string()), name, MISSING, place)
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
    values = floats(array)
    infinite = np.isinf(values)
    if infinite.any():
        first = place(int(infinite.argmax()))
        raise InputError(
            f"column {name!r} holds {infinite.sum()} infinite values (first: {first})"
        )
    decided = Decided("number", f"declared {kind}", recorded=_recorded(kind))
    return decided, Column(name), torch.from_numpy(values)


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
