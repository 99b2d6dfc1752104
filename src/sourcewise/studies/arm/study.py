"""The paper's three ARM tables (arXiv 2502.14583): average TV against K, n and D.

Beside each measured mean, with a t interval over seeds, stand the paper's value, the error of the
relative frequencies of the same rows, and the asymptotic law `sqrt(p / (2 pi n))` for two counts
of parameters: of the model class, and of the saturated class, `p = K (M^D - 1)`. Neither the truth
nor the training is the paper's: see `arm.settings`.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sourcewise.studies.arm.cells import Cell, cells_of, distance
from sourcewise.studies.arm.settings import (
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Place,
)
from sourcewise.studies.curves import STRATEGIES, Fit, Strategy, fit, read, select
from sourcewise.studies.places import SHORT, Progress, kept, once_each, pace, seconds

__all__ = ["ArmTable", "arm_table", "estimate", "measured_errors"]

CLASSES = {"K": ArmKSettings, "n": ArmNSettings, "D": ArmDSettings}
NOT_STATED = (
    "the paper's truth, network sizes and training are not stated in what we hold; "
    "all of them are our choice"
)


@dataclass(frozen=True)
class ArmTable:
    """One of the tables, with its settings, the time it took and what must hold."""

    settings: ArmStudySettings
    cells: tuple[Cell, ...]
    fits: tuple[Fit, ...]
    similarity: float
    seconds: float

    @property
    def name(self) -> str:
        """Of the study."""
        return f"arm-{self.settings.sweep}"

    @property
    def distance(self) -> float | None:
        """Root mean square of `log(measured / paper)` over the cells that the paper has."""
        return distance((c.measured, c.paper) for c in self.cells)

    def select(self, strategy: Strategy) -> tuple[Cell, ...]:
        """The cells of one curve, in the order of the sweep."""
        return select(self.cells, strategy=strategy)

    def to_json(self) -> dict[str, Any]:
        """One JSON document; no NaN in it."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "settings": self.settings.model_dump(mode="json"),
            "stated by the paper": False,
            "stated_by_the_paper_reason": NOT_STATED,
            "similarity": self.similarity,
            "distance": self.distance,
            "fits": [asdict(fit) for fit in self.fits],
            "cells": [asdict(cell) for cell in self.cells],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ArmTable":
        """The result again from its JSON document."""
        return cls(
            CLASSES[document["name"].removeprefix("arm-")].parse(document["settings"]),
            read(Cell, document["cells"]),
            read(Fit, document["fits"]),
            document["similarity"],
            document["seconds"],
        )

    def __str__(self) -> str:
        from sourcewise.studies.arm.text import text

        return text(self.settings, self.cells, self.fits)

    def draw(self, png: str | Path, svg: str | Path) -> None:
        """Write the figure as PNG and as SVG; the same result gives the same bytes."""
        from sourcewise.studies.arm.plot import draw

        draw(self.settings.sweep, self.cells, Path(png), Path(svg))


def arm_table(
    settings: ArmStudySettings,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> ArmTable:
    """Compute a table.

    Args:
        settings: of one of the three sweeps.
        progress: called with (done, in all).
        folder: keeps what is finished, so that an interrupted table is taken up.
    """
    start, places = time.perf_counter(), list(settings.places())
    found = once_each(
        places, lambda place, part: measured_errors(settings, place, part, folder), progress
    )
    cells = [cell for place in places for cell in cells_of(settings, place, found[place.sizes])]
    fits = () if settings.sweep == "D" else _fits(cells)
    similarity = found[places[-1].sizes]["similarity"] if places else 0.0
    return ArmTable(settings, tuple(cells), fits, similarity, time.perf_counter() - start)


def estimate(settings: ArmStudySettings) -> float:
    """Seconds that a table will take."""
    short = settings.model_copy(update=SHORT)
    return seconds(
        list(settings.places()),
        work=lambda place: place.K * min(place.n / place.K, settings.M**place.D) * place.D,
        trial=lambda place: pace(lambda told: measured_errors(short, place, told)),
        updates=lambda place: settings.planned(place.n),
    )


def measured_errors(
    settings: ArmStudySettings,
    place: Place,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """`arm.simulation.measure` as plain values; from the folder if they are there already."""
    from sourcewise.studies.arm.simulation import measure

    K, n, D = place.sizes
    return kept(
        folder,
        f"K{K}-n{n}-D{D}",
        lambda unfinished: asdict(measure(settings, place, progress, unfinished)),
    )


def _fits(cells: Sequence[Cell]) -> tuple[Fit, ...]:
    """Exponents of all curves; none with fewer than two values."""
    curves = {name: select(cells, strategy=name) for name in STRATEGIES}
    x = [cell.value for cell in curves["separate"]]
    if len(set(x)) < 2:
        return ()
    fits = [fit(name, x, [cell.per_seed for cell in curve]) for name, curve in curves.items()]
    fits.append(fit("frequencies", x, [[cell.frequencies] for cell in curves["separate"]]))
    for name, curve in curves.items():
        paper = [[cell.paper] for cell in curve if cell.paper is not None]
        if len(paper) == len(x):
            fits.append(fit(f"paper, {name}", x, paper))
    return tuple(fits)
