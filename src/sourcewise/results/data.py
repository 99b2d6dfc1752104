"""What every result says of its data, of its models' fits, and of how the run was set up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from sourcewise.results.contract import Scalar, Sometimes
from sourcewise.schema import SeenColumn

__all__ = [
    "Column",
    "ComparedSource",
    "DataFacts",
    "DiagnosticFacts",
    "LeftOut",
    "Reading",
    "RunSettings",
    "SourceFacts",
    "TrainedSource",
]


@dataclass(frozen=True)
class Column:
    """A column that is modelled; `kind`, `categories` and `missing` of mixed tables only."""

    name: str
    kind: Sometimes[str] = None
    categories: Sometimes[tuple[str, ...]] = None
    log: bool = False
    resolution: float | None = None
    missing: Sometimes[bool] = None


@dataclass(frozen=True)
class LeftOut:
    """A column that is not modelled, and why."""

    column: str
    reason: str


@dataclass(frozen=True)
class SourceFacts:
    """Rows of a source, and their units: rows again, symbols or pixel values."""

    name: str
    rows: int
    size: float


@dataclass(frozen=True)
class ComparedSource(SourceFacts):
    """Of a comparison: whether the source is tested, and why not."""

    tested: bool = True
    reason: str | None = None


@dataclass(frozen=True)
class TrainedSource(SourceFacts):
    """Of a training: rows that trained, and rows that told when to stop."""

    n_train: int
    n_valid: int


Fitted = dict[str, tuple[float | str | None, ...]]  # what fitting found, a value per model
Resolved = Mapping[str, Scalar]  # what settings given as `auto` became
Source = TypeVar("Source", bound=SourceFacts, covariant=True)


@dataclass(frozen=True)
class DataFacts(Generic[Source]):
    """The data of a run."""

    name: str
    fingerprint: str  # of all columns as they were read
    rows: int
    columns: tuple[Column, ...]  # none of text and plain symbols
    variables: int  # coordinates of one unit: columns of a row, 1 of others
    symbols: int | None  # size of the alphabet of rows of symbols
    scored_per: str  # what scores are divided by: row, symbol or pixel value
    left_out: tuple[LeftOut, ...]
    group: tuple[str, ...] | None  # columns whose equal values keep rows together
    dropped_rows: int  # for missing values
    imputed_cells: int
    missing: str  # what was asked for
    missing_cells: int
    sources: tuple[Source, ...]
    units: Sometimes[int] = None  # sets of rows that stay together
    duplicate_rows: Sometimes[int] = None  # identical to an earlier row
    given: Sometimes[tuple[str, ...]] = None  # columns that models are conditioned on
    seen: Sometimes[tuple[SeenColumn, ...]] = None  # every column of a table as it was read
    image: Sometimes[tuple[int, int, int]] = None  # channels, height and width of images


@dataclass(frozen=True)
class DiagnosticFacts:
    """What trained models say of their fits, or what a setting came to (`setting`)."""

    name: str
    values: tuple[Scalar, ...]  # one per model, or the one that all agree on
    unit: str
    words: str  # as tables show it
    setting: bool


@dataclass(frozen=True)
class Reading:
    """How the data of a run was read, as far as new rows are read alike."""

    source: str | None = None
    given: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    text: str | None = None
    chunk: int | None = None
    decimal: str | None = None
    separator: str | None = None
    encoding: str | None = None
    na: tuple[str, ...] = ()
    dates: str | None = None
    size: int | None = None
    channels: str | None = None


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run that its models are used with later."""

    model: str
    missing: Literal["refuse", "drop", "impute"]
    data: Reading
    metric: str = "log-likelihood"  # there was no other when runs did not name it
