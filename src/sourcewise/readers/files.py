"""Files -> lines of text and pandas DataFrames, with every defect named."""

import codecs
import csv
import gzip
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sourcewise.errors import InputError, listing

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MISSING",
    "Lines",
    "first_line",
    "read_csv",
    "read_lines",
    "read_parquet",
    "refuse_nameless",
    "refuse_repeated",
    "stem",
    "suffix",
]

MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "<NA>", "#N/A", "?"]


def read_csv(path: Path, *, text: str) -> "pd.DataFrame":
    """Read a comma- (or semicolon-, or tab-) separated file with a header line, UTF-8.

    Args:
        path: the file, gzipped if it ends in .gz.
        text: a column to take as text whatever it looks like, "NA" included: the source.
    """
    import pandas as pd

    try:
        names, separator = _header(path)
        with warnings.catch_warnings():
            # Rows longer than the header would be cut, or their first cell taken as an index.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                sep=separator,
                index_col=False,
                dtype={text: str} if text in names else None,
                na_values={name: [""] if name == text else MISSING for name in names},
                keep_default_na=False,
                encoding="utf-8-sig",
                low_memory=False,
                **_nearest_floats(pd.__version__),
            )
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is empty") from None
    except pd.errors.ParserWarning:
        raise InputError(f"{path} is damaged: rows longer than the header") from None
    except pd.errors.ParserError as error:
        raise InputError(f"{path} is damaged: {str(error).strip()}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}") from None


def _nearest_floats(version: str) -> dict[str, str]:
    """What makes pandas read the float that is nearest to a number, so that files keep values."""
    exact = tuple(map(int, version.split(".")[:2])) >= (3, 1)  # there it is all that there is
    return {} if exact else {"float_precision": "round_trip"}


def _header(path: Path) -> tuple[list[str], str]:
    """The column names and the separator.

    pandas would name nameless columns, rename repeated names and fill up short rows silently.
    """
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        first = file.readline(1 << 20).decode("utf-8-sig").rstrip("\r\n")
        second = file.readline(1 << 20).decode("utf-8", "replace").rstrip("\r\n")
    if not first.strip():
        raise InputError(f"{path} is empty")
    separator = max(",;\t", key=first.count)
    names = next(csv.reader([first], delimiter=separator))
    if len(names) == 1:
        allowed = "columns are separated by commas, semicolons or tabs"
        raise InputError(f"{path}: the header has one column only, {names[0]!r}: {allowed}")
    refuse_nameless(names, path)
    refuse_repeated(names, path)
    if second.strip() and separator not in second and '"' not in second:
        raise InputError(
            f"{path}: the header has {len(names)} columns, separated by {separator!r}, "
            f"but the first row has one, {second[:40]!r}"
        )
    return names, separator


def refuse_nameless(names: list[str], path: Path) -> None:
    """Raise if a column has no name."""
    nameless = [j for j, name in enumerate(names, 1) if not name.strip()]
    if nameless:
        raise InputError(
            f"{path}: no name in the header for column {listing(nameless)} of {len(names)}: "
            "name it, or remove it (pandas: to_csv(..., index=False))"
        )


def refuse_repeated(names: list[str], where: object) -> None:
    """Raise if two columns have one name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{where}: duplicate column names: {', '.join(map(repr, repeated))}")


def read_parquet(path: Path) -> "pd.DataFrame":
    """Read a Parquet file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError("Parquet needs pyarrow: pip install 'sourcewise[data]'") from None
    try:
        with pq.ParquetFile(path) as file:
            refuse_repeated(list(file.schema_arrow.names), path)
            return file.read().to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is damaged: {str(error).splitlines()[0]}") from None


def suffix(path: Path) -> str:
    """The ending that tells the format, in small letters: .txt, .jsonl.gz.

    >>> suffix(Path("A.TXT")), suffix(Path("b.c.jsonl.gz"))
    ('.txt', '.jsonl.gz')
    """
    compressed = path.suffix.lower() == ".gz"
    return ("".join(path.suffixes[-2:]) if compressed else path.suffix).lower()


def stem(path: Path) -> str:
    """The file's name without its ending.

    >>> stem(Path("names/Scots.Gaelic.txt.gz"))
    'Scots.Gaelic'
    """
    return path.name[: len(path.name) - len(suffix(path))]


@dataclass(frozen=True)
class Lines:
    """Where rows stand: a file, and the line of each."""

    path: Path
    lines: list[int]

    def __call__(self, i: int) -> str:
        """The place of a row, for messages."""
        return f"{self.path}, line {self.lines[i]}"


def read_lines(path: Path) -> list[str]:
    """All lines without their ends (LF, CRLF, CR), blank ones included: line i + 1 at i.

    Args:
        path: UTF-8 text, with or without a byte order mark; gzipped if it ends in .gz.
    """
    content = _read(path).removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(path, content, error.start) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def first_line(path: Path) -> str:
    """The beginning of the first line, whatever its encoding."""
    return _read(path, 1 << 20).decode("utf-8-sig", "replace").split("\n", 1)[0].rstrip("\r")


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            return file.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def _not_utf8(path: Path, content: bytes, at: int) -> InputError:
    line = content.count(b"\n", 0, at) + 1
    byte = at - content.rfind(b"\n", 0, at)
    return InputError(
        f"{path}, line {line}: byte {byte} (0x{content[at]:02x}) is not UTF-8 text: save the file "
        "as UTF-8"
    )
