"""The paper's table 1 and figure 3: diffusion on image classes, pooled against separate.

A cell takes K classes at a level of similarity and N training images of each, and compares the
strategies at one budget, as `sourcewise compare --model diffusion` does: by the likelihood bound
of held-out images with noise that both share, over several training seeds. Frechet distances
between draws and held-out images stand beside it and decide nothing: the paper's numbers are such.

Which classes and images a cell takes hangs on the seed, K, the level and N alone: both strategies,
both budgets and all training seeds get the same. Images are drawn without replacement.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor

from sourcewise.comparison.prepare import CompareSettings, prepare
from sourcewise.comparison.run import ComparisonRun
from sourcewise.comparison.scores import FOLDS
from sourcewise.comparison.scores import Cell as ComparedCell
from sourcewise.encoders.base import Coding
from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.fitting.execute import execute
from sourcewise.fitting.run import Comparison
from sourcewise.forms import Images, take
from sourcewise.metrics.features.base import Features
from sourcewise.metrics.features.choice import features_of
from sourcewise.metrics.frechet import equal_rows, floor, frechet_distance
from sourcewise.randomness import Noise
from sourcewise.similarity.hierarchy import Hierarchy
from sourcewise.similarity.hierarchy_files import read_hierarchy
from sourcewise.similarity.levels import choose
from sourcewise.sources import Sources
from sourcewise.studies.grid import SHORT, Grid, Progress, Work
from sourcewise.studies.table1.pictures import PICTURE
from sourcewise.studies.table1.points import Spread, Table1, Table1Point
from sourcewise.studies.table1.settings import Budget, Table1Settings

__all__ = ["Cell", "Table1Settings", "grid"]

STRATEGIES = ("pooled", "separate")
KEY = "likelihood_bound"


@dataclass(frozen=True)
class Cell:
    """N training images of each of K classes at a level, trained at a budget."""

    n: int
    level: int
    K: int
    budget: Budget

    @property
    def name(self) -> str:
        """Says it."""
        return f"n{self.n}-level{self.level}-K{self.K}-{self.budget}"


def grid(settings: Table1Settings, data: Sources) -> Grid[Cell, Table1Point, Table1]:
    """All cells, those of equal budgets first: they take the least."""
    if not isinstance(data.x, Images):
        raise InputError(f"{data.name}: table1 is of images")
    tree = read_hierarchy(Path(settings.hierarchy))
    for n in settings.sizes:
        _refuse_few(data, n)
    sizes = [
        (n, level, K) for n in settings.sizes for level in settings.levels for K in settings.K
    ]
    cells = [Cell(*size, budget) for budget in settings.budgets for size in sizes]
    for cell in cells:
        _classes(data, tree, settings, cell)  # refused at once, if at all
    return Grid(
        cells=cells,
        compute=partial(_compute, settings, data, tree),
        found=Table1Point,
        fold=lambda found: Table1(settings, tuple(found[c.name] for c in cells), data.name),
        work=lambda cell: _work(settings, cell),
        short=lambda: grid(_short(settings), data),
        picture=PICTURE,
    )


def _short(settings: Table1Settings) -> Table1Settings:
    few = {"passes": SHORT["passes"], "updates": SHORT["updates"], "seeds": 1, "draws": 2}
    return settings.model_copy(update={**few, "sampling_seeds": 1})


def _work(settings: Table1Settings, cell: Cell) -> Work:
    """By images seen."""
    family = settings.of_model(cell.budget)
    if cell.budget == "equal":
        seen = 2 * family["passes"] * cell.n * cell.K
    else:
        seen = (1 + cell.K) * family["updates"]
    return Work(max(1, round(settings.seeds * seen)), 1.0, (cell.budget, cell.K))


def _refuse_few(data: Sources, n: int) -> None:
    least, wanted = int(data.counts.min()), _sampled(n)
    if least < wanted:
        name = data.names[int(data.counts.argmin())]
        raise InputError(
            f"{data.name}: {n} training images of a class take {wanted} with those that test, and "
            f"{name!r} has {least} (setting rows)"
        )


def _sampled(n: int) -> int:
    """Images of a class of which n are left to train, one fold apart."""
    return -(-n * FOLDS // (FOLDS - 1))


def _classes(
    data: Sources, tree: Hierarchy, settings: Table1Settings, cell: Cell
) -> tuple[str, ...]:
    noise = Noise(settings.seed).of("table 1", "classes")
    return tuple(choose(tree, data.names, cell.K, cell.level, noise))


def _compute(
    settings: Table1Settings,
    data: Sources,
    tree: Hierarchy,
    cell: Cell,
    progress: Progress | None,
    folder: Path | None,
) -> Table1Point:
    """Compare, then draw."""
    classes = _classes(data, tree, settings, cell)
    sample, spare = _sample(data, classes, cell.n, Noise(settings.seed).of("table 1", cell.n))
    given = CompareSettings.parse(
        {
            "model": "diffusion",
            "strategies": ",".join(STRATEGIES),
            "set": settings.of_model(cell.budget),
            "seeds": settings.seeds,
            "seed": settings.seed,
        }
    )
    run = ComparisonRun(prepare(sample, given), Execution())
    compared = execute(run, folder, progress=progress)
    unseen = _unseen(run, sample, spare)
    frechet, real = _frechet(
        settings, cell, compared, run.prepared.plan.job.coding, sample, unseen
    )
    point = _point(cell, classes, tree, compared)
    return replace(point, frechet=frechet, floor=real)


def _sample(
    data: Sources, classes: Sequence[str], n: int, noise: Noise
) -> tuple[Sources, Sources]:
    """The images that a cell compares on, and all others of its classes."""
    first, rest, number = [], [], torch.full((data.K,), -1)
    for new, name in enumerate(classes):
        k = data.names.index(name)
        rows = (data.y == k).nonzero().squeeze(1)
        order = rows[noise.of("images", name).permutation(len(rows))]
        number[k] = new
        first.append(order[: _sampled(n)])
        rest.append(order[_sampled(n) :])
    parts = []
    for index in (torch.cat(first).sort()[0], torch.cat(rest).sort()[0]):
        x, y = take(data.x, index), number[data.y[index]]
        parts.append(Sources(x, y, tuple(classes), name=data.name))
    return parts[0], parts[1]


def _unseen(run: ComparisonRun, sample: Sources, spare: Sources) -> tuple[Images, Tensor]:
    """Images that no model of a run has trained on, and their sources."""
    plan = run.prepared.plan
    test = next(plan.splits(ComparedCell(0, None), plan.folds(0))).test
    kept = plan.job.data
    x, more = take(kept.x, test), spare.x
    assert isinstance(x, Images)
    assert isinstance(more, Images)
    return Images.of(torch.cat([x.pixels(), more.pixels()])), torch.cat([kept.y[test], spare.y])


def _frechet(
    settings: Table1Settings,
    cell: Cell,
    compared: Comparison,
    coding: Coding,
    sample: Sources,
    unseen: tuple[Images, Tensor],
) -> tuple[dict[str, Spread], float]:
    """Averages over classes by strategy, and between two halves of the real images."""
    noise = Noise(settings.seed).of("table 1", "draws")
    features = features_of(settings.features, sample.x, coding, sample.y, noise.of("features"))
    real = [
        features(take(unseen[0], (unseen[1] == k).nonzero().squeeze(1))) for k in range(sample.K)
    ]
    counts = [min(settings.draws or cell.n, len(points)) for points in real]
    found = {}
    for name in STRATEGIES:
        sets = [
            _average(compared, name, features, real, counts, noise.of("set", i))
            for i in range(settings.sampling_seeds)
        ]
        found[name] = Spread(fmean(sets), stdev(sets) if len(sets) > 1 else 0.0)
    halves = [
        floor(points, points, noise.of("floor", k)).real
        for k, points in enumerate(real)
        if len(points) > 3
    ]
    return found, fmean(halves) if halves else 0.0


def _average(
    compared: Comparison,
    name: str,
    features: Features,
    real: Sequence[Tensor],
    counts: Sequence[int],
    noise: Noise,
) -> float:
    """The mean distance of one set of draws; strategies draw by the same noise."""
    y = torch.arange(len(real)).repeat_interleave(torch.tensor(counts))
    number = torch.cat([torch.arange(n) for n in counts])
    x, _ = compared.models[name].draw(y, noise.each(y, number))
    parts = features(x).split(list(counts))
    pairs = zip(real, parts, strict=True)
    return fmean(
        frechet_distance(*equal_rows(points, drawn, noise.of("equal", k)))
        for k, (points, drawn) in enumerate(pairs)
    )


def _point(
    cell: Cell, classes: tuple[str, ...], tree: Hierarchy, compared: Comparison
) -> Table1Point:
    """What the comparison found."""
    result = compared.result
    average = next(d for d in result.differences if d.average and d.strategy == "pooled")
    updates, improving = {}, {}
    for name in STRATEGIES:
        efforts = result.strategies[name].training or ()
        made = [effort.updates for effort in efforts]
        updates[name] = min(made), max(made)
        improving[name] = len(result.strategies[name].still_improving)
    return Table1Point(
        n=cell.n,
        level=cell.level,
        K=cell.K,
        budget=cell.budget,
        classes=classes,
        similarity=tree.average_similarity(classes),
        unit=result.metric.unit,
        separate=result.strategies["separate"].macro[KEY].mean,
        pooled=result.strategies["pooled"].macro[KEY].mean,
        gain=average.difference,
        low=average.low,
        high=average.high,
        verdict=average.verdict,
        per_class={d.source: d.difference for d in result.differences if not d.average},
        frechet={},
        floor=0.0,
        updates=updates,
        improving=improving,
    )
