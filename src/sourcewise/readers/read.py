"""The one door for data: whatever it is, `read` makes it `Sources`."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sourcewise.errors import InputError, listing, unknown, visible
from sourcewise.forms import Images, Kind
from sourcewise.memory import give_back
from sourcewise.readers.builtin import built_in
from sourcewise.readers.content import refuse_other_content
from sourcewise.readers.encoding import check_encoding
from sourcewise.readers.files import reading, refuse_special, stem, suffix
from sourcewise.readers.registry import (
    ARRAYS,
    BUILT_IN,
    EVERYWHERE,
    PARQUET,
    TABLE,
    ReadOptions,
    format_of,
    readable,
)
from sourcewise.readers.sampled import rows_of_sample
from sourcewise.readers.spelling import alike_names
from sourcewise.readers.texts import check_chunk
from sourcewise.sources import Sources

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read", "read_given"]

_PAIR, _MADE = "a pair of arrays", "Sources"
_PIXELS = ("size", "channels")


def read(
    data: Any,
    *,
    source: str | None = None,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    given: Sequence[str] | str = (),
    group: Sequence[str] | str = (),
    types: Mapping[str, Kind] | None = None,
    text: str | None = None,
    chunk: int | None = None,
    decimal: Literal[".", ","] | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    na: Sequence[str] | str = (),
    dates: str | None = None,
    size: int | None = None,
    channels: Literal["grey", "rgb"] | None = None,
    sample_rows: int | None = None,
    sample_seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Sources:
    """Read labelled data.

    >>> read("wine").names
    ('class_0', 'class_1', 'class_2')

    Args:
        data: a path (.csv, .tsv, .jsonl, .fasta, each also .gz; .parquet; .npz; a folder of text;
            a folder of images for each source, also as .zip; a folder of idx files), a built-in
            name, a pandas DataFrame, NumPy or torch arrays (x, y) or (x, y, names), or `Sources`.
            A named index of a DataFrame or .parquet file is a column too. Arrays of bytes
            (n, H, W), (n, H, W, C) or (n, C, H, W) are `Images`.
        source: the column (in an .npz, the array) that says where a row comes from; by default
            the one called `source` (`y`, `label` or `labels`).
        columns: use only these columns.
        ignore: leave these columns out (a built-in without named columns calls them x1, x2, ...).
        given: columns that models are conditioned on beside the source and never model: they
            describe `p(x | y, c)`, c being these.
        group: columns whose equal values mark rows that must stay together (patient, day); they
            are not modelled unless named in `columns`. "none": every row stands for itself, so
            no signs that rows belong together are looked for; a column of that name goes before.
        types: column to "number", "category" or "date", where the rule is wrong. The rule: types
            that the data declare are honoured; of text, yes and no are a category of two, whole
            numbers with leading zeros are codes, numbers in one notation are numbers, dates in
            one format are dates, and anything else is a category (see `readers.kinds`).
        text: the column (in JSON lines, the key) that is the example, all others left out; by
            default the one called `text`, unless `columns` or `types` choose a table. The examples
            are `Ragged` code points.
        chunk: cut longer texts into pieces of so many characters, which stay together.
        decimal: the mark of decimals in text; by default as the columns of the file show.
        separator: between the cells of a .csv file; by default as its rows show.
        encoding: of text in files; by default UTF-8. A byte order mark goes before, and in a
            folder so does what can only be UTF-8.
        na: values that are missing, beside the empty cell, NA, NaN, null and their like.
        dates: how dates are written, as in `strftime`: %d/%m/%Y.
        size: make images squares of so many pixels a side: the square in their centre, made
            smaller by an antialiasing filter. By default all must have one size.
        channels: "grey" or "rgb" images; by default grey if all are.
        sample_rows: keep at most so many rows of each source, drawn without replacement.
        sample_seed: of that draw.
        progress: called with how much is done, and of how much, while images are read.

    Pixels of encoded images lie in a file without a name among the temporary files (TMPDIR),
    mapped into memory, unless they are few.

    An option that cannot apply is refused: tables in files and DataFrames take all, JSON lines
    `source`, `group`, `text`, `chunk` and `encoding`, folders and FASTA files `chunk` and
    `encoding`, built-ins `columns` and `ignore`, .npz files `source`. Images take `size` and
    `channels` wherever they are, and `sample_rows` applies to all.

    Raises:
        InputError: whatever is wrong with the data, in one line.
    """
    options = ReadOptions(
        source=source,
        columns=None if columns is None else tuple(columns),
        ignore=tuple(ignore),
        given=(given,) if isinstance(given, str) else tuple(given),
        group=(group,) if isinstance(group, str) else tuple(group),
        types=dict(types or {}),
        text=text,
        chunk=chunk,
        decimal=decimal,
        separator=separator,
        encoding=encoding,
        na=(na,) if isinstance(na, str) else tuple(na),
        dates=dates,
        size=size,
        channels=channels,
        sample_rows=sample_rows,
        sample_seed=sample_seed,
        progress=progress,
    )
    _check(options)
    if chunk is not None:
        check_chunk(chunk)
    found = _chosen(_read(data, options), options)
    alike = alike_names(found.names, found.counts.tolist())
    notes = dict.fromkeys((*found.notes, *alike))  # `Sources` that are read again have it already
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    give_back()
    alone = found.independent or (options.ungrouped and not found.group_by)
    return replace(found, reading=options.chosen, notes=tuple(notes), independent=alone)


def read_given(
    data: Any, columns: Sequence[str], types: Mapping[str, Kind], source: str, **options: Any
) -> Sources:
    """Rows of given columns alone: they are x, and the source's column may be absent.

    Args:
        data: a path or a DataFrame.
        columns: the given columns; the others are left out.
        types: their kinds.
        source: the column of the source; where it is absent there is one source without a name.
        **options: `decimal`, `na`, `dates` of `read`.

    Raises:
        InputError: another kind of file, or see `read`.
    """
    kind = format_of(Path(data)) if isinstance(data, str | Path) else TABLE
    if kind not in (TABLE, PARQUET):
        allowed = listing((*TABLE.endings, *PARQUET.endings))
        raise InputError(
            f"{data}: rows of given columns come from {allowed} files; values "
            "are written A=VALUE,B=VALUE"
        )
    chosen = ReadOptions(
        source=source, columns=tuple(columns), types=dict(types), unlabelled=True, **options
    )
    return _read(data, chosen)


def _chosen(found: Sources, options: ReadOptions) -> Sources:
    """The rows that are wanted, images as they are wanted; some readers have done so already."""
    rows = rows_of_sample(found.y, found.names, options)
    found = found if len(rows) == len(found) else found.take(rows)
    if options.size is None and options.channels is None:
        return found
    if not isinstance(found.x, Images):
        raise InputError(f"{found.name} holds no images: size and channels do not apply")
    from sourcewise.readers.images.sources import resized

    return replace(found, x=resized(found.x, options, found.name))


def _read(data: Any, options: ReadOptions) -> Sources:
    """A folder of text needs neither pandas nor Arrow, which take long to import."""
    if isinstance(data, Sources):
        _refuse_others(_MADE, options, *_PIXELS)
        return data
    if isinstance(data, tuple):
        if len(data) not in (2, 3):
            allowed = "allowed are (x, y), (x, y, names)"
            raise InputError(f"cannot read a tuple of {len(data)}: {allowed}")
        _refuse_others(_PAIR, options, *_PIXELS, arrays=True)
        from sourcewise.readers.arrays import from_arrays

        return from_arrays(*data)
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        from sourcewise.readers.frames import from_pandas

        return from_pandas(data, options, "data")
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__dataframe__"):
        from sourcewise.readers.frames import from_arrow

        return from_arrow(_arrow(data), options, "data")
    if not isinstance(data, str | Path):
        raise InputError(f"cannot read a {type(data).__name__}: {_allowed()}")
    if str(data) in BUILT_IN:
        _refuse_others(str(data), options, "columns", "ignore", *_PIXELS)
        return built_in(str(data), options.columns or (), options.ignore)
    return _read_path(Path(data), options)


def _check(options: ReadOptions) -> None:
    """Raise for an option that cannot be meant."""
    for option in ("columns", "ignore", "given", "group"):
        for name in getattr(options, option) or ():
            if not isinstance(name, str):
                raise InputError(f"{option} takes names of columns, not {name!r:.40}")
    if options.decimal not in (None, ".", ","):
        raise InputError(f"no decimal mark {options.decimal!r} (allowed: . or ,)")
    separator = options.separator
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise InputError(f"no separator {separator!r} (one character, such as ; or |)")
    if options.encoding is not None:
        check_encoding(options.encoding)
    for name in ("size", "sample_rows"):
        number = getattr(options, name)
        if number is not None and (not isinstance(number, int) or number < 1):
            raise InputError(f"{name} must be a whole number from 1 up, got {number!r}")
    if options.channels not in (None, "grey", "rgb"):
        raise InputError(f"no channels {options.channels!r} (allowed: grey, rgb)")
    for text in options.na:
        if re.search("[\ud800-\udfff]", text):
            raise InputError(f"no value {text!a} for na: half a surrogate pair is no character")
    if options.dates is not None:
        from sourcewise.readers.dates import check_format

        check_format(options.dates)


def _arrow(data: Any) -> "pa.Table":
    """A table of another library, by the Arrow or the DataFrame interchange protocol."""
    import pyarrow as pa
    import pyarrow.interchange

    try:
        if hasattr(data, "__arrow_c_stream__"):
            return pa.table(data)
        return pa.interchange.from_dataframe(data)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError) as error:
        told = str(error).splitlines()[0]
        raise InputError(f"cannot read a {type(data).__name__}: {told}") from None


def _read_path(path: Path, options: ReadOptions) -> Sources:
    with reading(path):
        there = path.exists()
    if not there:
        if not suffix(path) and len(path.parts) == 1:
            raise unknown("file or built-in data set", str(path), BUILT_IN)
        raise InputError(f"no file {path}")
    refuse_special(path)
    with reading(path):
        run = (path / "config.yaml").is_file()
        if path.is_file():
            path.open("rb").close()  # libraries take what may not be opened for damaged
    if run:
        raise InputError(
            f"{path} is the folder of a run, no data: did you mean report, evaluate or sample?"
        )
    if path.is_file():
        refuse_other_content(path)
    kind = format_of(path)
    if kind is None:
        raise InputError(f"cannot read {path}: {_allowed()}")
    _refuse_others(str(path), options, *kind.options, arrays=kind is ARRAYS)
    name = path.resolve().name if path.is_dir() else stem(path)
    try:
        return kind.read(path, options, visible(name))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except MemoryError:
        raise InputError(f"cannot read {path}: it takes more memory than there is") from None


def _refuse_others(what: str, options: ReadOptions, *allowed: str, arrays: bool = False) -> None:
    """Raise if an option was given that does not apply to what is read."""
    chosen = options.among(()).chosen  # that every row stands for itself, can be said of all
    used = [name for name in chosen if name not in (*allowed, *EVERYWHERE)]
    if used:
        dash = "" if what in (_PAIR, _MADE) else "--"  # files and names come from a command line
        kinds = f" (allowed: {_flags((*allowed, EVERYWHERE[0]), dash)})" if allowed else ""
        unnamed = arrays and {"columns", "ignore", "given", "types", "group"} & set(used)
        hint = "; an array has no named columns: cut x itself, or bring a table" if unnamed else ""
        raise InputError(f"options that do not apply to {what}: {_flags(used, dash)}{kinds}{hint}")


def _flags(names: Sequence[str], dash: str) -> str:
    return listing(f"{dash}{name.replace('_', '-') if dash else name}" for name in names)


def _allowed() -> str:
    names = ", ".join(BUILT_IN)
    return (
        f"allowed are {readable()} files, folders of text, images or idx files, built-in names "
        f"({names}), DataFrames, (x, y)"
    )
