"""What `read` takes: options, kinds of files and built-in data sets; this imports no torch.

A new kind of file costs a module with a function `(path, options, name) -> Sources`, and a line
in `FORMATS`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
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
    "EVERYWHERE",
    "FASTA",
    "FOLDER",
    "FORMATS",
    "IMAGES",
    "JSON_LINES",
    "NONE",
    "PARQUET",
    "PLAIN",
    "TABLE",
    "ZIP",
    "Format",
    "ReadOptions",
    "format_of",
    "readable",
]


NONE = "none"  # what `group` names where every row stands for itself


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
    size: int | None = None
    channels: Literal["grey", "rgb"] | None = None
    sample_rows: int | None = None
    sample_seed: int = 0
    progress: Callable[[int, int], None] | None = field(default=None, metadata={"aside": True})

    @property
    def ungrouped(self) -> bool:
        """Whether `group` says that every row stands for itself, unless a column is called so."""
        return self.group == (NONE,)

    def among(self, names: Iterable[str]) -> "ReadOptions":
        """Those for a table of these columns: `--group none` names none of them."""
        return replace(self, group=()) if self.ungrouped and NONE not in names else self

    @property
    def chosen(self) -> dict[str, object]:
        """Those that say something, by name; `progress` changes nothing that is read."""
        values = {item.name: getattr(self, item.name) for item in _ITEMS}
        if self.sample_rows is None:
            del values["sample_seed"]
        return {name: value for name, value in values.items() if value}


_ITEMS = tuple(item for item in fields(ReadOptions) if not item.metadata)


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    suffixes: tuple[str, ...]  # the endings that help names, in small letters
    reader: str  # "module:function" that reads one
    options: tuple[str, ...]  # of `sourcewise.read` that apply
    gz: bool = False  # whether it may be gzipped too, with .gz after the ending
    others: tuple[str, ...] = ()  # endings that are read as well
    tell: str = ""  # "module:function" that tells them by more than an ending, folders too

    @property
    def endings(self) -> tuple[str, ...]:
        """All endings."""
        plain = (*self.suffixes, *self.others)
        return (*plain, *(ending + ".gz" for ending in plain if self.gz))

    def holds(self, path: Path) -> bool:
        """Whether a file is called like one, or a folder holds some."""
        if self.tell:
            return resolve_name(self.tell)(path)
        return suffix(path) in self.endings and not path.is_dir()

    def read(self, path: Path, options: ReadOptions, name: str) -> "Sources":
        """Read one; `name` is what the data will be called."""
        return resolve_name(self.reader)(path, options, name)


EVERYWHERE = ("sample_rows", "sample_seed")  # options that apply to whatever is read
_PIXELS = ("size", "channels")
_ALL = tuple(item.name for item in _ITEMS if item.name not in (*EVERYWHERE, *_PIXELS))
_ROWS = tuple(name for name in _ALL if name not in ("separator", "encoding"))
_TEXTS = ("source", "group", "text", "chunk", "encoding")

TABLE = Format((".csv", ".tsv"), "sourcewise.readers.tables:read_table", _ALL, gz=True)
PARQUET = Format((".parquet",), "sourcewise.readers.tables:read_parquet_table", _ROWS)
ARRAYS = Format((".npz",), "sourcewise.readers.saved_arrays:read_npz", ("source", *_PIXELS))
JSON_LINES = Format((".jsonl",), "sourcewise.readers.tables:read_json_texts", _TEXTS, gz=True)
FASTA = Format(
    (".fasta",),
    "sourcewise.readers.folders:read_fasta",
    ("chunk", "encoding"),
    gz=True,
    others=(".fa", ".fna", ".faa"),
)
ZIP = Format((".zip",), "sourcewise.readers.images.folders:read_zip", _PIXELS)
FORMATS = (TABLE, PARQUET, ARRAYS, JSON_LINES, FASTA, ZIP)
# One file of plain text is one source, which is refused; a folder of them is data.
PLAIN = Format((".txt",), "sourcewise.readers.folders:refuse_single", _ALL, gz=True)
FOLDER = Format((), "sourcewise.readers.folders:read_folder", ("chunk", "encoding"))
IMAGES = (
    Format(
        (),
        "sourcewise.readers.images.idx:read_idx",
        _PIXELS,
        tell="sourcewise.readers.images.marks:is_idx",
    ),
    Format(
        (),
        "sourcewise.readers.images.folders:read_folder",
        _PIXELS,
        tell="sourcewise.readers.images.marks:is_image_folder",
    ),
)

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
    """What a path is, by its name, or by what a folder holds; None if nothing reads it.

    A folder is of text unless it holds images.
    """
    found = next((kind for kind in (*FORMATS, PLAIN, *IMAGES) if kind.holds(path)), None)
    return FOLDER if found is None and path.is_dir() else found


def readable() -> str:
    """The usual endings in words.

    >>> readable()
    '.csv, .tsv, .jsonl, .fasta (also .gz), .parquet, .npz or .zip'
    """
    zipped, others = (
        [ending for kind in FORMATS if kind.gz == gz for ending in kind.suffixes]
        for gz in (True, False)
    )
    *most, last = [f"{', '.join(zipped)} (also .gz)", *others]
    return f"{', '.join(most)} or {last}"
