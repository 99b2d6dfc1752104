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

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from sourcewise.studies.curves import STRATEGIES, fit
from sourcewise.studies.energy.plot import PICTURE
from sourcewise.studies.energy.points import Errors, point
from sourcewise.studies.energy.settings import SWEEPS, Cell, EnergyStudySettings
from sourcewise.studies.energy.simulation import measure
from sourcewise.studies.energy.table import EnergyStudy, Exponent
from sourcewise.studies.grid import Grid, Work
from sourcewise.studies.timing import SHORT

__all__ = ["EnergyStudySettings", "grid"]


def grid(settings: EnergyStudySettings) -> Grid[Cell, Errors, EnergyStudy]:
    """The cells of all sweeps, each once with random starts and once with starts at the truth."""
    return Grid(
        cells=[c._replace(near=near) for c in settings.cells() for near in (False, True)],
        compute=partial(measure, settings),
        found=Errors,
        fold=partial(_fold, settings),
        work=partial(_work, settings),
        short=lambda: grid(settings.model_copy(update=SHORT)),
        picture=PICTURE,
    )


def _work(settings: EnergyStudySettings, cell: Cell) -> Work:
    """Updates, and the energies that one evaluates in all models of a seed.

    Quadratures differ between dimensions, and starts in their number.
    """
    pooled, each = (settings.rows_per_update(n) for n in (cell.n, -(-cell.n // cell.K)))
    nodes = settings.nodes[cell.D - 1] ** cell.D
    energies = pooled + cell.K * each + 2 * cell.K * nodes
    return Work(settings.planned(cell.n), energies, (cell.D, cell.near))


def _fold(settings: EnergyStudySettings, found: Mapping[str, Errors]) -> EnergyStudy:
    points = []
    for cell in settings.cells():
        errors, near = found[cell.name], found[cell._replace(near=True).name]
        points += [point(settings, cell, name, errors, near) for name in STRATEGIES]
    study = EnergyStudy(settings, tuple(points), ())
    return replace(study, exponents=tuple(_exponents(study)))


def _exponents(study: EnergyStudy) -> Iterator[Exponent]:
    """Powers of n and of K: measured, of fits that start at the truth, of the law."""
    for D in study.settings.dimensions:
        for sweep in SWEEPS[:2]:
            for strategy in STRATEGIES:
                curve = study.select(D=D, sweep=sweep, strategy=strategy)
                x = [point.value for point in curve]
                if len(set(x)) < 2:
                    continue
                yield Exponent(D, sweep, fit(strategy, x, [p.per_seed for p in curve]))
                near = [p.near_per_seed for p in curve]
                yield Exponent(D, sweep, fit(f"from the truth, {strategy}", x, near))
                law = [[p.information] for p in curve]
                yield Exponent(D, sweep, fit(f"information, {strategy}", x, law))
