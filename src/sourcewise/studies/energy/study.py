"""Average TV of pooled and separate energy-based models against n, K and d_e, for D = 1 and 2.

The truth is a random member of the class that is trained (`energy.truth`), training is exact
maximum likelihood over the class. Beside each measured mean, with a t interval over seeds, stand

| what | formula | holds |
|---|---|---|
| bound | `theory.general.refined`, with the brackets of `theory.energy` | for the maximum |
| law | `sqrt(p / (2 pi n))`, p the parameters of the class | regular classes, from above |
| information | `energy.truth.laws`: the law without redundant directions | constant rank |

Each seed has its own truth, sample and starts; pooled and separate models learn from the same
rows, with the same updates and as many starts per block. All train as one stack. Of the starts the
one of the highest likelihood of the training rows is kept. The truth is a member of the class, so
a fit below its likelihood stands in a local minimum, or was not trained to its end.

The class is not regular: it has redundant parameters everywhere, more of them at some truths, and
the likelihood has local maxima. So a cell that is `near` trains a fit of every block that starts
at the truth's own parameters, at a tenth of the learning rate: the statistics without the search.

By Wilks' theorem `2 (log-likelihood of the fit - of the truth)` is about the number of parameters
that the data can tell apart, where the truth is regular.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import NamedTuple, cast

import torch
from torch import Tensor

from sourcewise.families.energy.model import Energy
from sourcewise.metrics.distributions import log_prob
from sourcewise.randomness import Noise
from sourcewise.studies.blocks import Block, all_blocks, blocks, member, numbers, sample, train
from sourcewise.studies.curves import STRATEGIES, Strategy, fit
from sourcewise.studies.energy.points import Errors, Measured, point
from sourcewise.studies.energy.settings import SWEEPS, Cell, EnergyStudySettings
from sourcewise.studies.energy.table import PICTURE, EnergyStudy, Exponent
from sourcewise.studies.energy.truth import GRID, apart, draw_truth, laws, log_densities
from sourcewise.studies.grid import SHORT, Grid, Progress, Trials, Work
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Member

__all__ = ["EnergyStudySettings", "grid", "measure"]

STEADY = 0.1  # of the learning rate: a start at the truth must not leave its neighbourhood


def grid(settings: EnergyStudySettings) -> Grid[Cell, Errors, EnergyStudy]:
    """The cells of all sweeps, each once with random starts and once with starts at the truth."""
    return Grid(
        cells=[c._replace(near=near) for c in settings.cells() for near in (False, True)],
        compute=partial(measure, settings),
        found=Errors,
        fold=partial(_fold, settings),
        time=Trials(partial(_work, settings), lambda: grid(settings.model_copy(update=SHORT))),
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
    for D, sweep, strategy in product(study.settings.dimensions, SWEEPS[:2], STRATEGIES):
        curve = study.select(D=D, sweep=sweep, strategy=strategy)
        x = [point.value for point in curve]
        if len(set(x)) > 1:
            yield Exponent(D, sweep, fit(strategy, x, [p.per_seed for p in curve]))
            near = [p.near_per_seed for p in curve]
            yield Exponent(D, sweep, fit(f"from the truth, {strategy}", x, near))
            law = [[p.information] for p in curve]
            yield Exponent(D, sweep, fit(f"information, {strategy}", x, law))


class _AtTruth(Energy):
    """A model that starts at given parameters."""

    given: dict[str, Tensor]

    def reset(self, noise: Noise) -> None:
        """Take them."""
        for name, parameter in self.named_parameters():
            parameter.data.copy_(self.given[name])


class _Case(NamedTuple):
    """One seed: its truth and its rows."""

    truth: Energy
    x: Tensor
    y: Tensor
    log_prob: Tensor  # of the rows under the truth


class _Fit(NamedTuple):
    """The likeliest start of a block."""

    model: Energy
    gained: float
    starts_below: int


def measure(
    settings: EnergyStudySettings,
    cell: Cell,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Errors:
    """Draw, train both ways and measure, for all seeds of a cell at once; see `Grid.compute`.

    A cell that is `near` has one start at the truth in place of `settings.starts` ones.
    """
    D, K, n, d_e = cell.D, cell.K, cell.n, cell.d_e
    noise, cases = Noise(settings.seed).of("energy"), []
    for r in range(settings.seeds):
        truth = draw_truth(settings, D, K, d_e, noise.of("truth", r, D))
        x, y = sample(truth, K, n, noise.of("sample", r, D))
        with torch.no_grad():
            cases.append(_Case(truth, x, y, log_prob(truth, x, y)))
    training = settings.training(D, d_e, STEADY if cell.near else 1)
    starts = ["at the truth"] if cell.near else [f"start {i}" for i in range(settings.starts)]
    members = {}
    for r, case in enumerate(cases):
        data = TrainingData.plain(case.x, case.y)
        for block in all_blocks(K):
            for start in starts:
                model = (_AtTruth if cell.near else Energy)(training, K=len(block), D=D)
                if isinstance(model, _AtTruth):
                    model.given = _parameters(case.truth, block)
                members[r, block, start] = member(model, data, K, r, block, start)
    draws = noise.of("training", D, K, n, d_e)
    updates = max(train(Energy.recipe, members, training, draws, progress, folder).values())
    fits = {
        (r, block): _best(case, block, [members[r, block, start] for start in starts])
        for r, case in enumerate(cases)
        for block in all_blocks(K)
    }
    found = [_measured(strategy, cases, fits, updates) for strategy in STRATEGIES]
    return Errors(*found, apart=[apart(case.truth) for case in cases])


def _parameters(truth: Energy, block: Block) -> dict[str, Tensor]:
    """Of the truth, for the sources of a block."""
    return {
        name: p[list(block)] if name.endswith("V_Y.weight") else p
        for name, p in truth.named_parameters()
    }


@torch.no_grad()
def _best(case: _Case, block: Block, members: list[Member]) -> _Fit:
    """The start of the highest likelihood."""
    number = numbers(block, case.truth.K)[case.y]
    rows = number.ge(0).nonzero().squeeze(1)
    truth = case.log_prob[rows].sum()
    models = [cast(Energy, member.model.double().eval()) for member in members]
    gained = [
        2 * float(log_prob(model, case.x[rows], number[rows]).sum() - truth) for model in models
    ]
    best = max(range(len(models)), key=gained.__getitem__)
    return _Fit(models[best], gained[best], sum(value < 0 for value in gained))


def _measured(
    strategy: Strategy, cases: list[_Case], fits: dict[tuple[int, Block], _Fit], updates: int
) -> Measured:
    """Errors and checks of one strategy."""
    tv, halved, gained, information, rank, kept = [], [], [], [], [], []
    for r, case in enumerate(cases):
        likeliest = [fits[r, block] for block in blocks(strategy, case.truth.K)]
        kept += likeliest
        nodes = GRID[case.truth.D]
        tv.append(_average_tv(case.truth, likeliest, nodes))
        halved.append(_average_tv(case.truth, likeliest, nodes // 2))
        gained.append(sum(fit.gained for fit in likeliest))
        law = laws(case.truth)[STRATEGIES.index(strategy)]
        information.append(law.root_n_tv)
        rank.append(law.rank)
    return Measured(
        tv,
        gained,
        len(kept),
        sum(fit.gained < 0 for fit in kept),
        sum(fit.starts_below for fit in kept),
        information,
        rank,
        max(_normaliser_error(fit.model) for fit in kept),
        max(abs(a - b) for a, b in zip(tv, halved, strict=True)),
        updates,
    )


def _average_tv(truth: Energy, fits: list[_Fit], nodes: int) -> float:
    """Average TV on `nodes^D` cells; the fits are of the sources in order."""
    p = log_densities(truth, nodes).exp()
    q = torch.cat([log_densities(fit.model, nodes) for fit in fits]).exp()
    return mean((0.5 * (p - q).abs().sum(1)).tolist())


@torch.no_grad()
def _normaliser_error(model: Energy) -> float:
    """Largest `|log Z_N - log Z_4N|`, N the nodes of training."""
    coarse, fine = (model.log_normaliser(nodes) for nodes in (model.nodes, 4 * model.nodes))
    return float((coarse - fine).abs().max())
