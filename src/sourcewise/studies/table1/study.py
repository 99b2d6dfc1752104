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

import torch

from sourcewise.comparison.prepare import CompareSettings, Prepared, prepare
from sourcewise.comparison.run import ComparisonRun
from sourcewise.comparison.scores import FOLDS
from sourcewise.errors import InputError
from sourcewise.families.registry import family
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting.execute import execute
from sourcewise.fitting.run import Comparison
from sourcewise.forms import Images, take
from sourcewise.metrics.features.choice import refuse_unknown
from sourcewise.randomness import Noise
from sourcewise.similarity.hierarchy import Hierarchy
from sourcewise.similarity.hierarchy_files import read_hierarchy
from sourcewise.similarity.levels import choose
from sourcewise.sources import Sources
from sourcewise.studies.grid import Grid, Progress
from sourcewise.studies.table1.distances import Distances, drawing_seconds
from sourcewise.studies.table1.pictures import PICTURE
from sourcewise.studies.table1.points import Table1, Table1Point
from sourcewise.studies.table1.settings import Budget, Table1Settings

__all__ = ["Cell", "Table1Settings", "grid"]

STRATEGIES = ("pooled", "separate")
FAMILY, KEY = "diffusion", "likelihood_bound"


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
    refuse_unknown(settings.features)
    for n in settings.sizes:
        _refuse_few(data, settings, n)
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
        time=lambda: _seconds(settings, data, tree, cells),
        picture=PICTURE,
        weight=partial(_images_seen, settings),
    )


def _seconds(
    settings: Table1Settings, data: Sources, tree: Hierarchy, cells: Sequence[Cell]
) -> float:
    """If no model stops early: the pace of the cell of fewest images, and of its draws."""
    first = min(cells, key=lambda cell: _images_seen(settings, cell))
    sample, _ = _sample(data, _classes(data, tree, settings, first), first.n, Noise(0))
    prepared = _prepared(settings, sample, first.budget)
    every = sum(_images_seen(settings, cell) for cell in cells)
    drawn = sum(_images_drawn(settings, cell) for cell in cells)
    took = prepared.seconds() * every / _images_seen(settings, first)
    return took + drawn * drawing_seconds(prepared)


def _images_seen(settings: Table1Settings, cell: Cell) -> int:
    """By all models of both strategies and all seeds."""
    chosen = family(FAMILY)
    trained = chosen.parse(settings.of_model(cell.budget)).suited("images")
    assert isinstance(trained, TrainedSettings)
    n = round(cell.n * (1 - trained.validation))
    models = [n * cell.K, *[n] * cell.K]
    return settings.seeds * sum(trained.planned(n) * trained.rows_per_update(n) for n in models)


def _images_drawn(settings: Table1Settings, cell: Cell) -> int:
    """From all models of both strategies and all seeds."""
    sets = settings.seeds * settings.sampling_seeds
    return len(STRATEGIES) * sets * cell.K * settings.draws


def _prepared(settings: Table1Settings, sample: Sources, budget: Budget) -> Prepared:
    """The comparison of a cell."""
    given = CompareSettings.parse(
        {
            "model": FAMILY,
            "strategies": ",".join(STRATEGIES),
            "set": settings.of_model(budget),
            "seeds": settings.seeds,
            "seed": settings.seed,
        }
    )
    return prepare(sample, given)


def _refuse_few(data: Sources, settings: Table1Settings, n: int) -> None:
    least, name = int(data.counts.min()), data.names[int(data.counts.argmin())]
    wanted = max(_sampled(n), _sampled(n) - _sampled(n) // FOLDS + 2 * settings.draws)
    if least < wanted:
        raise InputError(
            f"{data.name}: {n} training images of a class and {settings.draws} draws take "
            f"{wanted} images with those that are held out, and {name!r} has {least} (settings "
            "rows, draws)"
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
    prepared = _prepared(settings, sample, cell.budget)
    distances = Distances.of(settings, prepared.plan, spare, folder)
    run = ComparisonRun(prepared, look=distances.look)
    compared = execute(run, folder, progress=progress)
    return replace(
        _point(cell, classes, tree, compared),
        frechet={name: distances.spread(name) for name in STRATEGIES},
        floor=distances.floor,
    )


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


def _point(
    cell: Cell, classes: tuple[str, ...], tree: Hierarchy, compared: Comparison
) -> Table1Point:
    """What the comparison found."""
    result = compared.result
    average = next(d for d in result.differences if d.average and d.strategy == "pooled")
    updates, improving = {}, {}
    for name in STRATEGIES:
        found = result.strategies[name]
        made = [round(source.updates) for source in found.per_source.values()]
        late = set(found.still_improving)
        updates[name] = min(made), max(made)
        improving[name] = sum(bool(late & set(block)) for block in found.blocks)
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
        terms={t.name: t.difference for t in result.terms or () if t.strategy == "pooled"},
        frechet={},
        floor=0.0,
        updates=updates,
        improving=improving,
    )
