"""Tables of which one column is text, and the example, -> `Sources`."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
from torch import Tensor

from sourcewise.errors import InputError, listing
from sourcewise.forms import Ragged
from sourcewise.places import Place
from sourcewise.readers.declared import is_text
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.short import as_text
from sourcewise.readers.texts import text_sources
from sourcewise.sources import Sources

__all__ = ["Rows", "may_be_text", "of_texts", "refuse_no_text", "text_column"]


@dataclass(frozen=True)
class Rows:
    """What the rows of a table are beside their values.

    Args:
        y: (n,) sources.
        names: the K sources' names.
        together: (n,) what stays together; None: every row stands for itself.
        place: where a row stands, for messages.
        notes: of how they were read.
    """

    y: Tensor
    names: list[str]
    together: Tensor | None
    place: Place
    notes: tuple[str, ...]


def of_texts(table: pa.Table, text: str, rows: Rows, options: ReadOptions, name: str) -> Sources:
    """Rows whose examples are a column of text."""
    how = {"name": name, "place": rows.place, "chunk": options.chunk, "notes": rows.notes}
    texts = Ragged.of_strings(_strings(table.column(text), text, rows.place))
    groups = {"group": rows.together, "group_by": options.group}
    return text_sources(texts, rows.y, rows.names, **groups, **how)


def may_be_text(label: str, options: ReadOptions) -> bool:
    """Whether a column called `text` would be the examples, since no option chooses a table."""
    left = (label, *options.ignore, *options.group, *options.given)
    typed = set(options.types) - set(options.given)
    return not options.columns and not typed and "text" not in left


def text_column(table: pa.Table, label: str, options: ReadOptions) -> str | None:
    """The column that is the example; None: examples are rows of columns.

    Raises:
        InputError: options that do not go with text.
    """
    text = options.text or _default(table, label, options)
    if text is not None:
        _refuse_for_text(text, label, options)
    return text


def _default(table: pa.Table, label: str, options: ReadOptions) -> str | None:
    """The column called `text`, if it holds text and no option chooses a table."""
    if "text" not in table.column_names or not may_be_text(label, options):
        return None
    kind = table.column("text").type
    return "text" if is_text(kind) or pa.types.is_dictionary(kind) else None


def _refuse_for_text(text: str, label: str, options: ReadOptions) -> None:
    """Raise if an option speaks of a table, or against the column of text."""
    used = [name for name in ("columns", "types") if name in options.chosen]
    if used and not (used == ["types"] and set(options.types) <= set(options.given)):
        raise InputError(f"options that do not apply to text ({text!r}): {listing(used)}")
    if options.given and options.chunk is not None:
        raise InputError("--given describes whole texts: it does not go with --chunk")
    if text in (label, *options.ignore, *options.given):
        where = "is the source" if text == label else "is left out with --ignore"
        where = "is given" if text in options.given else where
        raise InputError(f"the column of text {text!r} {where}")


def _strings(column: pa.ChunkedArray, name: str, place: Place) -> list[str]:
    """The cells of a column of text."""
    values = as_text(column).to_pylist()
    refuse_no_text(values, name, place)
    return values


def refuse_no_text(values: Sequence[object], name: str, place: Place) -> None:
    """Raise for a cell of the column of text that is no string."""
    for i, value in enumerate(values):
        if not isinstance(value, str):
            empty = pd.api.types.is_scalar(value) and pd.isna(value)
            what = "is empty" if empty else f"holds {value!r:.40}, no text"
            raise InputError(f"{place(i)}: the column of text {name!r} {what}")
