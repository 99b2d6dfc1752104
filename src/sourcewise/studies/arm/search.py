"""Which stated configuration comes closest to the paper's ARM cells?

The paper's cells are of 13 sizes (two stand in two tables), both strategies. Every candidate is
measured at a few sizes first; the closest go on to all. The distance is the root mean square of
`log(measured / paper)` over strategies and cells, those of two tables counted twice. The best of
many tries is close in part by luck, and says nothing about what the paper did.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, field_validator

from sourcewise.errors import InputError
from sourcewise.settings import Settings
from sourcewise.studies.arm.points import Errors, distance
from sourcewise.studies.arm.settings import (
    PAPER,
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Cell,
)
from sourcewise.studies.arm.simulation import measure
from sourcewise.studies.arm.study import work
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.grid import Grid, Progress
from sourcewise.studies.timing import SHORT

__all__ = ["ArmSearch", "ArmSearchSettings", "Found", "SearchGrid"]

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
    finalists: int = Field(default=0, ge=0, description="how many go on to all cells")
    seeds: int = Field(default=1, ge=1, description="truths, samples and starts per cell")
    seed: int = Field(default=0, description="seed of all draws")

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
    """What a strategy measured at a cell of the paper. It stands in no sweep."""

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

    @property
    def sizes(self) -> str:
        """K/n/D, as users write them."""
        return f"{self.K}/{self.n}/{self.D}"


@dataclass(frozen=True)
class Found:
    """A candidate and how close it comes.

    Args:
        candidate: what differs from the defaults.
        places: where it was measured, "few" or "all".
        distance: root mean square of log ratios.
        points: one per cell and strategy.
    """

    candidate: str
    places: Stage
    distance: float
    points: tuple[SearchPoint, ...]


@dataclass(frozen=True)
class ArmSearch:
    """All candidates, finalists first, then the closest first."""

    settings: ArmSearchSettings
    found: tuple[Found, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "stated by the paper": False,
            "found": [
                {"candidate": one.candidate, "places": one.places, "distance": one.distance}
                for one in self.found
            ],
            "cells": [
                {"candidate": one.candidate, "places": one.places} | asdict(point)
                for one in self.found
                for point in one.points
            ],
        }

    def __str__(self) -> str:
        head = f"Distance to the paper (rms of log ratios), {self.settings.seeds} seed(s); "
        lines = [head + "measured separate/pooled at K/n/D", ""]
        return "\n".join([*lines, *_table("all", self.found), *_table("few", self.found)])


@dataclass(frozen=True)
class SearchGrid(Grid[SearchCell, Errors, ArmSearch]):
    """The cells of all candidates.

    Args:
        settings: of the search.
        changes: to the settings of all candidates.
    """

    found = Errors

    settings: ArmSearchSettings
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in self.settings.candidates:  # all are checked before any is measured
            self._parsed(text)

    def cells(self) -> list[SearchCell]:
        """All candidates at a few sizes."""
        few = [_sizes(text) for text in self.settings.places]
        return [_cell(text, sizes) for text in self.settings.candidates for sizes in few]

    def later(self, found: Mapping[str, Errors]) -> list[SearchCell]:
        """The finalists at all sizes; the first candidates while nothing is known."""
        return [_cell(text, sizes) for text in self._finalists(found) for sizes in _all_sizes()]

    def compute(self, cell: SearchCell, progress: Progress | None, folder: Path | None) -> Errors:
        """Train both ways and measure."""
        return measure(self._parsed(cell.candidate), cell.cell, progress, folder)

    def fold(self, found: Mapping[str, Errors]) -> ArmSearch:
        """Finalists first, then all candidates, the closest first."""
        finals = [_found(text, "all", _all_sizes(), found) for text in self._finalists(found)]
        finals.sort(key=lambda one: one.distance)
        return ArmSearch(self.settings, (*finals, *self._few(found)))

    def units(self, cell: SearchCell) -> int:
        """Updates."""
        return self._parsed(cell.candidate).planned(cell.cell.n)

    def work(self, cell: SearchCell) -> float:
        """Of an update; in proportion to the layers' entries."""
        settings = self._parsed(cell.candidate)
        return work(settings, cell.cell) * settings.width**2 * settings.depth

    def shortened(self) -> Self:
        """With few updates of every candidate."""
        return replace(self, changes=SHORT)

    def _parsed(self, text: str) -> ArmStudySettings:
        """The settings of a candidate."""
        pairs = [part.partition("=") for part in text.split()]
        parsed = ArmStudySettings.parse({key: value for key, _, value in pairs})
        same = {"seeds": self.settings.seeds, "seed": self.settings.seed}
        return parsed.model_copy(update={**same, **self.changes})

    def _few(self, found: Mapping[str, Errors]) -> list[Found]:
        """All candidates by their distance at a few sizes."""
        sizes = [_sizes(text) for text in self.settings.places]
        texts = dict.fromkeys(self.settings.candidates)
        every = [_found(text, "few", sizes, found) for text in texts]
        return sorted(every, key=lambda one: one.distance)

    def _finalists(self, found: Mapping[str, Errors]) -> list[str]:
        texts = [one.candidate for one in self._few(found)] if found else self.settings.candidates
        return list(texts[: self.settings.finalists])


def _cell(candidate: str, sizes: Sizes) -> SearchCell:
    return SearchCell(candidate, Cell("K", sizes[0], *sizes))


def _all_sizes() -> list[Sizes]:
    """Of the paper's fifteen cells."""
    return [c.sizes for s in (ArmKSettings, ArmNSettings, ArmDSettings) for c in s().cells()]


def _found(
    candidate: str, stage: Stage, places: Sequence[Sizes], found: Mapping[str, Errors]
) -> Found:
    points = []
    for sizes in places:
        errors = found[_cell(candidate, sizes).name]
        for strategy, paper in zip(STRATEGIES, PAPER[sizes], strict=True):
            measured = mean(errors.separate if strategy == "separate" else errors.pooled)
            frequencies = mean(errors.frequencies)
            points.append(SearchPoint(strategy, *sizes, measured, paper, frequencies))
    far = distance((point.measured, point.paper) for point in points)
    return Found(candidate, stage, far or 0.0, tuple(points))


def _sizes(text: str) -> Sizes:
    allowed = {f"{K}/{n}/{D}": (K, n, D) for K, n, D in PAPER}
    if text not in allowed:
        raise InputError(f"no cell {text!r} in the paper (allowed: {', '.join(allowed)})")
    return allowed[text]


def _table(stage: Stage, found: Sequence[Found]) -> Iterator[str]:
    """The candidates of a stage, below the paper."""
    group = [one for one in found if one.places == stage]
    if group:
        paper = {point.sizes: _pair(*PAPER[_sizes(point.sizes)]) for point in group[0].points}
        yield _row("candidate", f"{stage} places", list(paper))
        yield _row("the paper", "", list(paper.values()))
    for one in group:
        values: dict[str, list[float]] = {}
        for point in one.points:
            values.setdefault(point.sizes, []).append(point.measured)
        pairs = [_pair(pair[0], pair[1]) for pair in values.values()]
        yield _row(one.candidate or "the defaults", f"{one.distance:.4f}", pairs)


def _pair(separate: float, pooled: float) -> str:
    return f"{separate:.3f}/{pooled:.3f}"


def _row(first: str, second: str, rest: Sequence[str]) -> str:
    return f"{first:<50}{second:>11}" + "".join(f"{text:>13}" for text in rest)
