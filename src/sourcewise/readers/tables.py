"""Files of rows -> `Sources`: .csv, .tsv, .parquet, and the texts of JSON lines."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sourcewise.errors import InputError, listing
from sourcewise.readers.files import (
    Lines,
    first_line,
    read_csv,
    read_lines,
    read_parquet,
    refuse_nameless,
    refuse_repeated,
    suffix,
)
from sourcewise.readers.frames import from_frame, may_be_text
from sourcewise.readers.registry import ReadOptions
from sourcewise.sources import Sources

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_json_texts", "read_parquet_table", "read_table"]


def read_table(path: Path, options: ReadOptions, name: str) -> Sources:
    """A .csv or .tsv file; cells of text are taken as they stand."""
    label, text = options.source or "source", options.text or "text"
    wanted = options.text is not None or may_be_text(label, options)
    if wanted and text in _column_names(path):
        frame, lines = _read_text_table(path)
        return from_frame(frame, replace(options, text=text), name, Lines(path, lines))
    return from_frame(read_csv(path, text=label), options, name)


def read_parquet_table(path: Path, options: ReadOptions, name: str) -> Sources:
    """A .parquet file."""
    return from_frame(read_parquet(path), options, name)


def read_json_texts(path: Path, options: ReadOptions, name: str) -> Sources:
    """JSON lines, an object with a source and a text each."""
    source, text = options.source or "source", options.text or "text"
    frame, lines = _read_json_lines(path, source=source, text=text, group=options.group)
    return from_frame(frame, replace(options, source=source, text=text), name, Lines(path, lines))


def _read_json_lines(
    path: Path, *, text: str, source: str, group: Sequence[str]
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
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            place = f"{path}, line {number}"
            item = _object(line, place)
            rows.append([_value(item, key, options.get(key, ""), place) for key in keys])
            numbers.append(number)
    if not rows:
        raise InputError(f"{path} is empty")
    return pd.DataFrame(rows, columns=keys, dtype=object), numbers


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
    allowed = str if text else str | int | float
    if not isinstance(value, allowed):
        what = "text" if text else "text or a number"
        raise InputError(f"{place}: {key!r} is {json.dumps(value)[:40]}, not {what}")
    return value


def _column_names(path: Path) -> list[str]:
    """The names in the header of a .csv or .tsv file."""
    header = first_line(path)
    separator = _separator(path, header)
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    return next(csv.reader([header], delimiter=separator, quoting=quoting), [])


def _separator(path: Path, header: str) -> str:
    return "\t" if suffix(path).startswith(".tsv") else max(",;\t", key=header.count)


def _read_text_table(path: Path) -> tuple["pd.DataFrame", list[int]]:
    """A .csv or .tsv file with every cell as it stands; quotes mean nothing where tabs separate.

    Returns:
        a DataFrame of strings, and the line that each row begins on.
    """
    import pandas as pd

    lines = read_lines(path)
    if not lines[0].strip():
        raise InputError(f"{path} is empty")
    separator = _separator(path, lines[0])
    rows = _quoted_rows(lines, separator, path)
    if separator == "\t":
        rows = ((n, line.split("\t")) for n, line in enumerate(lines, 1) if line)
    names = next(rows)[1]
    refuse_nameless(names, path)
    refuse_repeated(names, path)
    kept, numbers = [], []
    for number, row in rows:
        if len(row) != len(names):
            told = f"{len(row)} cells, but the header has {len(names)} columns: {listing(names)}"
            raise InputError(f"{path}, line {number} has {told}")
        kept.append(row)
        numbers.append(number)
    return pd.DataFrame(kept, columns=names, dtype=object), numbers


def _quoted_rows(lines: list[str], separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator, strict=True)
    # The limit on cells is global: raised for this file only, row by row.
    before = csv.field_size_limit()
    while True:
        start = reader.line_num + 1
        csv.field_size_limit(1 << 31)
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{path}, line {start} is damaged: {error}") from None
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        if row:
            yield start, row
