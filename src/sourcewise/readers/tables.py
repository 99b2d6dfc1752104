"""Files of rows -> `Sources`: .csv, .tsv, .parquet, and the texts of JSON lines."""

import json
import re
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from sourcewise.errors import InputError, listing
from sourcewise.limits import MOST_CELLS, check_columns, check_unpacked
from sourcewise.readers.delimited import Delimited, layout_of
from sourcewise.readers.distinct import MISSING
from sourcewise.readers.encoding import lines_of, read_text
from sourcewise.readers.files import Lines, reading
from sourcewise.readers.frames import from_arrow, from_pandas
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.text_column import may_be_text
from sourcewise.sources import Sources

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

__all__ = ["read_json_lines", "read_json_texts", "read_parquet_table", "read_table"]

_ROWS = 1 << 12  # of a .parquet file that are unpacked at once


def read_table(path: Path, options: ReadOptions, name: str) -> Sources:
    """A .csv or .tsv file; cells of text are taken as they stand.

    Quotes mean nothing in texts that tabs separate.
    """
    label, text = options.source or "source", options.text or "text"
    only = (options.columns or ()) if options.unlabelled else ()
    layout = layout_of(path, options.separator, options.encoding, only)
    wanted = options.text is not None or may_be_text(label, options)
    if wanted and text in layout.names:
        options = replace(options, text=text)
        layout = replace(layout, quoted=layout.separator != "\t")
    file = Delimited(path, layout)
    kept = {label, text, *options.group, *options.types}
    forced = options.decimal == "," or options.dates or label not in layout.names
    missing = {*MISSING, *options.na}
    # No name for the table here: columns are let go of one by one as they are typed.
    return from_arrow(file.read(None if forced else kept, missing), options, name, file)


def read_parquet_table(path: Path, options: ReadOptions, name: str) -> Sources:
    """A .parquet file."""
    import pyarrow.parquet as pq

    with reading(path):
        with pq.ParquetFile(path) as file:
            check_columns(file.metadata.num_columns, path)
            _refuse_bomb(file, path)
            table = _unpacked(file, path)
        table.validate(full=True)
        # What pandas wrote as an index comes last; unnamed, it is no column.
        metadata = table.schema.pandas_metadata or {}
        index = [c for c in metadata.get("index_columns", []) if isinstance(c, str)]
        named = [c for c in index if not re.fullmatch(r"__index_level_\d+__", c)]
        others = [c for c in table.column_names if c not in index]
        table = table.select([*named, *others])
    return from_arrow(table, options, name)


def _refuse_bomb(file: "pq.ParquetFile", path: Path) -> None:
    """Raise for a small file that would fill the memory, before it is unpacked."""
    cells = file.metadata.num_rows * file.metadata.num_columns
    if cells > MOST_CELLS:
        raise InputError(f"{path} says that it holds {cells} cells (at most {MOST_CELLS})")


def _unpacked(file: "pq.ParquetFile", path: Path) -> pa.Table:
    """All rows; texts that a dictionary holds once may fill the memory, each in its row."""
    parts, size, packed = [], 0, path.stat().st_size
    for part in file.iter_batches(_ROWS):
        parts.append(part)
        size += part.nbytes
        check_unpacked(size, packed, path, "write it as .csv")
    return pa.Table.from_batches(parts, file.schema_arrow)


def read_json_texts(path: Path, options: ReadOptions, name: str) -> Sources:
    """JSON lines, an object with a source and a text each."""
    if options.ungrouped:
        options = options.among(_first_keys(path, options.encoding))
    source, text = options.source or "source", options.text or "text"
    frame, lines = read_json_lines(
        path, source=source, text=text, group=options.group, encoding=options.encoding
    )
    chosen = replace(options, source=source, text=text)
    return from_pandas(frame, chosen, name, Lines(path, array("q", lines)))


def read_json_lines(
    path: Path, *, text: str, source: str, group: Sequence[str], encoding: str | None = None
) -> tuple["pd.DataFrame", list[int]]:
    """One object a line, with at least these keys; others are left out.

    Blank lines are skipped. The source is text or a number; `group` are more keys.

    Returns:
        a DataFrame of these columns, and the line of each row.
    """
    import pandas as pd

    options = {source: "--source", text: "--text"}
    keys = list(dict.fromkeys([source, text, *group]))
    rows, numbers = [], []
    for number, line in enumerate(lines_of(read_text(path, encoding)), 1):
        if line.strip():
            place = f"{path}, line {number}"
            item = _object(line, place)
            rows.append([_value(item, key, options.get(key, ""), place) for key in keys])
            numbers.append(number)
    if not rows:
        raise InputError(f"{path} is empty")
    return pd.DataFrame(rows, columns=keys, dtype=object), numbers


def _first_keys(path: Path, encoding: str | None) -> Sequence[str]:
    """The keys of the first object."""
    lines = enumerate(lines_of(read_text(path, encoding)), 1)
    number, line = next(((i, line) for i, line in lines if line.strip()), (1, "{}"))
    return list(_object(line, f"{path}, line {number}"))


def _object(line: str, place: str) -> dict[str, object]:
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{place} is no JSON: {error.msg} at character {error.colno}") from None
    except (RecursionError, ValueError):
        raise InputError(f"{place} is no JSON object that can be read") from None
    if not isinstance(item, dict):
        raise InputError(f"{place} is no JSON object, such as {{'source': ..., 'text': ...}}")
    return item


def _value(item: dict[str, object], key: str, option: str, place: str) -> object:
    text = option == "--text"
    if key not in item:
        hint = f"; {option} names another" if option else ""
        raise InputError(f"{place} has no key {key!r} (keys: {listing(item)}){hint}")
    value = item[key]
    if isinstance(value, str) and (half := re.search("[\ud800-\udfff]", value)):
        told = f"\\u{ord(half[0]):04x}"
        raise InputError(f"{place} holds half a surrogate pair ({told}): no character")
    allowed = str if text else str | int | float
    if not isinstance(value, allowed):
        what = "text" if text else "text or a number"
        raise InputError(f"{place}: {key!r} is {json.dumps(value)[:40]}, not {what}")
    return value
