"""Tables of named columns -> `Sources`: which column is the source, the text, the groups."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from sourcewise.cells import as_cell, as_option, in_shell
from sourcewise.errors import InputError, counted, listing, unknown
from sourcewise.limits import MOST_SOURCES, check_columns, check_names
from sourcewise.places import Place, Places, numbered
from sourcewise.readers.columns import typed_columns
from sourcewise.readers.declared import is_plain, is_text, refuse_nested, stored
from sourcewise.readers.detection import limits_left_out
from sourcewise.readers.distinct import MISSING, encoded, level, levels
from sourcewise.readers.files import natural
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.rows import data_rows
from sourcewise.readers.short import as_text
from sourcewise.readers.spelling import two_forms
from sourcewise.readers.text_column import Rows, may_be_text, of_texts, refuse_no_text, text_column
from sourcewise.sources import Sources

__all__ = ["from_arrow", "from_pandas"]

_COMPLEX = (complex, np.complexfloating)
_SCALARS = (str, int, float, np.bool, np.integer, np.floating, Decimal, date)


@dataclass(frozen=True)
class _Roles:
    """What the columns of a table are: the source, the text that is the example, the modelled."""

    label: str
    text: str | None
    chosen: tuple[str, ...]


def from_arrow(
    table: pa.Table,
    options: ReadOptions,
    name: str,
    place: Place = numbered,
) -> Sources:
    """See `sourcewise.read`; `place` says where a row stands, for messages."""
    options = options.among(table.column_names)
    _check_names(table, name, options)
    table, lone = _with_source(stored(table), options)
    roles = _roles(table, options)
    measured = [c for c in (*roles.chosen, *options.given) if options.types.get(c) != "category"]
    textual = roles.text is not None
    table, place, notes = data_rows(table, roles.label, place, textual, options.na, measured)
    rows = _rows(table, roles.label, options, place, notes)
    rows = replace(rows, names=[""]) if lone else rows
    if roles.text is not None:
        data = of_texts(table, roles.text, rows, options, name)
        return _beside(data, table, options, rows.place) if options.given else data
    if options.chunk is not None:
        raise InputError(f"--chunk cuts text: {name} has no column 'text', name one with --text")
    if not roles.chosen:
        raise InputError(f"{name}: no column left beside the source {roles.label!r}")
    told = limits_left_out(table, roles.chosen, options.na, rows.y, rows.names)
    arrays = {column: table.column(column) for column in (*roles.chosen, *options.given)}
    del table  # or the text of all columns would stay until the last one is read
    return _of_columns(arrays, roles.chosen, replace(rows, notes=rows.notes + told), options, name)


def _with_source(table: pa.Table, options: ReadOptions) -> tuple[pa.Table, bool]:
    """The table; where its source may be absent and is, all rows are of one, and that is true."""
    label = options.source or "source"
    if not options.unlabelled or label in table.column_names:
        return table, False
    return table.append_column(label, pa.array(["all"] * len(table))), True


def _roles(table: pa.Table, options: ReadOptions) -> _Roles:
    """What each column is, by the options and the names."""
    label = _source_column(table, options.source)
    refuse_nested(table.column(label), label, "source column")
    text = text_column(table, label, options)
    _check_given(options, label)
    left = {label, *options.ignore, *options.given, *(() if options.columns else options.group)}
    chosen = (c for c in (options.columns or table.column_names) if c not in left)
    return _Roles(label, text, tuple(chosen))


def _rows(
    table: pa.Table, label: str, options: ReadOptions, place: Place, notes: tuple[str, ...]
) -> Rows:
    y, names = _labels(table.column(label), label, place)
    together, told = _groups(table, options.group, place)
    if options.ungrouped:
        told += ("--group none: the column called 'none' says which rows stay together",)
    return Rows(y, names, together, place, notes + told)


def _beside(data: Sources, table: pa.Table, options: ReadOptions, place: Place) -> Sources:
    """Texts with what is given beside them."""
    arrays = {column: table.column(column) for column in options.given}
    typed = typed_columns(arrays, options, place)
    seen = tuple(replace(column, why=f"given: {column.why}") for column in typed.seen)
    notes = (*data.notes, *typed.notes)
    return replace(data, c=typed.table.select(options.given), seen=seen, notes=notes)


def _of_columns(
    arrays: dict[str, pa.ChunkedArray],
    chosen: Sequence[str],
    rows: Rows,
    options: ReadOptions,
    name: str,
) -> Sources:
    """Rows of columns; `arrays`, the chosen and the given ones, are let go of one by one."""
    typed = typed_columns(arrays, options, rows.place)
    notes = rows.notes + typed.notes
    for column in typed.table.schema:
        notes += two_forms(column.name, column.categories)
    seen = [
        replace(column, why=f"given: {column.why}") if column.name in options.given else column
        for column in typed.seen
    ]
    return Sources(
        typed.table.select(chosen),
        rows.y,
        rows.names,
        rows.together,
        options.group,
        name,
        c=typed.table.select(options.given) if options.given else None,
        seen=tuple(seen),
        notes=notes,
        places=Places(rows.place),
    )


def from_pandas(
    frame: pd.DataFrame,
    options: ReadOptions,
    name: str,
    place: Place = numbered,
) -> Sources:
    """A DataFrame; named indexes are columns too."""
    named = [at for at, level_name in enumerate(frame.index.names) if level_name is not None]
    if named:
        frame = frame.reset_index(level=named, allow_duplicates=True)  # which is refused later
    check_columns(len(frame.columns), name)
    names = [str(column) for column in frame.columns]
    check_names(names, "column", name)
    frame = frame.set_axis(names, axis=1)
    _refuse_repeated(names, name)
    text = options.text or ("text" if may_be_text(options.source or "source", options) else None)
    cells = frame[text].tolist() if text in names else []
    if any(isinstance(cell, str) for cell in cells):
        refuse_no_text(cells, str(text), place)
    needed = (options.source or "source", *options.group)
    arrays = [_arrow(frame.iloc[:, j], names[j], needed) for j in range(len(names))]
    return from_arrow(pa.table(arrays, names=names), options, name, place)


def _arrow(column: pd.Series, name: str, needed: Collection[str]) -> pa.ChunkedArray:
    """A pandas column as Arrow has it; values of several types become text if none collide.

    `needed` are the columns that name sources and groups.
    """
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    intervals = isinstance(values.dtype, pd.IntervalDtype)
    objects = values.dtype == object and not intervals
    kinds = set(map(type, values.dropna())) if objects else {values.dtype.type}
    if intervals or any(issubclass(kind, _COMPLEX) for kind in kinds):
        words = "intervals" if intervals else "complex numbers"
        raise InputError(f"column {name!r} holds {words}: {_remedy(name, needed)}")
    if objects and len(set(map(_group, kinds))) > 1:
        return _mixed(column, name, needed)  # Arrow takes numbers for dates, or breaks down
    try:
        return pa.chunked_array([pa.array(column, from_pandas=True)])
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return _mixed(column, name, needed)


def _group(kind: type) -> object:
    """What types may stand together in a column: all kinds of numbers, all kinds of dates."""
    if issubclass(kind, bool | np.bool):
        return bool
    numbers, dates = (int, np.integer, float, np.floating, Decimal), (date,)
    return next((group for group in (numbers, dates) if issubclass(kind, group)), kind)


def _remedy(name: str, needed: Collection[str]) -> str:
    """What helps against values that no model takes, and that name no source or group."""
    if name in needed:
        return "make it text, numbers or dates, or name another column with --source or --group"
    return f"leave it out with {as_option('--ignore', name)}, or make it numbers, text or dates"


def _mixed(column: pd.Series, name: str, needed: Collection[str]) -> pa.ChunkedArray:
    present = column.dropna().tolist()
    kinds = {type(value) for value in present}
    if not all(issubclass(kind, _SCALARS) for kind in kinds):
        words = listing(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"column {name!r} holds values of type {words}: {_remedy(name, needed)}")
    kept: dict[str, object] = {}
    for _, value in dict.fromkeys((type(value), value) for value in present):
        text = level(value)
        if text in kept and type(kept[text]) is not type(value):
            raise InputError(
                f"column {name!r} holds {kept[text]!r} and {value!r}: are they one? make the "
                "column one type"
            )
        kept[text] = value
    flag = next((value for value in kept.values() if isinstance(value, bool | np.bool)), None)
    other = next((v for v in kept.values() if isinstance(v, int | float) and v in (0, 1)), None)
    if flag is not None and other is not None and not isinstance(other, bool):
        raise InputError(
            f"column {name!r} holds {other!r} and {flag!r}: are they one? make the column one type"
        )
    texts = [None if gap else level(v) for v, gap in zip(column, column.isna(), strict=True)]
    try:
        return pa.chunked_array([pa.array(texts, pa.string())])
    except UnicodeEncodeError:
        raise InputError(f"column {name!r} holds half a surrogate pair: no character") from None


def _check_names(table: pa.Table, name: str, options: ReadOptions) -> None:
    """Raise if columns have one name, or if one that is asked for is not there."""
    names, columns = table.column_names, options.columns or ()
    text = [options.text] if options.text else []
    check_columns(len(names), name)
    check_names(names, "column", name)
    _refuse_repeated(names, name)
    if not len(table):
        raise InputError(f"{name} holds no rows")
    known = set(names)
    asked = (*columns, *options.ignore, *options.given, *options.group, *options.types, *text)
    for given in asked:
        if given not in known:
            raise _no_column(given, names)
    _refuse_repeated(columns, "columns")


def _check_given(options: ReadOptions, label: str) -> None:
    """Raise for a given column that is something else too."""
    _refuse_repeated(options.given, "given columns")
    elsewhere = {
        "the source": (label,),
        "in columns": options.columns or (),
        "left out by ignore": options.ignore,
    }
    for name in options.given:
        if where := next((word for word, names in elsewhere.items() if name in names), None):
            raise InputError(f"{as_option('--given', name)}: it is {where}, so it cannot be given")


def _no_column(given: str, names: Sequence[str]) -> InputError:
    """Error for a column that is not there; it may be a part of a name with commas."""
    whole = next((name for name in names if given in map(str.strip, name.split(","))), None)
    if whole is None:
        return unknown("column", given, map(as_cell, names))  # as options take them
    return InputError(
        f"no column {given!r}: commas separate names, so {whole!r} needs quotes of its own: "
        f"{in_shell(as_cell(whole))}"
    )


def _refuse_repeated(names: Sequence[str], where: object) -> None:
    seen: set[str] = set()
    repeated = sorted({name for name in names if name in seen or seen.add(name)})
    if repeated:
        raise InputError(f"{where}: duplicate column names: {listing(map(repr, repeated))}")


def _source_column(table: pa.Table, source: str | None) -> str:
    if source is not None:
        if source not in table.column_names:
            raise unknown("column", source, table.column_names)
        return source
    if "source" in table.column_names:
        return "source"
    likely = [name for name in table.column_names if _may_name(table.column(name))]
    hint = f"; likely: {listing(likely)}" if likely else ""
    raise InputError(f"say which column is the source (--source COLUMN){hint}")


def _may_name(column: pa.ChunkedArray) -> bool:
    """Whether a column has few values, none of them a measurement; of words it may have many."""
    if not is_plain(column.type):
        return False
    distinct = as_text(column).unique()
    values = [v for v in distinct.slice(0, 510).to_pylist() if v not in (None, *MISSING)]
    if not any(re.search(r"\d", str(v)) for v in values):
        return 2 <= len(values) <= min(500, max(50, len(column) // 2))
    broken = [v for v in values if re.fullmatch(r"[+-]?\d*[.,]\d+", str(v)) and level(v) == str(v)]
    return 2 <= len(values) <= 50 and not broken


def _labels(column: pa.ChunkedArray, name: str, place: Place) -> tuple[Tensor, list[str]]:
    """(n,) sources, and their names in natural order."""
    values, codes = encoded(column)
    texts = levels(values)
    gaps = np.isin(codes, [-1, *(i for i, text in enumerate(texts) if not text.strip())])
    if gaps.any():
        first, told = int(gaps.argmax()), counted(int(gaps.sum()), "row")
        raise InputError(
            f"the source column {name!r} is empty in {told} (first: {place(first)}): fill it in, "
            "or remove what is no row of data, such as units or totals"
        )
    if len(texts) > MOST_SOURCES:
        raise InputError(
            f"the source column {name!r} has {len(texts)} different values in {len(column)} rows "
            f"(at most {MOST_SOURCES}): is it an identifier? choose another with --source"
        )
    order = sorted(range(len(texts)), key=lambda i: natural(texts[i]))
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts))
    return torch.from_numpy(rank[codes]), [texts[i] for i in order]


def _groups(
    table: pa.Table, names: Sequence[str], place: Place
) -> tuple[Tensor | None, tuple[str, ...]]:
    """(n,) what stays together by equal values; a row without any is a group of its own."""
    if not names:
        return None, ()
    key, gap = np.zeros(len(table), np.int64), np.zeros(len(table), bool)
    for name in names:
        refuse_nested(table.column(name), name, "group")
        values, codes = encoded(table.column(name))
        if is_text(table.column(name).type):
            gone = [i for i, text in enumerate(values.to_pylist()) if text.strip() in MISSING]
            codes = np.where(np.isin(codes, gone), -1, codes)
        gap |= codes < 0
        key = np.unique(key * (len(values) + 1) + codes + 1, return_inverse=True)[1]
    alone = key.max() + 1 + np.arange(len(table))
    together = np.unique(np.where(gap, alone, key), return_inverse=True)[1]
    note = ""
    if together.max() + 1 == len(table):
        note = f"--group {listing(names)}: every row is a group of its own, so none stay together"
    elif gap.any():
        told = counted(int(gap.sum()), "row")
        note = f"{told} without a value of {listing(names)}: each is a group of its own"
    return torch.from_numpy(together), (note,) if note else ()
