"""The paper's three ARM tables (arXiv 2502.14583): average TV against K, n and D.

Beside each measured mean, with a t interval over seeds, stand the paper's value, the error of the
relative frequencies of the same rows, and the asymptotic law `sqrt(p / (2 pi n))` for two counts
of parameters: of the model class, and of the saturated class, `p = K (M^D - 1)`. Neither the truth
nor the training is the paper's: see `arm.settings`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sourcewise.studies.arm.plot import PICTURE
from sourcewise.studies.arm.points import ArmPoint, Errors, point
from sourcewise.studies.arm.settings import ArmStudySettings, Cell
from sourcewise.studies.arm.simulation import measure
from sourcewise.studies.arm.table import ArmTable
from sourcewise.studies.curves import STRATEGIES, Fit, fit, select
from sourcewise.studies.grid import Grid, Progress
from sourcewise.studies.timing import SHORT

__all__ = ["ArmGrid", "work"]


@dataclass(frozen=True)
class ArmGrid(Grid[Cell, Errors, ArmTable]):
    """The cells of one of the tables."""

    found = Errors
    short = SHORT
    picture = PICTURE

    settings: ArmStudySettings

    def cells(self) -> list[Cell]:
        """Of the sweep."""
        return list(self.settings.cells())

    def compute(self, cell: Cell, progress: Progress | None, folder: Path | None) -> Errors:
        """Train both ways and measure."""
        return measure(self.settings, cell, progress, folder)

    def fold(self, found: Mapping[str, Errors]) -> ArmTable:
        """A point for each strategy in each cell, and the exponents of the curves."""
        cells = self.cells()
        points = tuple(
            point(self.settings, cell, strategy, found[cell.name])
            for cell in cells
            for strategy in STRATEGIES
        )
        fits = () if self.settings.sweep == "D" else _fits(points)
        return ArmTable(self.settings, points, fits, found[cells[-1].name].similarity)

    def units(self, cell: Cell) -> int:
        """Updates."""
        return self.settings.planned(cell.n)

    def work(self, cell: Cell) -> float:
        """Of an update."""
        return work(self.settings, cell)


def work(settings: ArmStudySettings, cell: Cell) -> float:
    """Positions that an update goes through, in all models of a seed."""
    return cell.K * min(cell.n / cell.K, settings.M**cell.D) * cell.D


def _fits(points: Sequence[ArmPoint]) -> tuple[Fit, ...]:
    """Exponents of all curves; none with fewer than two values."""
    curves = {name: select(points, strategy=name) for name in STRATEGIES}
    x = [point.value for point in curves["separate"]]
    if len(set(x)) < 2:
        return ()
    fits = [fit(name, x, [point.per_seed for point in curve]) for name, curve in curves.items()]
    fits.append(fit("frequencies", x, [[point.frequencies] for point in curves["separate"]]))
    for name, curve in curves.items():
        paper = [[point.paper] for point in curve if point.paper is not None]
        if len(paper) == len(x):
            fits.append(fit(f"paper, {name}", x, paper))
    return tuple(fits)
