"""JKO flows on known truths: beside the exact scheme, and beside the bounds that hold for it.

A model of both sources is trained with steps of one size, as the theory has them, and followed
block by block on rows that it has not seen:

- On normal laws the scheme is known exactly (`theory.jko_normal`): means, standard deviations, W2
  and KL of every block stand beside those of the scheme, and beside the bounds of `theory.jko`
  with the largest first-order residual so far, by the blocks' own ways back; the theorem's are
  the optimal ones. W2 is that of the normal law with the moments found: p_n's is not below it.
- On mixtures the KL of every block stands beside half its relative Fisher information, and in the
  end the flow's density beside the truth's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from sourcewise.families.jko.model import JKOFlow
from sourcewise.families.jko.settings import JKOSettings
from sourcewise.randomness import Noise
from sourcewise.settings import Many, Settings
from sourcewise.studies.grid import TRIAL, Grid, Progress, Trials, Work
from sourcewise.studies.jko.measures import Place, measured, total_variation
from sourcewise.studies.jko.pictures import PICTURE
from sourcewise.studies.jko.truths import NAMES, Known, rows, truth_named
from sourcewise.studies.result import Result, markdown, select
from sourcewise.training.data import TrainingData
from sourcewise.training.fit import fit

__all__ = ["JKOStudy", "JKOStudySettings", "grid"]

SOURCES = ("north", "south")


class JKOStudySettings(Settings):
    """Steps, rows, and training."""

    blocks: int = Field(default=6, ge=1, le=100, description="steps of the scheme")
    gamma: float = Field(default=0.5, gt=0, le=1000, description="size of each step")
    n: Many = Field(default=4000, description="training rows of both sources together")
    test: Many = Field(default=2000, description="rows of each source that are followed")
    width: int = Field(default=32, ge=1, le=16384, description="hidden units of both layers")
    steps: int = Field(default=2, ge=1, le=1000, description="Runge-Kutta steps of a block")
    batch: Many = Field(default=250, description="rows per update")
    updates: int = Field(default=300, ge=1, le=10_000_000, description="of each block")
    learning_rate: float = Field(default=5e-3, gt=0, description="the rate at its peak")


class Cell(NamedTuple):
    """A truth."""

    name: str


@dataclass(frozen=True)
class Followed:
    """What was found on a truth."""

    places: tuple[Place, ...]
    rows: tuple[tuple[tuple[float, ...], ...], ...]  # of the first source, at every block


@dataclass(frozen=True)
class JKOStudy(Result):
    """Blocks of both truths."""

    settings: JKOStudySettings
    points: tuple[Place, ...]
    rows: dict[str, tuple[tuple[tuple[float, ...], ...], ...]]  # of the first source

    def __str__(self) -> str:
        """Two tables in Markdown."""
        normal, mixture = (select(self.points, truth=name) for name in NAMES)
        head = ["source", "blocks", "means", "spreads", "eps", "W2", "exact", "bound"]
        lines = markdown([*head, "KL", "exact", "bound"], map(_of_normal, normal))
        head = ["source", "blocks", "eps", "KL", "error", "Fisher/2", "TV"]
        return "\n".join([*lines, "", *markdown(head, map(_of_mixture, mixture))])


def _of_normal(p: Place) -> list[str]:
    errors = [_percent(p.mean_error), _percent(p.spread_error)]
    w2, kl = (p.w2, p.w2_exact, p.w2_bound), (p.kl, p.kl_exact, p.kl_bound)
    return [SOURCES[p.source], f"{p.block}", *errors, *map(_number, (p.eps, *w2, *kl))]


def _of_mixture(p: Place) -> list[str]:
    numbers = map(_number, (p.eps, p.kl, p.kl_error, p.fisher, p.tv))
    return [SOURCES[p.source], f"{p.block}", *numbers]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def grid(settings: JKOStudySettings) -> Grid[Cell, Followed, JKOStudy]:
    """Both truths."""
    cells = [Cell(name) for name in NAMES]
    units = settings.blocks * settings.updates

    def compute(cell: Cell, progress: Progress | None, folder: Path | None) -> Followed:
        return _followed(settings, cell.name, progress, folder)

    def fold(found: Mapping[str, Followed]) -> JKOStudy:
        points = tuple(place for cell in cells for place in found[cell.name].places)
        return JKOStudy(settings, points, {c.name: found[c.name].rows for c in cells})

    return Grid(
        cells=cells,
        compute=compute,
        found=Followed,
        fold=fold,
        time=Trials(
            lambda cell: Work(units, 1.0, cell.name),
            lambda: grid(settings.model_copy(update={"updates": TRIAL // 3})),
        ),
        picture=PICTURE,
    )


def _followed(
    settings: JKOStudySettings, name: str, progress: Progress | None, folder: Path | None
) -> Followed:
    """Train a flow and follow it."""
    s, noise, truth = settings, Noise(0).of("jko", name), truth_named(name)
    own = JKOSettings.parse(
        s.model_dump(exclude={"n", "test"})
        | {"ratio": 1.0, "passes": 1e-9, "validation": 0.0, "dropout": 0.0}
    )
    model = JKOFlow(own, K=2, d=2)
    data = TrainingData.plain(*rows(truth, s.n, noise.of("rows")))
    fit(model, data, names=SOURCES, noise=noise, progress=progress, folder=folder)
    model.eval()
    places, shown = measured(name, truth, model, s.test, noise.of("test"))
    if name == "mixture":
        places = [_with_tv(place, truth, model, s.blocks) for place in places]
    return Followed(tuple(places), tuple(tuple(map(tuple, at)) for at in shown))


def _with_tv(place: Place, truth: Known, model: JKOFlow, blocks: int) -> Place:
    if place.block < blocks:
        return place
    return replace(place, tv=total_variation(truth, model, place.source))
