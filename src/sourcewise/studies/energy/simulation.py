"""Simulated fits of energy-based models: truths, samples, both ways of training, errors.

Each seed has its own truth, sample and starts; pooled and separate models learn from the same
rows, with the same updates and as many starts per block. Of the starts the one of the highest
likelihood of the training rows is kept. A truth is a member of the class, so the maximum is at
least the truth's likelihood: a fit below it stands in a local minimum, or was not trained to its
end. All seeds, blocks and starts of a strategy train as one stack.

Beside them, a cell that is `near` trains a fit of every block that starts at the truth's own
parameters, at a tenth of the learning rate: what a maximum near the truth is worth, whether or not
other starts find one.

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
from sourcewise.studies.blocks import Block, all_blocks, blocks, member, numbers, sample
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.energy.information import laws
from sourcewise.studies.energy.points import Errors, Measured
from sourcewise.studies.energy.settings import Cell, EnergyStudySettings
from sourcewise.studies.energy.truth import GRID, apart, draw_truth, log_densities
from sourcewise.studies.grid import Progress
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Member
from sourcewise.training.recipes.registry import recipe

__all__ = ["measure"]

STEADY = 0.1  # of the learning rate: a start at the truth must not leave its neighbourhood


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
    cell: Cell,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Errors:
    """Draw, train both ways and measure, for all seeds of a cell at once.

    Args:
        settings: of the study.
        cell: in it; if `near`, with one start at the truth in place of `settings.starts` ones.
        progress: called with (examples seen, examples in all).
        folder: where training leaves checkpoints and is taken up; None: none.
    """
    D, K, n, d_e = cell.D, cell.K, cell.n, cell.d_e
    noise = Noise(settings.seed).of("energy")
    cases = [_case(settings, cell, r, noise) for r in range(settings.seeds)]
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
    draws, train = noise.of("training", D, K, n, d_e), recipe(Energy.recipe).train
    efforts = train(list(members.values()), training, draws, progress=progress, folder=folder)
    updates = max(effort.updates for effort in efforts)
    fits = {
        (r, block): _best(case, block, [members[r, block, start] for start in starts])
        for r, case in enumerate(cases)
        for block in all_blocks(K)
    }
    found = [_measured(strategy, cases, fits, updates) for strategy in STRATEGIES]
    return Errors(*found, apart=[apart(case.truth) for case in cases])


def _case(settings: EnergyStudySettings, cell: Cell, r: int, noise: Noise) -> _Case:
    truth = draw_truth(settings, cell.D, cell.K, cell.d_e, noise.of("truth", r, cell.D))
    x, y = sample(truth, cell.K, cell.n, noise.of("sample", r, cell.D))
    with torch.no_grad():
        return _Case(truth, x, y, log_prob(truth, x, y))


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
