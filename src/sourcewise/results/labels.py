"""The result of looking for suspect labels: the contract of `labels --json`."""

from dataclasses import dataclass

from sourcewise.results.contract import Json, Sometimes
from sourcewise.results.data import LeftOut

__all__ = [
    "LABELS",
    "SUSPECTS",
    "Confusion",
    "Flag",
    "JudgedData",
    "JudgedSource",
    "LabelModel",
    "LabelsResult",
    "ShareFacts",
    "Telling",
]

LABELS = "labels"  # the kind of the document
SUSPECTS = "suspects.npz"  # in `samples/`: images of the first flags, in their order


@dataclass(frozen=True)
class Telling:
    """A column whose value is more usual in the suggested source."""

    column: str
    value: str  # as files show it; "" where it is missing
    source_share: float  # of the rows of the row's own source that have such a value
    suggested_share: float  # likewise of the suggested source


@dataclass(frozen=True)
class Flag:
    """A label that is suspect.

    `row` is its number from 1, in the order of the data as they were read. The first flags have
    their place, file and line, and what the row is.
    """

    row: int
    source: str
    suggested: str  # the label that fits better
    score: float  # log odds that the label is wrong, in nats
    low: float | None  # of the score's 95 % interval over training samples
    high: float | None
    probability: float  # that the label is wrong
    place: Sometimes[str] = None
    text: Sometimes[str] = None  # the row, of texts
    columns: Sometimes[tuple[Telling, ...]] = None  # of tables, those that tell most


@dataclass(frozen=True)
class ShareFacts:
    """A share with its 95 % interval; null, with a reason, where there is none."""

    value: float | None
    low: float | None
    high: float | None
    reason: Sometimes[str] = None


@dataclass(frozen=True)
class JudgedSource:
    """A source: its rows, how many of their labels are flagged, and how many may be wrong."""

    name: str
    rows: int
    flagged: int
    expected_wrong: float | None  # null where its labels are not judged
    reason: Sometimes[str] = None


@dataclass(frozen=True)
class Confusion:
    """Flags of one source that suggest one other."""

    source: str
    suggested: str
    flagged: int


@dataclass(frozen=True)
class JudgedData:
    """The data whose labels are judged."""

    name: str
    fingerprint: str
    rows: int
    judged: int  # rows of judged sources
    columns: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    dropped_rows: int
    duplicate_rows: int  # identical to an earlier row
    image: Sometimes[tuple[int, int, int]] = None


@dataclass(frozen=True)
class LabelModel:
    """What the labels of held-out rows say: see `suspects.posterior`."""

    scale: float  # b
    rate: float  # eps
    copies: float | None  # alpha; null where no rows have copies
    offsets: dict[str, float]  # a, by source
    accuracy: float  # of the likeliest label, against the labels as they stand


@dataclass(frozen=True, kw_only=True)
class LabelsResult:
    """All of it."""

    schema_version: int
    kind: str
    data: JudgedData
    family: str
    strategy: str
    metric: str  # what rows are scored by
    folds: int
    seeds: int
    probability: float  # that flagged labels are wrong with, at least
    flags: tuple[Flag, ...]
    expected_precision: ShareFacts  # of the flags
    expected_recall: ShareFacts  # share of all wrong labels that are flagged
    expected_wrong: float  # wrong labels among all that are judged
    sources: tuple[JudgedSource, ...]
    confusions: tuple[Confusion, ...]  # most flags first
    model: LabelModel
    warnings: tuple[str, ...]
    run: str | None
    settings: Json
    versions: dict[str, str]
