"""What `read` takes: options, kinds of files and built-in data sets; this imports no torch.

A new kind of file costs a module with a function `(path, options, name) -> Sources`, and a line
in `FORMATS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal

from sourcewise.readers.files import suffix

if TYPE_CHECKING:
    from sourcewise.forms import Kind
    from sourcewise.sources import Sources

__all__ = [
    "ARRAYS",
    "BUILT_IN",
    "FASTA",
    "FOLDER",
    "FORMATS",
    "JSON_LINES",
    "PARQUET",
    "PLAIN",
    "TABLE",
    "Format",
    "ReadOptions",
    "format_of",
    "readable",
]


@dataclass(frozen=True)
class ReadOptions:
    """The options of `sourcewise.read`, which explains them."""

    source: str | None = None
    columns: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    types: Mapping[str, "Kind"] = field(default_factory=dict)
    text: str | None = None
    chunk: int | None = None
    decimal: Literal[".", ","] | None = None
    separator: str | None = None
    encoding: str | None = None
    na: tuple[str, ...] = ()
    dates: str | None = None
    unlabelled: bool = False  # whether the source's column may be absent: see `read_given`

    @property
    def chosen(self) -> dict[str, object]:
        """Those that say something, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    suffixes: tuple[str, ...]  # the endings that help names, in small letters
    reader: str  # "module:function" that reads one
    options: tuple[str, ...]  # of `sourcewise.read` that apply
    gz: bool = False  # whether it may be gzipped too, with .gz after the ending
    others: tuple[str, ...] = ()  # endings that are read as well

    @property
    def endings(self) -> tuple[str, ...]:
        """All endings."""
        plain = (*self.suffixes, *self.others)
        return (*plain, *(ending + ".gz" for ending in plain if self.gz))

    def holds(self, path: Path) -> bool:
        """Whether a file is called like one."""
        return suffix(path) in self.endings

    def read(self, path: Path, options: ReadOptions, name: str) -> "Sources":
        """Read one; `name` is what the data will be called."""
        return resolve_name(self.reader)(path, options, name)


_ALL = tuple(item.name for item in fields(ReadOptions))
_ROWS = tuple(name for name in _ALL if name not in ("separator", "encoding"))
_TEXTS = ("source", "group", "text", "chunk", "encoding")

TABLE = Format((".csv", ".tsv"), "sourcewise.readers.tables:read_table", _ALL, gz=True)
PARQUET = Format((".parquet",), "sourcewise.readers.tables:read_parquet_table", _ROWS)
ARRAYS = Format((".npz",), "sourcewise.readers.arrays:read_npz", ("source",))
JSON_LINES = Format((".jsonl",), "sourcewise.readers.tables:read_json_texts", _TEXTS, gz=True)
FASTA = Format(
    (".fasta",),
    "sourcewise.readers.folders:read_fasta",
    ("chunk", "encoding"),
    gz=True,
    others=(".fa", ".fna", ".faa"),
)
FORMATS = (TABLE, PARQUET, ARRAYS, JSON_LINES, FASTA)
# One file of plain text is one source, which is refused; a folder of them is data.
PLAIN = Format((".txt",), "sourcewise.readers.folders:refuse_single", _ALL, gz=True)
FOLDER = Format((), "sourcewise.readers.folders:read_folder", ("chunk", "encoding"))

BUILT_IN = {
    "wine": "178 wines, 13 measurements; sources: 3 cultivars (scikit-learn)",
    "breast-cancer": "569 tumours, 30 measurements; sources: malignant, benign (scikit-learn)",
    "digits": "1797 images of 8x8 pixels; sources: the digits 0 to 9 (scikit-learn)",
    "gaussian": "500 draws of the paper's Gaussian truth: K = 5, d = 10, d1 = 5",
    "rings": "1500 draws of a truth on the square: 3 sources, two rings each, moved",
    "moons": "1500 draws of a truth on the square: 3 sources, two moons each, moved and turned",
    "checkerboard": "1500 draws of a truth on the square: 3 sources, a checkerboard, moved",
}


def format_of(path: Path) -> Format | None:
    """What a path is, by its name; None if nothing reads it."""
    if path.is_dir():
        return FOLDER
    return next((kind for kind in (*FORMATS, PLAIN) if kind.holds(path)), None)


def readable() -> str:
    """The usual endings in words.

    >>> readable()
    '.csv, .tsv, .jsonl, .fasta (also .gz), .parquet or .npz'
    """
    zipped, others = (
        [ending for kind in FORMATS if kind.gz == gz for ending in kind.suffixes]
        for gz in (True, False)
    )
    *most, last = [f"{', '.join(zipped)} (also .gz)", *others]
    return f"{', '.join(most)} or {last}"
