"""Which column of a table is text to model, and its cells."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sourcewise.errors import InputError, listing
from sourcewise.forms import Kind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["default_text", "may_be_text", "refuse_for_text", "strings"]


def may_be_text(
    label: str,
    columns: Sequence[str] | None,
    left: Sequence[str],
    types: Mapping[str, Kind],
) -> bool:
    """Whether a column called `text` would be the examples, since no option chooses a table."""
    return not columns and not types and "text" not in (label, *left)


def default_text(
    frame: "pd.DataFrame",
    label: str,
    columns: Sequence[str] | None,
    left: Sequence[str],
    types: Mapping[str, Kind],
) -> str | None:
    """The column called `text`, if it holds text and no option chooses a table."""
    import pandas as pd

    if "text" not in frame.columns or not may_be_text(label, columns, left, types):
        return None
    return None if pd.api.types.is_numeric_dtype(frame["text"].dtype) else "text"


def refuse_for_text(
    text: str,
    label: str,
    columns: Sequence[str] | None,
    ignore: Sequence[str],
    types: Mapping[str, Kind],
) -> None:
    """Raise if an option speaks of a table, or against the column of text."""
    used = [n for n, value in (("columns", columns), ("types", types)) if value]
    if used:
        raise InputError(f"options that do not apply to text ({text!r}): {listing(used)}")
    if text == label or text in ignore:
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
