"""Self-purifying flow matching (arXiv 2509.19091): whose labels it flags, and what that is worth.

First flags by fields in closed form, beside published ones (`closed`). Then models of classes in
the plane, of which a share of the labels is wrong (`plane`): each sample trains flows on its right
labels, flows on its wrong ones, and purified flows on the wrong ones, pooled and separate.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sourcewise.families.registry import family
from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.studies.grid import Grid, Progress, Trials, Work
from sourcewise.studies.spfm.closed import CASES, TIMES, ClosedPoint, flag_rates
from sourcewise.studies.spfm.pictures import PICTURE
from sourcewise.studies.spfm.plane import FAMILIES, HELD_OUT, measure
from sourcewise.studies.spfm.points import LABELS, Labels, Trained, changes, folded, mean_probes
from sourcewise.studies.spfm.settings import SpfmSettings
from sourcewise.studies.spfm.table import Spfm

__all__ = ["SpfmSettings", "grid"]

DRAWS = (1, 16)  # R of the table
UPDATES, TRIED = 60, 100  # updates of a trial, and rows of the table


class ClosedCell(NamedTuple):
    """An entry of the table in closed form."""

    case: int
    R: int
    t: float

    @property
    def name(self) -> str:
        """Says it."""
        return f"{CASES[self.case].name}-R{self.R}-t{self.t:g}"


class TrainedCell(NamedTuple):
    """Models of one sample, with one kind of labels."""

    labels: Labels
    r: int

    @property
    def name(self) -> str:
        """Says it."""
        return f"{self.labels}-{self.r}"


Cell = ClosedCell | TrainedCell
Found = ClosedPoint | Trained


def grid(settings: SpfmSettings) -> Grid[Cell, Found, Spfm]:
    """The table, then the models, seed by seed."""
    table = [ClosedCell(i, R, t) for i in range(len(CASES)) for R in DRAWS for t in TIMES]
    models = [TrainedCell(labels, r) for r in range(settings.seeds) for labels in LABELS]
    short = {"updates": UPDATES, "passes": 1e-9, "draws": 20, "guidance": (1.0,)}
    short |= {"closed_rows": TRIED}
    return Grid(
        cells=[*table, *models],
        compute=partial(_compute, settings),
        found=Found,
        fold=partial(_fold, settings),
        time=Trials(partial(_work, settings), lambda: grid(settings.model_copy(update=short))),
        picture=PICTURE,
        weight=partial(_weight, settings),
    )


def _work(settings: SpfmSettings, cell: Cell) -> Work:
    """Updates of the pooled model; rows of the table."""
    if isinstance(cell, ClosedCell):
        case = CASES[cell.case]
        return Work(settings.closed_rows, cell.R * case.K * case.d, "table")
    trained = family(FAMILIES[cell.labels]).parse(settings.of_model(cell.labels == "purified"))
    assert isinstance(trained, TrainedSettings)
    n = settings.K * settings.rows
    return Work(trained.planned(n - n // HELD_OUT), n, cell.labels)


def _weight(settings: SpfmSettings, cell: Cell) -> float:
    """Beside the others, about: updates, and evaluations in closed form."""
    work = _work(settings, cell)
    if isinstance(cell, ClosedCell):
        return work.each * settings.closed_rows / 50_000
    return work.units * (2 if cell.labels == "purified" else 1)


def _compute(
    settings: SpfmSettings, cell: Cell, progress: Progress | None, folder: Path | None
) -> Found:
    if isinstance(cell, TrainedCell):
        return measure(settings, cell.labels, cell.r, progress, folder)
    if progress:
        progress(0, 1)
    case, noise = CASES[cell.case], Noise(settings.seed).of("spfm", "table", cell.case)
    found = flag_rates(case, cell.R, cell.t, settings.closed_rows, noise)
    if progress:
        progress(1, 1)
    published = case.published.get((cell.R, cell.t), ())
    return ClosedPoint(case.name, cell.R, cell.t, *found, *published)


def _fold(settings: SpfmSettings, found: Mapping[str, Found]) -> Spfm:
    trained: dict[Labels, list[Trained]] = {
        labels: [
            one
            for r in range(settings.seeds)
            if isinstance(one := found[TrainedCell(labels, r).name], Trained)
        ]
        for labels in LABELS
    }
    closed = tuple(one for one in found.values() if isinstance(one, ClosedPoint))
    points, purified = folded(trained), trained["purified"]
    data = (
        f"{settings.K} classes in the plane, {settings.rows} rows of each, "
        f"{100 * settings.noise:g} % wrong labels, {settings.seeds} samples; the Bayes classifier"
    )
    return Spfm(
        settings,
        points,
        data,
        closed,
        tuple(changes(points)),
        tuple(one.flags for one in purified),
        tuple(one.kept for one in purified if one.kept),
        mean_probes(trained["wrong"]),
        None,
    )
