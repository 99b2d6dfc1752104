"""Draws in files: the ending of a file's name says how they are written."""

import io
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sourcewise.errors import InputError, listing
from sourcewise.files import write_atomic
from sourcewise.forms import Images, Ragged, Table
from sourcewise.lifecycle.sample import Samples
from sourcewise.outputs import check_output
from sourcewise.readers.registry import ARRAYS, JSON_LINES, PARQUET, PLAIN, TABLE
from sourcewise.results.samples import as_arrays, as_csv, as_json_lines
from sourcewise.results.sheets import sheet

__all__ = ["ENDINGS", "check_file", "write_samples"]

PICTURE = ".png"
ENDINGS = (*(kind.suffixes[0] for kind in (TABLE, JSON_LINES, PLAIN, ARRAYS, PARQUET)), PICTURE)


def check_file(path: Path) -> None:
    """Raise if samples cannot be written there, whatever they are.

    Raises:
        InputError: another ending, or see `check_output`.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: samples go to {listing(ENDINGS)} files")
    check_output(path)


def write_samples(samples: Samples, path: Path) -> None:
    """Write the samples, in the way that the file's ending says.

    Raises:
        InputError: an ending that these samples have no form for.
    """
    check_file(path)
    if isinstance(samples.x, Images) and path.suffix not in (PICTURE, ARRAYS.suffixes[0]):
        raise InputError(f"{path}: these samples are images, which go to .png and .npz files")
    every = (_rows(as_csv), _rows(as_json_lines), _texts, _arrays, _parquet, _sheet)
    forms = dict(zip(ENDINGS, every, strict=True))
    write_atomic(path, forms[path.suffix](samples))


def _rows(form: Callable[..., str]) -> Callable[[Samples], str]:
    return lambda samples: form(samples.x, samples.labels, *samples.columns, samples.beside)


def _parquet(samples: Samples) -> bytes:
    """In the types that came in.

    Categories are declared as such, so that nobody has to guess what '007' was.
    """
    raw, frame = io.BytesIO(), samples.frame()
    schema = samples.x.schema if isinstance(samples.x, Table) else ()
    for column in schema:
        if column.kind == "category" and frame[column.name].dtype in ("object", "str"):
            frame[column.name] = frame[column.name].astype("category")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name, word in samples.recorded.items():
        if word in _SHORT and pa.types.is_floating(table.schema.field(name).type):
            j = table.column_names.index(name)
            table = table.set_column(j, name, table.column(name).cast(_SHORT[word], safe=False))
        elif found := re.fullmatch(r"(decimal\d+)\((\d+), (-?\d+)\)", word):
            kind = getattr(pa, found[1])(int(found[2]), int(found[3]))
            table = _as_decimals(table, name, kind)
    pq.write_table(table, raw)
    return raw.getvalue()


_SHORT = {"float16": pa.float16(), "float32": pa.float32()}


def _as_decimals(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    """A column of numbers as it was declared; as it is, if some do not fit there."""
    column, j = table.column(name), table.column_names.index(name)
    if not pa.types.is_floating(column.type):
        return table
    cells = [None if v is None or v != v else Decimal(repr(v)) for v in column.to_pylist()]
    try:
        return table.set_column(j, name, pa.array([c and c.normalize() for c in cells], kind))
    except pa.ArrowInvalid:
        return table


def _texts(samples: Samples) -> str:
    """One text a line: what `read` takes as one source."""
    if not isinstance(samples.x, Ragged):
        raise InputError("a .txt file holds texts, and these samples are rows: .csv, .jsonl, .npz")
    sources = dict.fromkeys(samples.labels)
    if len(sources) > 1:
        raise InputError(
            f"a .txt file holds one source, not {len(sources)}: --source NAME, or .jsonl"
        )
    texts = samples.x.strings()
    for i, text in enumerate(texts):
        if len(text.splitlines()) > 1 or not text.strip():
            raise InputError(f"sample {i + 1} holds a line break, or nothing: use .jsonl")
    return "\n".join(texts) + "\n"


def _arrays(samples: Samples) -> bytes:
    return as_arrays(samples.x, samples.labels, samples.names)


def _sheet(samples: Samples) -> bytes:
    if not isinstance(samples.x, Images):
        raise InputError("a .png file holds images, and these samples are none: .csv, .jsonl")
    return sheet(samples.images, samples.labels, samples.x.top)
