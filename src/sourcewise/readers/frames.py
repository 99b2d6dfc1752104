"""A pandas DataFrame -> `Sources`: which column is the source, and what kind each column is."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError, counted, listing, unknown
from sourcewise.forms import Column, Kind, Table
from sourcewise.readers.files import refuse_repeated
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.texts import text_sources
from sourcewise.sources import Sources

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_SOURCES", "from_frame", "may_be_text", "natural", "strings"]

MOST_SOURCES = 10_000
_KINDS = ("number", "category", "date")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")


def from_frame(
    frame: "pd.DataFrame",
    options: ReadOptions,
    name: str,
    place: Callable[[int], str] = lambda i: f"row {i + 1}",
) -> Sources:
    """See `sourcewise.read`; `place` says where a row stands, for messages about its text."""
    frame, group = _plain(frame), options.group
    _check_names(frame, name, options)
    label = _source_column(frame, options.source)
    y, source_names = _labels(frame[label], label)
    keys = frame.groupby(list(group), sort=False, dropna=False).ngroup() if group else None
    together = None if keys is None else torch.from_numpy(keys.to_numpy(np.int64, copy=True))
    text = options.text or _default_text(frame, label, options)
    if text is not None:
        _refuse_for_text(text, label, options)
        how = {"name": name, "place": place, "chunk": options.chunk}
        texts = strings(frame[text], place)
        return text_sources(texts, y, source_names, group=together, group_by=group, **how)
    if options.chunk is not None:
        raise InputError(f"--chunk cuts text: {name} has no column 'text', name one with --text")
    left = {label, *options.ignore, *(() if options.columns else group)}
    chosen = [column for column in (options.columns or frame.columns) if column not in left]
    if not chosen:
        raise InputError(f"{name}: no column left beside the source {label!r}")
    parsed = [_parse(frame[column], options.types.get(column)) for column in chosen]
    table = Table({c.name: values for c, values in parsed}, tuple(c for c, _ in parsed))
    return Sources(table, y, source_names, together, group, name)


def _check_names(frame: "pd.DataFrame", name: str, options: ReadOptions) -> None:
    """Raise if columns have one name, or if one that is asked for is not there."""
    names, columns = list(frame.columns), options.columns or ()
    text = [options.text] if options.text else []
    refuse_repeated(names, name)
    if not len(frame):
        raise InputError(f"{name} holds no rows")
    for given in (*columns, *options.ignore, *options.group, *options.types, *text):
        if given not in names:
            raise unknown("column", given, names)
    refuse_repeated(list(columns), "columns")


def _plain(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The frame with names that are text, named indexes as columns, and rows 0, ..., n - 1."""
    named = [level for level, name in enumerate(frame.index.names) if name is not None]
    if named:
        frame = frame.reset_index(level=named, allow_duplicates=True)  # which is refused later
    return frame.rename(columns=str).reset_index(drop=True)


def _source_column(frame: "pd.DataFrame", source: str | None) -> str:
    if source is not None:
        if source not in frame.columns:
            raise unknown("column", source, frame.columns)
        return source
    if "source" in frame.columns:
        return "source"
    few = [name for name in frame.columns if 2 <= frame[name].nunique() <= 50]
    likely = [name for name in few if not _has_fractions(frame[name])]
    hint = f"; likely: {listing(likely)}" if likely else ""
    raise InputError(f"say which column is the source (--source COLUMN){hint}")


def _has_fractions(column: "pd.Series") -> bool:
    """Whether a column holds measurements, which name no source."""
    import pandas as pd

    known = column.dropna()
    return pd.api.types.is_float_dtype(known.dtype) and bool((known % 1 != 0).any())


def _labels(column: "pd.Series", name: str) -> tuple[Tensor, list[str]]:
    """(n,) codes and the names of the sources, in natural order."""
    empty = column.isna().to_numpy() | (column.astype(object) == "").to_numpy(bool)
    if empty.any():
        first, told = int(empty.argmax()) + 1, counted(int(empty.sum()), "row")
        raise InputError(
            f"the source column {name!r} is empty in {told} (first: row {first}): fill it in or "
            "remove such rows"
        )
    codes, values = column.factorize()
    if len(values) > MOST_SOURCES:
        raise InputError(
            f"the source column {name!r} has {len(values)} different values in {len(column)} rows "
            f"(at most {MOST_SOURCES}): is it an identifier? choose another with --source"
        )
    whole = (int(v) if isinstance(v, float) and v.is_integer() else v for v in values)
    texts = list(map(str, whole))
    order = sorted(range(len(texts)), key=lambda i: natural(texts[i]))
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts))
    return torch.from_numpy(rank[codes]), [texts[i] for i in order]


def natural(text: str) -> tuple[tuple[float, str], ...]:
    """Sort key that puts "a2" before "a10"."""
    parts = re.split(r"(\d+)", text)
    return tuple((float(p), "") if p.isdecimal() else (-1.0, p) for p in parts)


