"""Samples as files that `read` takes back: .csv, .jsonl, .txt, .npz."""

import io
from pathlib import Path

import numpy as np

from sourcewise.errors import InputError, listing
from sourcewise.files import write_atomic
from sourcewise.forms import Ragged, Table, as_table
from sourcewise.lifecycle.sample import Samples
from sourcewise.readers.registry import ARRAYS, JSON_LINES, PLAIN, TABLE
from sourcewise.results.export import as_csv, as_json_lines

__all__ = ["ENDINGS", "check_file", "write_samples"]

ENDINGS = tuple(kind.suffixes[0] for kind in (TABLE, JSON_LINES, PLAIN, ARRAYS))


def check_file(path: Path) -> None:
    """Raise if samples cannot be written there, whatever they are.

    Raises:
        InputError: another ending, or no such folder.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: samples go to {listing(ENDINGS)} files")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"{path} is a folder")


def write_samples(samples: Samples, path: Path) -> None:
    """Write the samples, in the way that the file's ending says.

    Raises:
        InputError: an ending that these samples have no form for.
    """
    check_file(path)
    forms = dict(zip(ENDINGS, (_csv, _json_lines, _lines, _arrays), strict=True))
    write_atomic(path, forms[path.suffix](samples))


def _csv(samples: Samples) -> str:
    return as_csv(samples.x, samples.labels, *samples.columns)


def _json_lines(samples: Samples) -> str:
    return as_json_lines(samples.x, samples.labels, *samples.columns)


def _lines(samples: Samples) -> str:
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
    """`x` and `y`, the names of the sources, or their numbers if they have no others."""
    x = samples.x
    if isinstance(x, Ragged):
        raise InputError("an .npz file holds numbers, and these samples are text: .jsonl, .csv")
    if isinstance(x, Table) and any(column.kind == "category" for column in x.schema):
        raise InputError("an .npz file holds numbers, and these samples have categories: .csv")
    values = as_table(x).matrix().numpy() if isinstance(x, Table) else x.numpy(force=True)
    raw = io.BytesIO()
    y = np.array(samples.labels)
    if all(str(k) == name for k, name in enumerate(samples.names)):
        y = y.astype(np.int64)
    np.savez(raw, x=values, y=y)
    return raw.getvalue()
