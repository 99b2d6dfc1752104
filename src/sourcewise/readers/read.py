"""The one door for data: whatever it is, `read` makes it `Sources`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
            DataFrame, NumPy or torch arrays (x, y) or (x, y, names), or `Sources`. A named index
            of a DataFrame or .parquet file is a column too.
        source: the column (in an .npz, the array) that says where a row comes from; by default
            the one called `source` (`y`).
        columns: use only these columns.
        ignore: leave these columns out (a built-in without named columns calls them x1, x2, ...).
        group: columns whose equal values mark rows that must stay together (patient, day); they
            are not modelled unless named in `columns`.
        types: column to "number", "category" or "date", where the rule is wrong. The rule: numbers
            and booleans are numbers; text is a number if every value is one, a date if every
            value starts like 2026-01-31, and a category otherwise.

    An option that cannot apply is refused: tables in files and DataFrames take all, built-ins
    `columns` and `ignore`, .npz files `source`, arrays and `Sources` none.

    Raises:
        InputError: whatever is wrong with the data, in one line.
    """
    group = (group,) if isinstance(group, str) else tuple(group)
    choose: dict[str, Any] = {
        "source": source,
        "columns": None if columns is None else tuple(columns),
        "ignore": tuple(ignore),
        "group": group,
        "types": dict(types or {}),
    }
    read_with = {name: value for name, value in choose.items() if value}
    return replace(_read(data, choose), reading=read_with)


def _read(data: Any, choose: dict[str, Any]) -> Sources:
    if isinstance(data, Sources):
        _refuse_options("Sources", choose)
        return data
    if isinstance(data, tuple):
        return _read_tuple(data, choose)
    if hasattr(data, "columns"):
        return from_frame(data, name="data", **choose)
    if not isinstance(data, str | Path):
        raise InputError(f"cannot read a {type(data).__name__}: {_allowed()}")
    if str(data) in BUILT_IN:
        _refuse_options(str(data), choose, "columns", "ignore")
        return built_in(str(data), choose["columns"] or (), choose["ignore"])
    return _read_path(Path(data), choose)


def _read_tuple(data: tuple[Any, ...], choose: dict[str, Any]) -> Sources:
    if len(data) not in (2, 3):
        raise InputError(f"cannot read a tuple of {len(data)}: allowed are (x, y), (x, y, names)")
    _refuse_options("a pair of arrays", choose)
    return from_arrays(*data)


def _read_path(path: Path, choose: dict[str, Any]) -> Sources:
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if not path.exists():
        if not suffix and len(path.parts) == 1:
            raise unknown("file or built-in data set", str(path), BUILT_IN)
        raise InputError(f"no file {path}")
    name = path.name.removesuffix(".gz").removesuffix(Path(path.name.removesuffix(".gz")).suffix)
    try:
        if suffix.lower() == ".npz":
            _refuse_options(str(path), choose, "source")
            return read_npz(path, source=choose["source"], name=name)
        if suffix.lower() in _FRAMES:
            frame = _FRAMES[suffix.lower()](path, text=choose["source"] or "source")
            return from_frame(frame, name=name, **choose)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    raise InputError(f"cannot read {path}: {_allowed()}")


def _refuse_options(what: str, choose: dict[str, Any], *allowed: str) -> None:
    used = [name for name, value in choose.items() if value and name not in allowed]
    if used:
        kinds = f" (allowed: {listing(allowed)})" if allowed else ""
        raise InputError(f"options that do not apply to {what}: {listing(used)}{kinds}")


def _allowed() -> str:
    kinds = ", ".join([*_FRAMES, ".npz"])
    return f"allowed are {kinds} files, built-in names ({', '.join(BUILT_IN)}), DataFrames, (x, y)"
