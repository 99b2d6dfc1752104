"""What each rectification gains at few steps, and what it loses at many.

A rectified flow of three flows and a distilled part is trained on each set. Every part draws by T
steps of Euler's method and, beside that, nearly exactly by the classical Runge-Kutta method. On
mixtures of normals the exact field of the first flow is followed likewise: what it does is not the
error of a network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sourcewise.families.rectified_flow.model import RectifiedFlow
from sourcewise.randomness import Noise
from sourcewise.studies.grid import TRIAL, Grid, Progress, Trials, Work
from sourcewise.studies.reflow.fields import measured
from sourcewise.studies.reflow.pictures import PICTURE
from sourcewise.studies.reflow.points import ReflowPoint
from sourcewise.studies.reflow.sets import drawn
from sourcewise.studies.reflow.settings import Cell, ReflowSettings
from sourcewise.studies.reflow.table import table
from sourcewise.studies.result import Result
from sourcewise.training import fit

__all__ = ["Reflow", "ReflowSettings", "grid"]

SLACK = 1e-3  # of a bound: the integrals in it are sums


@dataclass(frozen=True)
class Reflow(Result):
    """All fields on all sets."""

    settings: ReflowSettings
    points: tuple[ReflowPoint, ...]

    @property
    def bounds_hold(self) -> bool:
        """Whether no error of steps is above its bound."""
        pairs = [(p.step_error, p.bound) for p in self.points]
        return all(
            error <= (1 + SLACK) * bound
            for error, bound in pairs
            if error is not None and bound is not None
        )

    def to_json(self) -> Mapping[str, object]:
        """As plain values."""
        return {**super().to_json(), "bounds_hold": self.bounds_hold}

    def __str__(self) -> str:
        """In Markdown, see `table`."""
        return table(self.points)


def grid(settings: ReflowSettings) -> Grid[Cell, tuple[ReflowPoint, ...], Reflow]:
    """A cell for each set."""
    cells = [Cell(name, settings) for name in dict.fromkeys(settings.sets)]
    return Grid(
        cells=cells,
        compute=_measure,
        found=tuple[ReflowPoint, ...],
        fold=lambda found: Reflow(settings, tuple(p for cell in cells for p in found[cell.name])),
        time=Trials(_work, lambda: grid(_short(settings))),
        picture=PICTURE,
    )


def _work(cell: Cell) -> Work:
    s = cell.settings
    return Work(s.updates * (s.rectifications + 1), cell.width)


def _short(settings: ReflowSettings) -> ReflowSettings:
    return settings.model_copy(update={"updates": TRIAL})


def _measure(
    cell: Cell, progress: Progress | None, folder: Path | None
) -> tuple[ReflowPoint, ...]:
    s, noise = cell.settings, Noise(cell.settings.seed).of("reflow", cell.name)
    found = drawn(cell.name, s.rows, s.draws, noise.of("rows"))
    model = RectifiedFlow(cell.of_model, K=found.K, d=found.D)
    names = tuple(map(str, range(found.K)))
    fit(model, found.data, names=names, noise=noise, progress=progress, folder=folder)
    return tuple(measured(cell, model.eval(), found, noise.of("measure")))
