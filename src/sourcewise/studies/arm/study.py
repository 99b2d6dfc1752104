"""The paper's three ARM tables (arXiv 2502.14583): average TV against K, n and D.

Beside each measured mean, with a t interval over seeds, stand the paper's value, the error of the
relative frequencies of the same rows, and the asymptotic law `sqrt(p / (2 pi n))` for two counts
of parameters: of the model class, and of the saturated class, `p = K (M^D - 1)`. Neither the truth
nor the training is the paper's: see `arm.settings`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from sourcewise.studies.arm.plot import PICTURE
from sourcewise.studies.arm.settings import (
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Cell,
)
from sourcewise.studies.arm.simulation import measure
from sourcewise.studies.arm.table import ArmPoint, ArmTable, Errors, point
from sourcewise.studies.curves import STRATEGIES, Fit, fit
from sourcewise.studies.grid import Grid, Work
from sourcewise.studies.result import select
from sourcewise.studies.timing import SHORT

__all__ = ["ArmDSettings", "ArmKSettings", "ArmNSettings", "grid", "work"]


def grid(settings: ArmStudySettings) -> Grid[Cell, Errors, ArmTable]:
    """The cells of one of the tables."""
    return Grid(
        cells=tuple(settings.cells()),
        compute=partial(measure, settings),
        found=Errors,
        fold=partial(_fold, settings),
        work=partial(work, settings),
        short=lambda: grid(settings.model_copy(update=SHORT)),
        picture=PICTURE,
    )


def work(settings: ArmStudySettings, cell: Cell) -> Work:
    """Updates, and the positions that one goes through in all models of a seed."""
    rows = cell.K * min(cell.n / cell.K, settings.M**cell.D)
    return Work(settings.planned(cell.n), rows * cell.D)


def _fold(settings: ArmStudySettings, found: Mapping[str, Errors]) -> ArmTable:
    cells = list(settings.cells())
    points = [point(settings, c, name, found[c.name]) for c in cells for name in STRATEGIES]
    fits = () if settings.sweep == "D" else _fits(points)
    return ArmTable(settings, tuple(points), fits, found[cells[-1].name].similarity)


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
