"""Files of rows -> `Sources`: .csv, .tsv, .parquet, and the texts of JSON lines."""

from dataclasses import replace
from pathlib import Path

from sourcewise.readers.files import read_csv, read_parquet
from sourcewise.readers.frames import from_frame
from sourcewise.readers.plain import Lines
from sourcewise.readers.records import column_names, read_json_lines, read_text_table
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.text_columns import may_be_text
from sourcewise.sources import Sources

__all__ = ["read_json_texts", "read_parquet_table", "read_table"]


def read_table(path: Path, options: ReadOptions, name: str) -> Sources:
    """A .csv or .tsv file; cells of text are taken as they stand."""
    label, text = options.source or "source", options.text or "text"
    wanted = options.text is not None or may_be_text(label, options)
    if wanted and text in column_names(path):
        frame, lines = read_text_table(path)
        return from_frame(frame, replace(options, text=text), name, Lines(path, lines))
    return from_frame(read_csv(path, text=label), options, name)


def read_parquet_table(path: Path, options: ReadOptions, name: str) -> Sources:
    """A .parquet file."""
    return from_frame(read_parquet(path), options, name)


def read_json_texts(path: Path, options: ReadOptions, name: str) -> Sources:
    """JSON lines, an object with a source and a text each."""
    source, text = options.source or "source", options.text or "text"
    frame, lines = read_json_lines(path, source=source, text=text, group=options.group)
    return from_frame(frame, replace(options, source=source, text=text), name, Lines(path, lines))
