"""Simulated fits of energy-based models: truths, samples, both ways of training, errors.

Each seed has its own truth, sample and starts; pooled and separate models learn from the same
rows, with the same updates and as many starts per block. Of the starts the one of the highest
likelihood of the training rows is kept. A truth is a member of the class, so the maximum is at
least the truth's likelihood: a fit below it stands in a local minimum, or was not trained to its
end. All seeds, blocks and starts of a strategy train as one stack.

Beside them, `near=True` trains a fit of every block that starts at the truth's own parameters, at
a tenth of the learning rate: what a maximum near the truth is worth, whether or not other starts
find one.

By Wilks' theorem `2 (log-likelihood of the fit - of the truth)` is about the number of parameters
that the data can tell apart, where the truth is regular.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import cast

import torch
from torch import Tensor

from sourcewise.families.energy.model import Energy
from sourcewise.metrics.distributions import log_prob
from sourcewise.randomness import Noise
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.energy.information import laws
from sourcewise.studies.energy.settings import EnergyStudySettings, Place
from sourcewise.studies.energy.truth import GRID, apart, draw_truth, log_densities, sample
from sourcewise.studies.places import Progress
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Member
from sourcewise.training.recipes.registry import recipe

__all__ = ["Errors", "Measured", "measure"]

Block = tuple[int, ...]
STEADY = 0.1  # of the learning rate: a start at the truth must not leave its neighbourhood


@dataclass(frozen=True)
class Measured:
    """One strategy at one place; lists have a value per seed.

    Args:
        tv: average TV.
        gained: twice the log-likelihood of the training rows, fit minus truth, of all blocks.
        blocks: fitted in all seeds.
        below: how many of them are less likely than the truth.
        starts_below: how many of all starts are.
        information: n^(1/2) times average TV by the law of the information matrix.
        rank: of that matrix.
        normaliser: largest error of log Z by the rule of training, among fits.
        quadrature: largest error of `tv`, by half the nodes.
        updates: gradient steps per start.
    """

    tv: list[float]
    gained: list[float]
    blocks: int
    below: int
    starts_below: int
    information: list[float]
    rank: list[int]
    normaliser: float
    quadrature: float
    updates: int


@dataclass(frozen=True)
class Errors:
    """One place.

    Args:
        separate: one model for each source.
        pooled: one for all.
        apart: average TV between a source and the mean of all sources, per seed.
    """

    separate: Measured
    pooled: Measured
    apart: list[float]


class _AtTruth(Energy):
    """A model that starts at given parameters."""

    given: dict[str, Tensor]

    def reset(self, noise: Noise) -> None:
        """Take them."""
        for name, parameter in self.named_parameters():
            parameter.data.copy_(self.given[name])


@dataclass(frozen=True)
class _Case:
    """One seed: its truth and its rows."""

    truth: Energy
    x: Tensor
    y: Tensor
    log_prob: Tensor  # of the rows under the truth


@dataclass(frozen=True)
class _Fit:
    """The likeliest start of a block."""

    model: Energy
    gained: float
    starts_below: int


def measure(
    settings: EnergyStudySettings,
    place: Place,
    progress: Progress | None = None,
    folder: Path | None = None,
    near: bool = False,
) -> Errors:
    """Draw, train both ways and measure, for all seeds of a place at once.

    Args:
        settings: of the study.
        place: in it.
        progress: called with (examples seen, examples in all).
        folder: where training leaves checkpoints and is taken up; None: none.
        near: one start at the truth, in place of `settings.starts` random ones.
    """
    D, K, n, d_e = place.sizes
    noise = Noise(settings.seed).of("energy")
    cases = [_case(settings, place, r, noise) for r in range(settings.seeds)]
    blocks = list(dict.fromkeys(_blocks("separate", K) + _blocks("pooled", K)))
    training = settings.training(D, d_e, STEADY if near else 1)
    starts = ["at the truth"] if near else [f"start {i}" for i in range(settings.starts)]
    kind = _AtTruth if near else Energy
    members = {
        (r, block, start): _member(kind(training, K=len(block), D=D), case, r, block, start)
        for r, case in enumerate(cases)
        for block in blocks  # with K = 1 both are one
        for start in starts
    }
    of_place = noise.of("training", D, K, n, d_e)
    train = recipe(Energy.recipe).train
    efforts = train(list(members.values()), training, of_place, progress, folder)
    updates = max(effort.updates for effort in efforts)
    fits = {
        (r, block): _best(case, block, [members[r, block, start] for start in starts])
        for r, case in enumerate(cases)
        for block in blocks
    }
    found = [_measured(strategy, cases, fits, updates) for strategy in STRATEGIES]
    return Errors(*found, apart=[apart(case.truth) for case in cases])


def _blocks(strategy: Strategy, K: int) -> list[Block]:
    """The sources of each model."""
    return [tuple(range(K))] if strategy == "pooled" else [(k,) for k in range(K)]


def _case(settings: EnergyStudySettings, place: Place, r: int, noise: Noise) -> _Case:
    D, K, n, d_e = place.sizes
    truth = draw_truth(settings, D, K, d_e, noise.of("truth", r, D))
    x, y = sample(truth, n, noise.of("sample", r, D))
    with torch.no_grad():
        return _Case(truth, x, y, log_prob(truth, x, y))


def _member(model: Energy, case: _Case, r: int, block: Block, start: str) -> Member:
    """An untrained model and its rows."""
    if isinstance(model, _AtTruth):
        model.given = {
            name: p[list(block)] if name.endswith("V_Y.weight") else p
            for name, p in case.truth.named_parameters()
        }
    names = tuple(f"seed {r} source {k}" for k in block)
    data = TrainingData.plain(case.x, case.y).of(_numbers(block, case.truth.K))
    return Member((*names, start), model, data)


def _numbers(block: Block, K: int) -> Tensor:
    """(K,) the sources' numbers within the block, -1 outside."""
    number = torch.full((K,), -1)
    number[list(block)] = torch.arange(len(block))
    return number


@torch.no_grad()
def _best(case: _Case, block: Block, members: list[Member]) -> _Fit:
    """The start of the highest likelihood."""
    number = _numbers(block, case.truth.K)[case.y]
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
        of_seed = [fits[r, block] for block in _blocks(strategy, case.truth.K)]
        kept += of_seed
        nodes = GRID[case.truth.D]
        tv.append(_average_tv(case.truth, of_seed, nodes))
        halved.append(_average_tv(case.truth, of_seed, nodes // 2))
        gained.append(sum(fit.gained for fit in of_seed))
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
