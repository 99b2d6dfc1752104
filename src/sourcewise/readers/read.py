"""The one door for data: whatever it is, `read` makes it `Sources`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sourcewise.errors import InputError, listing, unknown
from sourcewise.forms import Kind
from sourcewise.readers.arrays import from_arrays, read_npz
from sourcewise.readers.builtin import BUILT_IN, built_in
from sourcewise.readers.files import read_csv, read_parquet
from sourcewise.readers.folders import FASTA, PLAIN, read_fasta, read_folder, refuse_single
from sourcewise.readers.frames import from_frame
from sourcewise.readers.plain import stem, suffix
from sourcewise.readers.records import column_names, read_json_lines, read_text_table
from sourcewise.readers.text_columns import may_be_text
from sourcewise.readers.texts import check_chunk
from sourcewise.sources import Sources

__all__ = ["read"]

_FRAMES = {
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".tsv": read_csv,
    ".tsv.gz": read_csv,
    ".parquet": read_parquet,
}
_JSON = (".jsonl", ".jsonl.gz")
_PAIR, _MADE = "a pair of arrays", "Sources"


def read(
    data: Any,
    *,
    source: str | None = None,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    group: Sequence[str] | str = (),
    types: Mapping[str, Kind] | None = None,
    text: str | None = None,
    chunk: int | None = None,
) -> Sources:
    """Read labelled data.

    >>> read("wine").names
    ('class_0', 'class_1', 'class_2')

    Args:
        data: a path (.csv, .tsv, .jsonl, .fasta, each also .gz; .parquet; .npz; a folder of text),
            a built-in name, a pandas DataFrame, NumPy or torch arrays (x, y) or (x, y, names), or
            `Sources`. A named index of a DataFrame or .parquet file is a column too.
        source: the column (in an .npz, the array) that says where a row comes from; by default
            the one called `source` (`y`).
        columns: use only these columns.
        ignore: leave these columns out (a built-in without named columns calls them x1, x2, ...).
        group: columns whose equal values mark rows that must stay together (patient, day); they
            are not modelled unless named in `columns`.
        types: column to "number", "category" or "date", where the rule is wrong. The rule: numbers
            and booleans are numbers; text is a number if every value is one, a date if every
            value starts like 2026-01-31, and a category otherwise.
        text: the column (in JSON lines, the key) that is the example, all others left out; by
            default the one called `text`, unless `columns` or `types` choose a table. The examples
            are `Ragged` code points.
        chunk: cut longer texts into pieces of so many characters, which stay together.

    An option that cannot apply is refused: tables in files and DataFrames take all, JSON lines
    `source`, `group`, `text` and `chunk`, folders and FASTA files `chunk`, built-ins `columns` and
    `ignore`, .npz files `source`, arrays and `Sources` none.

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
        "text": text,
        "chunk": chunk,
    }
    if chunk is not None:
        check_chunk(chunk)
    read_with = {name: value for name, value in choose.items() if value}
    return replace(_read(data, choose), reading=read_with)


def _read(data: Any, choose: dict[str, Any]) -> Sources:
    if isinstance(data, Sources):
        _refuse_options(_MADE, choose)
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
    _refuse_options(_PAIR, choose)
    return from_arrays(*data)


def _read_path(path: Path, choose: dict[str, Any]) -> Sources:
    kind = suffix(path)
    if not path.exists():
        if not kind and len(path.parts) == 1:
            raise unknown("file or built-in data set", str(path), BUILT_IN)
        raise InputError(f"no file {path}")
    if (path / "config.yaml").is_file():
        raise InputError(
            f"{path} is the folder of a run, no data: did you mean report, evaluate or sample?"
        )
    name = path.resolve().name if path.is_dir() else stem(path)
    try:
        if path.is_dir() or kind in FASTA:
            _refuse_options(str(path), choose, "chunk")
            read_texts = read_folder if path.is_dir() else read_fasta
            return read_texts(path, name=name, chunk=choose["chunk"])
        if kind == ".npz":
            _refuse_options(str(path), choose, "source")
            return read_npz(path, source=choose["source"], name=name)
        if kind in _JSON:
            return _read_json_lines(path, name, choose)
        if kind in _FRAMES:
            return _read_frame(path, kind, name, choose)
        if kind in PLAIN:
            raise refuse_single(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    raise InputError(f"cannot read {path}: {_allowed()}")


def _read_json_lines(path: Path, name: str, choose: dict[str, Any]) -> Sources:
    _refuse_options(str(path), choose, "source", "group", "text", "chunk")
    keys = {"source": choose["source"] or "source", "text": choose["text"] or "text"}
    frame, lines = read_json_lines(path, group=choose["group"], **keys)
    options: dict[str, Any] = choose | keys | {"place": _Lines(path, lines)}
    return from_frame(frame, name=name, **options)


def _read_frame(path: Path, kind: str, name: str, choose: dict[str, Any]) -> Sources:
    label, left = choose["source"] or "source", (*choose["ignore"], *choose["group"])
    text = choose["text"] or "text"
    by_default = may_be_text(label, choose["columns"], left, choose["types"])
    wanted = choose["text"] is not None or by_default
    if wanted and kind != ".parquet" and text in column_names(path):
        frame, lines = read_text_table(path)
        options: dict[str, Any] = choose | {"text": text, "place": _Lines(path, lines)}
        return from_frame(frame, name=name, **options)
    return from_frame(_FRAMES[kind](path, text=label), name=name, **choose)


@dataclass(frozen=True)
class _Lines:
    """Where rows stand: a file, and the line of each."""

    path: Path
    lines: list[int]

    def __call__(self, i: int) -> str:
        return f"{self.path}, line {self.lines[i]}"


def _refuse_options(what: str, choose: dict[str, Any], *allowed: str) -> None:
    used = [name for name, value in choose.items() if value and name not in allowed]
    if used:
        dash = "" if what in (_PAIR, _MADE) else "--"  # files and names come from a command line
        kinds = f" (allowed: {_flags(allowed, dash)})" if allowed else ""
        by_name = {"columns", "ignore", "types", "group"} & set(used)
        unnamed = by_name and what.endswith((".npz", _PAIR))
        hint = "; an array has no named columns: cut x itself, or bring a table" if unnamed else ""
        raise InputError(f"options that do not apply to {what}: {_flags(used, dash)}{kinds}{hint}")


def _flags(names: Sequence[str], dash: str) -> str:
    return listing(f"{dash}{name}" for name in names)


def _allowed() -> str:
    kinds = ", ".join([*_FRAMES, ".npz", *_JSON, *FASTA[:2]])
    names = ", ".join(BUILT_IN)
    return (
        f"allowed are {kinds} files, folders of text, built-in names ({names}), DataFrames, (x, y)"
    )
