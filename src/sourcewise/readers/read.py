"""The one door for data: whatever it is, `read` makes it `Sources`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sourcewise.errors import InputError, listing, unknown
from sourcewise.forms import Kind
from sourcewise.readers.arrays import from_arrays, read_npz
from sourcewise.readers.builtin import BUILT_IN, built_in
from sourcewise.readers.files import read_csv, read_parquet
from sourcewise.readers.frames import from_frame
from sourcewise.sources import Sources

__all__ = ["read"]

_FRAMES = {
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".tsv": read_csv,
    ".tsv.gz": read_csv,
    ".parquet": read_parquet,
}


def read(
    data: Any,
    *,
    source: str | None = None,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    group: Sequence[str] | str = (),
    types: Mapping[str, Kind] | None = None,
) -> Sources:
    """Read labelled data.

    >>> read("wine").names
    ('class_0', 'class_1', 'class_2')

    Args:
        data: a path (.csv, .tsv, each also .gz; .parquet; .npz), a built-in name, a pandas
            DataFrame, a pair (x, y) of NumPy or torch arrays, or `Sources`.
        source: the column (in an .npz, the array) that says where a row comes from; by default
            the one called `source` (`y`).
        columns: use only these columns.
        ignore: leave these columns out.
        group: columns whose equal values mark rows that must stay together (patient, day); they
            are not modelled unless named in `columns`.
        types: column to "number", "category" or "date", where the rule is wrong. The rule: numbers
            and booleans are numbers; text is a number if every value is one, a date if every
            value starts like 2026-01-31, and a category otherwise.

    Raises:
        InputError: whatever is wrong with the data, in one line.
    """
    group = (group,) if isinstance(group, str) else tuple(group)
    choose: dict[str, Any] = {
        "source": source,
        "columns": columns,
        "ignore": tuple(ignore),
        "group": group,
        "types": dict(types or {}),
    }
    if isinstance(data, Sources):
        return data
    if isinstance(data, tuple):
        return from_arrays(*data)
    if hasattr(data, "columns"):
        return from_frame(data, name="data", **choose)
    if not isinstance(data, str | Path):
        raise InputError(f"cannot read a {type(data).__name__}: {_allowed()}")
    if str(data) in BUILT_IN:
        _refuse_table_options(str(data), choose)
        return built_in(str(data))
    return _read_path(Path(data), choose)


def _read_path(path: Path, choose: dict[str, Any]) -> Sources:
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if not path.exists():
        if not suffix and len(path.parts) == 1:
            raise unknown("file or built-in data set", str(path), BUILT_IN)
        raise InputError(f"no file {path}")
    name = path.name.removesuffix(".gz").removesuffix(Path(path.name.removesuffix(".gz")).suffix)
    try:
        if suffix.lower() == ".npz":
            _refuse_table_options(str(path), {**choose, "source": None})
            return read_npz(path, source=choose["source"], name=name)
        if suffix.lower() in _FRAMES:
            frame = _FRAMES[suffix.lower()](path, text=choose["source"] or "source")
            return from_frame(frame, name=name, **choose)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    raise InputError(f"cannot read {path}: {_allowed()}")


def _refuse_table_options(what: str, choose: dict[str, Any]) -> None:
    used = [name for name, value in choose.items() if value]
    if used:
        raise InputError(f"{what} is not a table of named columns: {listing(used)} not allowed")


def _allowed() -> str:
    kinds = ", ".join([*_FRAMES, ".npz"])
    return f"allowed are {kinds} files, built-in names ({', '.join(BUILT_IN)}), DataFrames, (x, y)"
