"""Which stated configuration comes closest to the paper's ARM cells?

The paper's cells are of 13 sizes (two stand in two tables), both strategies. Every candidate is
measured at a few sizes first; the closest go on to all. The distance is the root mean square of
`log(measured / paper)` over strategies and cells, those of two tables counted twice. The best of
many tries is close in part by luck, and says nothing about what the paper did.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice
from statistics import mean
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from sourcewise.errors import InputError
from sourcewise.settings import Seed, Settings
from sourcewise.studies.arm.settings import (
    PAPER,
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Cell,
)
from sourcewise.studies.arm.study import measure, work
from sourcewise.studies.arm.table import Errors, distance
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.grid import SHORT, Grid, Trials, Work
from sourcewise.studies.result import Result

__all__ = ["ArmSearch", "ArmSearchSettings", "Found", "grid"]

# Each says only where it differs from the defaults of the tables.
CANDIDATES = (
    "own=0.2",
    "own=0.2 width=96 learning_rate=0.02",
    "own=1",
    "truth=independent",
    "truth=realizable",
    "width=64",
    "depth=4 width=64",
    "batch=100 passes=20 updates=0 learning_rate=0.005",
    "validation=0.1",
)
Sizes = tuple[int, int, int]  # K, n, D
Stage = Literal["few", "all"]


class ArmSearchSettings(Settings):
    """Which candidates are tried, and where."""

    candidates: tuple[str, ...] = Field(
        default=("", *CANDIDATES),
        description="settings of the tables, KEY=VALUE with spaces between; the others at their "
        "defaults",
    )
    places: tuple[str, ...] = Field(
        default=("3/1000/10", "10/30000/10", "3/10000/12"),
        description="where all candidates are measured: K/n/D of a cell of the paper",
    )
    finalists: int = Field(default=0, ge=0, le=1000, description="how many go on to all cells")
    seeds: int = Field(default=1, ge=1, le=1000, description="truths, samples and starts per cell")
    seed: Seed = Field(default=0, description="seed of all draws")

    @field_validator("places")
    @classmethod
    def _check_places(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            _sizes(text)
        return texts


class SearchCell(NamedTuple):
    """A cell of the paper under a candidate's settings."""

    candidate: str
    cell: Cell

    @property
    def name(self) -> str:
        """The candidate is a folder."""
        candidate = self.candidate.replace(" ", ",").replace("/", "-") or "default"
        return f"{candidate}/{self.cell.name}"


@dataclass(frozen=True)
class SearchPoint:
    """What a strategy measured at the sizes of a cell of the paper; it stands in no sweep.

    The fields are those of `ArmPoint`; candidate and places are those of `Found`.
    """

    candidate: str
    places: Stage
    strategy: Strategy
    K: int
    n: int
    D: int
    measured: float
    paper: float
    frequencies: float
    sweep: None = None
    value: None = None
    standard_error: None = None


@dataclass(frozen=True)
class Found:
    """How close a candidate comes."""

    candidate: str  # what differs from the defaults
    places: Stage  # where it was measured
    distance: float  # root mean square of log ratios


@dataclass(frozen=True)
class ArmSearch(Result):
    """All candidates, finalists first, then the closest first."""

    settings: ArmSearchSettings
    points: tuple[SearchPoint, ...]

    @property
    def found(self) -> list[Found]:
        """The candidates."""
        groups: dict[tuple[str, Stage], list[SearchPoint]] = {}
        for point in self.points:
            groups.setdefault((point.candidate, point.places), []).append(point)
        return [Found(*name, _distance(points)) for name, points in groups.items()]

    def to_json(self) -> Mapping[str, object]:
        """As plain values."""
        found = [asdict(one) for one in self.found]
        return {"stated by the paper": False, "found": found, **super().to_json()}

    def __str__(self) -> str:
        head = f"Distance to the paper (rms of log ratios), {self.settings.seeds} seed(s); "
        lines = [head + "measured separate/pooled at K/n/D", ""]
        return "\n".join([*lines, *_table("all", self), *_table("few", self)])


