"""Which stated configuration comes closest to the paper's ARM cells?

The paper's cells are of 13 sizes (two stand in two tables), both strategies. Every candidate is
measured at a few sizes first; the closest go on to all. The distance is the root mean square of
`log(measured / paper)` over strategies and cells, those of two tables counted twice. The best of
many tries is close in part by luck, and says nothing about what the paper did.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import mean
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator

from sourcewise.errors import InputError
from sourcewise.settings import Settings
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
from sourcewise.studies.arm.table import Errors, distance
from sourcewise.studies.curves import STRATEGIES
from sourcewise.studies.grid import Grid, Work
from sourcewise.studies.timing import SHORT

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
Pair = tuple[float, float]  # separate, pooled
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
    """What both strategies measured at the sizes of a cell of the paper."""

    sizes: Sizes
    measured: Pair
    frequencies: float

    @property
    def name(self) -> str:
        """K/n/D, as users write them."""
        return "/".join(map(str, self.sizes))

    def to_json(self, **more: str) -> list[dict[str, Any]]:
        """A row for each strategy; it stands in no sweep, and one seed has no standard error."""
        K, n, D = self.sizes
        none = {"sweep": None, "value": None, "standard_error": None}
        same = {**more, **none, "K": K, "n": n, "D": D, "frequencies": self.frequencies}
        values = zip(STRATEGIES, self.measured, PAPER[self.sizes], strict=True)
        return [same | {"strategy": s, "measured": m, "paper": p} for s, m, p in values]


@dataclass(frozen=True)
class Found:
    """A candidate and how close it comes.

    Args:
        candidate: what differs from the defaults.
        places: where it was measured, "few" or "all".
        points: one per cell.
    """

    candidate: str
    places: Stage
    points: tuple[SearchPoint, ...]

    @property
    def distance(self) -> float:
        """Root mean square of log ratios."""
        pairs = [zip(p.measured, PAPER[p.sizes], strict=True) for p in self.points]
        return distance(pair for both in pairs for pair in both) or 0.0


@dataclass(frozen=True)
class ArmSearch:
    """All candidates, finalists first, then the closest first."""

    seeds: int
    found: tuple[Found, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        named = [({"candidate": f.candidate, "places": f.places}, f) for f in self.found]
        return {
            "stated by the paper": False,
            "found": [{**name, "distance": f.distance} for name, f in named],
            "cells": [row for name, f in named for p in f.points for row in p.to_json(**name)],
        }

    def __str__(self) -> str:
        head = f"Distance to the paper (rms of log ratios), {self.seeds} seed(s); "
        lines = [head + "measured separate/pooled at K/n/D", ""]
        return "\n".join([*lines, *_table("all", self.found), *_table("few", self.found)])


def grid(
    settings: ArmSearchSettings, changes: Mapping[str, Any] | None = None
) -> Grid[SearchCell, Errors, ArmSearch]:
    """The cells of all candidates.

    Args:
        settings: of the search.
        changes: to the training of all candidates.
    """
    same = {"seeds": settings.seeds, "seed": settings.seed, **(changes or {})}
    parsed = {text: _parsed(text).model_copy(update=same) for text in settings.candidates}
    few = [_sizes(text) for text in settings.places]
    every = [c.sizes for s in (ArmKSettings, ArmNSettings, ArmDSettings) for c in s().cells()]

    def candidates(found: Mapping[str, Errors]) -> list[Found]:
        return sorted(
            (_found(text, "few", few, found) for text in parsed), key=attrgetter("distance")
        )

    def finalists(found: Mapping[str, Errors]) -> list[str]:
        """Of the first candidates, while nothing is known."""
        texts = [one.candidate for one in candidates(found)] if found else list(parsed)
        return texts[: settings.finalists]

    def fold(found: Mapping[str, Errors]) -> ArmSearch:
        finals = [_found(text, "all", every, found) for text in finalists(found)]
        return ArmSearch(
            settings.seeds, (*sorted(finals, key=attrgetter("distance")), *candidates(found))
        )

    return Grid(
        cells=[_cell(text, sizes) for text in parsed for sizes in few],
        compute=lambda cell, *more: measure(parsed[cell.candidate], cell.cell, *more),
        found=Errors,
        fold=fold,
        work=lambda cell: _work(parsed[cell.candidate], cell.cell),
        short=lambda: grid(settings, SHORT),
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


def _found(
    candidate: str, stage: Stage, places: Sequence[Sizes], found: Mapping[str, Errors]
) -> Found:
    points = []
    for sizes in places:
        errors = found[_cell(candidate, sizes).name]
        measured = mean(errors.separate), mean(errors.pooled)
        points.append(SearchPoint(sizes, measured, mean(errors.frequencies)))
    return Found(candidate, stage, tuple(points))


def _sizes(text: str) -> Sizes:
    allowed = {f"{K}/{n}/{D}": (K, n, D) for K, n, D in PAPER}
    if text not in allowed:
        raise InputError(f"no cell {text!r} in the paper (allowed: {', '.join(allowed)})")
    return allowed[text]


def _table(stage: Stage, found: Sequence[Found]) -> Iterator[str]:
    """The candidates of a stage, below the paper."""
    group = [one for one in found if one.places == stage]
    if group:
        paper = {point.name: PAPER[point.sizes] for point in group[0].points}
        yield _row("candidate", f"{stage} places", list(paper))
        yield _row("the paper", "", [_pair(pair) for pair in paper.values()])
    for one in group:
        pairs = {point.name: _pair(point.measured) for point in one.points}
        yield _row(one.candidate or "the defaults", f"{one.distance:.4f}", list(pairs.values()))


def _pair(values: Pair) -> str:
    return "/".join(f"{value:.3f}" for value in values)


def _row(first: str, second: str, rest: Sequence[str]) -> str:
    return f"{first:<50}{second:>11}" + "".join(f"{text:>13}" for text in rest)
