"""Which column of a table is text to model, and its cells."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sourcewise.errors import InputError, listing
from sourcewise.readers.registry import ReadOptions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["default_text", "may_be_text", "refuse_for_text", "strings"]


def may_be_text(label: str, options: ReadOptions) -> bool:
    """Whether a column called `text` would be the examples, since no option chooses a table."""
    left = (label, *options.ignore, *options.group)
    return not options.columns and not options.types and "text" not in left


def default_text(frame: "pd.DataFrame", label: str, options: ReadOptions) -> str | None:
    """The column called `text`, if it holds text and no option chooses a table."""
    import pandas as pd

    if "text" not in frame.columns or not may_be_text(label, options):
        return None
    return None if pd.api.types.is_numeric_dtype(frame["text"].dtype) else "text"


def refuse_for_text(text: str, label: str, options: ReadOptions) -> None:
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
