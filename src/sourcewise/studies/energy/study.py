"""Average TV of pooled and separate energy-based models against n, K and d_e, for D = 1 and 2.

The truth is a random member of the class that is trained (`energy.truth`), training is exact
maximum likelihood over the class (`energy.simulation`). Beside each measured mean, with a t
interval over seeds, stand

| what | formula | holds |
|---|---|---|
| bound | `theory.general.refined`, with the brackets of `theory.energy` | for the maximum |
| law | `sqrt(p / (2 pi n))`, p the parameters of the class | regular classes, from above |
| information | `energy.information`: the law without redundant directions | constant rank |

The class is not regular: it has redundant parameters everywhere, more of them at some truths, and
the likelihood has local maxima. So fits that start at the truth are measured as well: they show
the statistics without the search.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from sourcewise.studies.curves import STRATEGIES, Fit, Strategy, fit, read, select
from sourcewise.studies.energy.cells import Cell, Exponent, cells_of
from sourcewise.studies.energy.settings import SWEEPS, EnergyStudySettings, Place, Sweep
from sourcewise.studies.places import SHORT, Progress, kept, once_each, pace, seconds, within

__all__ = ["EnergyStudy", "EnergyStudySettings", "energy_study", "estimate"]

Found = tuple[dict[str, Any], dict[str, Any]]  # from random starts, from the truth


@dataclass(frozen=True)
class EnergyStudy:
    """All sweeps, with the exponents and the time they took."""

    settings: EnergyStudySettings
    cells: tuple[Cell, ...]
    exponents: tuple[Exponent, ...]
    seconds: float

    def select(self, D: int, sweep: Sweep, strategy: Strategy) -> tuple[Cell, ...]:
        """The cells of one curve, in the order of the sweep."""
        return select(self.cells, D=D, sweep=sweep, strategy=strategy)

    def to_json(self) -> dict[str, Any]:
        """One JSON document; no NaN in it."""
        return {
            "name": "ebm",
            "seconds": self.seconds,
            "settings": self.settings.model_dump(mode="json"),
            "exponents": [asdict(exponent) for exponent in self.exponents],
            "cells": [asdict(cell) for cell in self.cells],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "EnergyStudy":
        """The result again from its JSON document."""
        return cls(
            EnergyStudySettings.parse(document["settings"]),
            read(Cell, document["cells"]),
            tuple(Exponent(e["D"], e["sweep"], Fit(**e["fit"])) for e in document["exponents"]),
            document["seconds"],
        )

    def __str__(self) -> str:
        from sourcewise.studies.energy.text import text

        return text(self.settings, self.cells, self.exponents)

    def draw(self, png: str | Path, svg: str | Path) -> None:
        """Write the figure as PNG and as SVG; the same result gives the same bytes."""
        from sourcewise.studies.energy.plot import draw

        draw(self.settings.dimensions, self.cells, Path(png), Path(svg))


def energy_study(
    settings: EnergyStudySettings,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> EnergyStudy:
    """Compute the study.

    Args:
        settings: of all sweeps.
        progress: called with (done, in all).
        folder: keeps what is finished, so that an interrupted study is taken up.
    """
    start, places = time.perf_counter(), list(settings.places())
    found = once_each(places, lambda place, part: _found(settings, place, part, folder), progress)
    cells = [c for place in places for c in cells_of(settings, place, *found[place.sizes])]
    exponents = tuple(_exponents(settings, cells))
    return EnergyStudy(settings, tuple(cells), exponents, time.perf_counter() - start)


def _found(
    settings: EnergyStudySettings, place: Place, progress: Progress | None, folder: Path | None
) -> Found:
    """From random starts and from the truth; what is in the folder already is taken from it."""
    from sourcewise.studies.energy.simulation import measure

    D, K, n, d_e = place.sizes
    name = f"D{D}-K{K}-n{n}-d_e{d_e}"
    first, second = within(progress, 0, 2), within(progress, 1, 2)
    return (
        kept(folder, name, lambda at: asdict(measure(settings, place, first, at))),
        kept(
            folder, f"{name}-near", lambda at: asdict(measure(settings, place, second, at, True))
        ),
    )


def estimate(settings: EnergyStudySettings) -> float:
    """Seconds that the study will take: dimension by dimension, as their quadratures differ."""
    places = list(settings.places())
    kinds = product((select(places, D=D) for D in settings.dimensions), (False, True))
    return sum(_estimate(settings, some, near) for some, near in kinds)


def _estimate(settings: EnergyStudySettings, places: Sequence[Place], near: bool) -> float:
    """Of one dimension, of fits from random starts or from the truth."""
    from sourcewise.studies.energy.simulation import measure

    short = settings.model_copy(update=SHORT)
    return seconds(
        places,
        work=lambda place: _energies(settings, place),
        trial=lambda place: pace(lambda told: measure(short, place, told, near=near)),
        updates=lambda place: settings.planned(place.n),
    )


def _energies(settings: EnergyStudySettings, place: Place) -> int:
    """Evaluations of an energy that an update of all models of a seed takes."""
    pooled, each = (settings.rows_per_update(n) for n in (place.n, -(-place.n // place.K)))
    nodes = settings.nodes[place.D - 1] ** place.D
    return pooled + place.K * each + 2 * place.K * nodes


def _exponents(settings: EnergyStudySettings, cells: Sequence[Cell]) -> Iterator[Exponent]:
    """Powers of n and of K: measured, of fits that start at the truth, of the law."""
    for D in settings.dimensions:
        for sweep in SWEEPS[:2]:
            for strategy in STRATEGIES:
                curve = select(cells, D=D, sweep=sweep, strategy=strategy)
                x = [cell.value for cell in curve]
                if len(set(x)) < 2:
                    continue
                yield Exponent(D, sweep, fit(strategy, x, [c.per_seed for c in curve]))
                near = [c.near_per_seed for c in curve]
                yield Exponent(D, sweep, fit(f"from the truth, {strategy}", x, near))
                law = [[cell.information] for cell in curve]
                yield Exponent(D, sweep, fit(f"information, {strategy}", x, law))