def _parse(column: "pd.Series", override: Kind | None) -> tuple[Column, Tensor]:
    """The kind of a column by the rule in `sourcewise.read`, and its values."""
    import pandas as pd

    name = str(column.name)
    if override is not None and override not in _KINDS:
        raise InputError(f"column {name!r}: no type {override!r} (allowed: {', '.join(_KINDS)})")
    if pd.api.types.is_datetime64_any_dtype(column.dtype) and override in (None, "date"):
        return Column(name, "date"), _seconds(column)
    if pd.api.types.is_numeric_dtype(column.dtype) and override in (None, "number"):
        return Column(name), _number(column, name)
    text = column.astype("string")
    kind = override or _kind_of_text(text, name)
    if kind == "number":
        return Column(name), _number(_numeric(text, name), name)
    if kind == "date":
        return Column(name, "date"), _seconds(_dates(text, name))
    codes, categories = text.factorize(sort=True)
    levels = tuple(str(level) for level in categories)
    return Column(name, "category", levels), torch.from_numpy(codes.astype(np.int64))


def _kind_of_text(text: "pd.Series", name: str) -> Kind:
    import pandas as pd

    present = text.dropna()
    if not len(present):
        return "number"  # no value at all: missing numbers
    parses = pd.to_numeric(present, errors="coerce").notna().to_numpy()
    if parses.all():
        return "number"
    if parses.mean() >= 0.5:
        _refuse_text(present[~parses], name)
    return "date" if present.map(lambda value: bool(_DATE.match(value))).all() else "category"


def _numeric(text: "pd.Series", name: str) -> "pd.Series":
    import pandas as pd

    numbers = pd.to_numeric(text, errors="coerce")
    bad = text[numbers.isna().to_numpy() & text.notna().to_numpy()]
    if len(bad):
        _refuse_text(bad, name)
    return numbers


def _refuse_text(bad: "pd.Series", name: str) -> None:
    raise InputError(
        f"column {name!r} holds text among its numbers: {len(bad)} values such as "
        f"{_first(bad)}; correct them, or use --types {name}=category"
    )


def _first(bad: "pd.Series") -> str:
    return f"{str(bad.iloc[0])!r} (row {cast(int, bad.index[0]) + 1})"


def _number(column: "pd.Series", name: str) -> Tensor:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    infinite = np.isinf(values)
    if infinite.any():
        first = int(infinite.argmax()) + 1
        raise InputError(
            f"column {name!r} holds {infinite.sum()} infinite values (first: row {first})"
        )
    return torch.from_numpy(values)


def _dates(text: "pd.Series", name: str) -> "pd.Series":
    import pandas as pd

    try:
        return pd.to_datetime(text, format="ISO8601", utc=True)
    except ValueError:
        pass
    dates = pd.to_datetime(text, errors="coerce", utc=True)
    bad = text[dates.isna().to_numpy() & text.notna().to_numpy()]
    if len(bad):
        raise InputError(
            f"column {name!r} is not a date, or not in one format: {len(bad)} values such as "
            f"{_first(bad)}"
        )
    return dates


def _seconds(column: "pd.Series") -> Tensor:
    stamps = column.dt.as_unit("s").astype("int64").to_numpy(np.float64, copy=True)
    stamps[column.isna().to_numpy()] = np.nan
    return torch.from_numpy(stamps)


def may_be_text(label: str, options: ReadOptions) -> bool:
    """Whether a column called `text` would be the examples, since no option chooses a table."""
    left = (label, *options.ignore, *options.group)
    return not options.columns and not options.types and "text" not in left


def _default_text(frame: "pd.DataFrame", label: str, options: ReadOptions) -> str | None:
    """The column called `text`, if it holds text and no option chooses a table."""
    import pandas as pd

    if "text" not in frame.columns or not may_be_text(label, options):
        return None
    return None if pd.api.types.is_numeric_dtype(frame["text"].dtype) else "text"


def _refuse_for_text(text: str, label: str, options: ReadOptions) -> None:
    """Raise if an option speaks of a table, or against the column of text."""
    used = [name for name in ("columns", "types") if name in options.given]
    if used:
        raise InputError(f"options that do not apply to text ({text!r}): {listing(used)}")
    if text == label or text in options.ignore:
        where = "is the source" if text == label else "is left out with --ignore"
        raise InputError(f"the column of text {text!r} {where}")


def strings(column: "pd.Series", place: Callable[[int], str]) -> list[str]:
    """The cells of a column of text; others than strings are an `InputError`."""
    import pandas as pd

    values = column.tolist()
    for i, value in enumerate(values):
        if not isinstance(value, str):
            empty = pd.api.types.is_scalar(value) and pd.isna(value)
            what = "is empty" if empty else f"holds {value!r:.40}, no text"
            raise InputError(f"{place(i)}: the column of text {str(column.name)!r} {what}")
    return values
