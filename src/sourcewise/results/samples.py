"""Where samples come from: the contract of `sample --json`, the draws left out."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sourcewise.cells import csv_text
from sourcewise.errors import InputError
from sourcewise.forms import Images, Ragged, Table, X, as_table
from sourcewise.results.contract import Sometimes
from sourcewise.results.data import Resolved

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Names",
    "SamplesResult",
    "as_arrays",
    "as_csv",
    "as_frame",
    "as_json_lines",
    "as_recorded",
    "number",
    "values",
]


@dataclass(frozen=True)
class Names:
    """What the data called the column of the source, and that of the text."""

    source: str
    text: str


@dataclass(frozen=True)
class SamplesResult:
    """Where draws come from."""

    schema_version: int
    kind: str
    run: str | None
    strategy: str
    family: str
    seed: int
    n: int  # per source, or per row of given columns that was asked for
    temperature: float | None  # that logits were divided by
    given: Mapping[str, str] | None  # values of given columns; None: none, or of rows
    resolved: Resolved
    warnings: tuple[str, ...]
    reading: Names
    options: Sometimes[Mapping[str, str | float]] = None  # of drawing, that were set
    given_rows: Sometimes[int] = None  # how many were asked for; None: those of training rows


def as_frame(
    x: X,
    labels: Sequence[str],
    source: str = "source",
    text: str = "text",
    beside: Table | None = None,
) -> "pd.DataFrame":
    """A DataFrame with the source's column first; missing values are NaN or None.

    Args:
        x: n draws.
        labels: (n,) names of their sources.
        source: what the source's column is called.
        text: likewise that of texts.
        beside: of texts, n rows of given columns.
    """
    import pandas as pd

    if isinstance(x, Images):
        raise InputError("images have no columns: .images holds them as an array")
    table = beside if isinstance(x, Ragged) else as_table(x)
    frame = pd.DataFrame(
        {} if table is None else {name: table.cells(name) for name in table.names}
    )
    frame.insert(0, source, labels, True)
    if isinstance(x, Ragged):
        frame[text] = x.strings()
    return frame


_BOOLEANS = {"true": True, "false": False}


def as_recorded(frame: "pd.DataFrame", recorded: Mapping[str, str]) -> "pd.DataFrame":
    """Booleans, whole numbers and days as they came in, where every draw is one.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"a": ["True", None], "b": [1.0, 2.0], "c": [0.5, 1.0]})
    >>> kinds = {"a": "boolean", "b": "integer", "c": "integer"}
    >>> as_recorded(frame, kinds).dtypes.astype(str).tolist()
    ['boolean', 'Int64', 'float64']
    >>> as_recorded(pd.DataFrame({"b": ["1152921504606846977", None]}), kinds).b.tolist()
    [1152921504606846977, <NA>]

    Args:
        frame: draws.
        recorded: by column "boolean", "integer" or "day".
    """
    import pandas as pd

    out = frame.copy()
    for name in frame.columns.intersection([n for n in recorded if recorded[n] in _RECORDED]):
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        out[name] = _RECORDED[recorded[name]](frame[name], numeric)
    return out


def _booleans(column: "pd.Series", numeric: bool) -> "pd.Series":
    if numeric:  # modelled as numbers, between which there are others
        return column
    flags = column.map(lambda cell: _BOOLEANS.get(str(cell).strip().casefold()))
    return flags.astype("boolean")


def _integers(column: "pd.Series", numeric: bool) -> "pd.Series":
    if numeric and not (column.dropna() % 1 == 0).all():
        return column
    import pandas as pd

    # A list, since Series pass through floats, which are not exact above 2^53.
    whole = [None if pd.isna(cell) else int(cell) for cell in column]
    most = max((cell for cell in whole if cell is not None), default=0)
    cells = pd.array(whole, dtype="UInt64" if most > _MOST else "Int64")
    return pd.Series(cells, column.index)


def _days(column: "pd.Series", numeric: bool) -> "pd.Series":
    import pandas as pd

    return (pd.to_datetime(column, unit="s") if numeric else pd.to_datetime(column)).dt.date


_MOST = 2**63 - 1
_RECORDED = {"boolean": _booleans, "integer": _integers, "day": _days}


def as_csv(
    x: X,
    labels: Sequence[str],
    source: str = "source",
    text: str = "text",
    beside: Table | None = None,
) -> str:
    """See `as_frame`; numbers with the fewest digits that read back as the same float."""
    table = beside if isinstance(x, Ragged) else as_table(x)
    names = () if table is None else table.names
    columns = [] if table is None else [map(number, table.cells(n).tolist()) for n in names]
    if isinstance(x, Ragged):
        names, columns = (*names, text), [*columns, x.strings()]
    return csv_text([(source, *names), *zip(labels, *columns, strict=True)])


def as_json_lines(
    x: X,
    labels: Sequence[str],
    source: str = "source",
    text: str = "text",
    beside: Table | None = None,
) -> str:
    """One object a draw: the source, and its text, its columns or its numbers."""
    lines = []
    for label, value in zip(labels, values(x, text, beside), strict=True):
        row = {text: value} if isinstance(value, str) else value
        row = row if isinstance(row, dict) else {"x": row}
        lines.append(json.dumps({source: label, **row}, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def as_arrays(x: X, labels: Sequence[str], names: Sequence[str]) -> bytes:
    """An .npz file: `x`, and `y`, the names of the sources, or numbers if they have no others.

    Of images also `top`, the largest value that a pixel can have.

    Raises:
        InputError: what is no array of numbers.
    """
    if isinstance(x, Ragged):
        raise InputError("an .npz file holds numbers, and these samples are text: .jsonl, .csv")
    if isinstance(x, Table) and any(column.kind == "category" for column in x.schema):
        raise InputError("an .npz file holds numbers, and these samples have categories: .csv")
    values = x.matrix() if isinstance(x, Table) else x.pixels() if isinstance(x, Images) else x
    raw, y = io.BytesIO(), np.array(labels)
    if all(str(k) == name for k, name in enumerate(names)):
        y = y.astype(np.int64)
    if isinstance(x, Images):
        np.savez(raw, x=values.numpy(force=True), y=y, top=np.array(x.top))
    else:
        np.savez(raw, x=values.numpy(force=True), y=y)
    return raw.getvalue()


def values(x: X, text: str = "text", beside: Table | None = None) -> list[Any]:
    """Each draw: a text, a row by column (of texts: with what is given beside it), or numbers."""
    if isinstance(x, Ragged):
        strings = x.strings()
        if beside is None:
            return strings
        return [{**row, text: s} for row, s in zip(values(beside), strings, strict=True)]
    if isinstance(x, Table):
        columns = [x.cells(name).tolist() for name in x.names]
        rows = zip(*columns, strict=True)
        return [dict(zip(x.names, map(number, row), strict=True)) for row in rows]
    return (x.pixels() if isinstance(x, Images) else x).tolist()


def number(value: Any) -> Any:
    """A cell as JSON has it: whole numbers without a point, missing as null."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value
