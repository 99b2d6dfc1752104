"""Which stated configuration comes closest to the paper's ARM cells?

The paper's cells are 13 places (two stand in two tables), both strategies. Every candidate is
measured at a few places first; the closest go on to all. The distance is the root mean square of
`log(measured / paper)` over strategies and places, those of two tables counted twice. The best of
many tries is close in part by luck, and says nothing about what the paper did.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from pydantic import Field, field_validator

from sourcewise.errors import InputError
from sourcewise.settings import Settings
from sourcewise.studies.arm.cells import distance
from sourcewise.studies.arm.settings import (
    PAPER,
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Place,
)
from sourcewise.studies.arm.study import measured_errors
from sourcewise.studies.curves import STRATEGIES
from sourcewise.studies.places import Progress

__all__ = ["ArmSearch", "ArmSearchSettings", "Found", "arm_search"]

# Each is told apart from the defaults of the tables only.
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
            _place(text)
        return texts


@dataclass(frozen=True)
class Found:
    """A candidate and how close it comes.

    Args:
        candidate: what differs from the defaults.
        places: where it was measured, "few" or "all".
        distance: root mean square of log ratios.
        cells: one per place and strategy, as in the JSON document.
    """

    candidate: str
    places: str
    distance: float
    cells: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class ArmSearch:
    """All candidates, closest first, with the settings and the time it took."""

    settings: ArmSearchSettings
    found: tuple[Found, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """One JSON document; no NaN in it."""
        return {
            "name": "arm-search",
            "seconds": self.seconds,
            "settings": self.settings.model_dump(mode="json"),
            "stated by the paper": False,
            "found": [
                {k: v for k, v in asdict(found).items() if k != "cells"} for found in self.found
            ],
            "cells": [
                {"candidate": found.candidate, "places": found.places} | cell
                for found in self.found
                for cell in found.cells
            ],
        }

    def __str__(self) -> str:
        s = self.settings
        lines = [
            f"Distance to the paper (rms of log ratios), {s.seeds} seed(s); measured separate/"
            "pooled at K/n/D",
            "",
        ]
        for stage in ("all", "few"):
            group = [found for found in self.found if found.places == stage]
            if not group:
                continue
            places = list(dict.fromkeys(_name(c) for c in group[0].cells))
            lines.append(_row("candidate", f"{stage} places", places))
            lines.append(_row("the paper", "", [_pair(*PAPER[_place(p)]) for p in places]))
            lines += [_found_row(found) for found in group]
        return "\n".join(lines)


def arm_search(
    settings: ArmSearchSettings,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> ArmSearch:
    """Measure all candidates at a few places, the closest at all.

    Args:
        settings: what to try.
        progress: called with (candidates done, in all).
        folder: keeps what is finished, so that an interrupted search is taken up.
    """
    start, parsed = time.perf_counter(), {}
    for text in settings.candidates:  # all are checked before any is measured
        parsed[text] = _candidate(text, settings)
    few, total = [_place(text) for text in settings.places], len(parsed) + settings.finalists
    found = []
    for number, (text, candidate) in enumerate(parsed.items()):
        if progress:
            progress(number, total)
        found.append(_measure(text, candidate, "few", few, folder))
    found.sort(key=lambda f: f.distance)
    every = [p.sizes for s in (ArmKSettings, ArmNSettings, ArmDSettings) for p in s().places()]
    finals = []
    for number, first in enumerate(found[: settings.finalists]):
        if progress:
            progress(len(parsed) + number, total)
        text = first.candidate
        finals.append(_measure(text, parsed[text], "all", every, folder))
    finals.sort(key=lambda f: f.distance)
    return ArmSearch(settings, (*finals, *found), time.perf_counter() - start)


def _candidate(text: str, settings: ArmSearchSettings) -> ArmStudySettings:
    pairs = [part.partition("=") for part in text.split()]
    parsed = ArmStudySettings.parse({key: value for key, _, value in pairs})
    return parsed.model_copy(update={"seeds": settings.seeds, "seed": settings.seed})


def _measure(
    text: str,
    candidate: ArmStudySettings,
    stage: str,
    places: Sequence[tuple[int, int, int]],
    folder: Path | None,
) -> Found:
    own = None
    if folder is not None:
        own = folder / (text.replace(" ", ",").replace("/", "-") or "default")
        own.mkdir(parents=True, exist_ok=True)
    cells, done = [], {}
    for sizes in places:
        if sizes not in done:
            place = Place("K", sizes[0], *sizes)
            done[sizes] = measured_errors(candidate, place, folder=own)
        for strategy, paper in zip(STRATEGIES, PAPER[sizes], strict=True):
            values = done[sizes][strategy]
            K, n, D = sizes
            cell: dict[str, Any] = {"sweep": None, "value": None, "strategy": strategy}
            cell |= {"K": K, "n": n, "D": D, "measured": mean(values), "standard_error": None}
            cells.append(cell | {"paper": paper, "frequencies": mean(done[sizes]["frequencies"])})
    value = distance((cell["measured"], cell["paper"]) for cell in cells)
    return Found(text, stage, value or 0.0, tuple(cells))


def _place(text: str) -> tuple[int, int, int]:
    allowed = {f"{K}/{n}/{D}": (K, n, D) for K, n, D in PAPER}
    if text not in allowed:
        raise InputError(f"no cell {text!r} in the paper (allowed: {', '.join(allowed)})")
    return allowed[text]


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['K']}/{cell['n']}/{cell['D']}"


def _pair(separate: float, pooled: float) -> str:
    return f"{separate:.3f}/{pooled:.3f}"


def _found_row(found: Found) -> str:
    values: dict[str, list[float]] = {}
    for cell in found.cells:
        values.setdefault(_name(cell), []).append(cell["measured"])
    pairs = [_pair(pair[0], pair[1]) for pair in values.values()]
    return _row(found.candidate or "the defaults", f"{found.distance:.4f}", pairs)


def _row(first: str, second: str, rest: Sequence[str]) -> str:
    return f"{first:<50}{second:>11}" + "".join(f"{text:>13}" for text in rest)