def grid(
    settings: ArmSearchSettings, changes: Mapping[str, object] | None = None
) -> Grid[SearchCell, Errors, ArmSearch]:
    """The cells of all candidates, whose training has these changes."""
    same = {"seeds": settings.seeds, "seed": settings.seed, **(changes or {})}
    parsed = {text: _parsed(text).model_copy(update=same) for text in settings.candidates}
    few = [_sizes(text) for text in settings.places]
    every = [c.sizes for s in (ArmKSettings, ArmNSettings, ArmDSettings) for c in s().cells()]

    def ranked(found: Mapping[str, Errors]) -> list[list[SearchPoint]]:
        return sorted((_points(text, "few", few, found) for text in parsed), key=_distance)

    def finalists(found: Mapping[str, Errors]) -> list[str]:
        """Of the first candidates, while nothing is known."""
        texts = [points[0].candidate for points in ranked(found)] if found else list(parsed)
        return texts[: settings.finalists]

    def fold(found: Mapping[str, Errors]) -> ArmSearch:
        finals = [_points(text, "all", every, found) for text in finalists(found)]
        finals.sort(key=_distance)
        return ArmSearch(settings, tuple(chain(*finals, *ranked(found))))

    return Grid(
        cells=[_cell(text, sizes) for text in parsed for sizes in few],
        compute=lambda cell, *more: measure(parsed[cell.candidate], cell.cell, *more),
        found=Errors,
        fold=fold,
        time=Trials(
            lambda cell: _work(parsed[cell.candidate], cell.cell), lambda: grid(settings, SHORT)
        ),
        later=lambda found: [_cell(text, sizes) for text in finalists(found) for sizes in every],
    )


def _work(settings: ArmStudySettings, cell: Cell) -> Work:
    """That of an update in proportion to the entries of the layers, too."""
    units, each, kind = work(settings, cell)
    return Work(units, each * settings.width**2 * settings.depth, kind)


def _parsed(text: str) -> ArmStudySettings:
    """The settings of a candidate."""
    pairs = [part.partition("=") for part in text.split()]
    return ArmStudySettings.parse({key: value for key, _, value in pairs})


def _cell(candidate: str, sizes: Sizes) -> SearchCell:
    return SearchCell(candidate, Cell("K", sizes[0], *sizes))


def _points(
    candidate: str, stage: Stage, places: Sequence[Sizes], found: Mapping[str, Errors]
) -> list[SearchPoint]:
    points = []
    for sizes in places:
        errors = found[_cell(candidate, sizes).name]
        means, frequencies = (mean(errors.separate), mean(errors.pooled)), mean(errors.frequencies)
        points += [
            SearchPoint(candidate, stage, strategy, *sizes, measured, paper, frequencies)
            for strategy, measured, paper in zip(STRATEGIES, means, PAPER[sizes], strict=True)
        ]
    return points


def _distance(points: Iterable[SearchPoint]) -> float:
    return distance((point.measured, point.paper) for point in points) or 0.0


def _sizes(text: str) -> Sizes:
    allowed = {f"{K}/{n}/{D}": (K, n, D) for K, n, D in PAPER}
    if text not in allowed:
        raise InputError(f"no cell {text!r} in the paper (allowed: {', '.join(allowed)})")
    return allowed[text]


def _table(stage: Stage, search: ArmSearch) -> Iterator[str]:
    """The candidates of a stage, below the paper."""
    for number, one in enumerate(one for one in search.found if one.places == stage):
        pairs: dict[str, list[SearchPoint]] = {}
        for point in search.select(candidate=one.candidate, places=stage):
            pairs.setdefault(f"{point.K}/{point.n}/{point.D}", []).append(point)
        if not number:
            yield _row("candidate", f"{stage} places", list(pairs))
            yield _row("the paper", "", [_pair(p.paper for p in pair) for pair in pairs.values()])
        measured = [_pair(p.measured for p in pair) for pair in pairs.values()]
        yield _row(one.candidate or "the defaults", f"{one.distance:.4f}", measured)


def _pair(values: Iterable[float]) -> str:
    """Separate and pooled; a cell that stands in two tables has both twice."""
    return "/".join(f"{value:.3f}" for value in islice(values, 2))


def _row(first: str, second: str, rest: Sequence[str]) -> str:
    return f"{first:<50}{second:>11}" + "".join(f"{text:>13}" for text in rest)
