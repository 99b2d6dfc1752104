"""The paper's three ARM tables (arXiv 2502.14583): average TV against K, n and D.

Beside each measured mean, with a t interval over seeds, stand the paper's value, the error of the
relative frequencies of the same rows, and the asymptotic law `sqrt(p / (2 pi n))` for two counts
of parameters: of the model class, and of the saturated class, `p = K (M^D - 1)`. Neither the truth
nor the training is the paper's: see `arm.settings`.

Each seed has its own truth, sample and starts; pooled and separate models learn from the same
rows. All seeds and blocks of a cell train as one stack.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.arm.model import Arm
from sourcewise.families.base import ConditionalModel
from sourcewise.metrics.total_variation import tv_table
from sourcewise.randomness import Noise
from sourcewise.studies.arm.settings import (
    ArmDSettings,
    ArmKSettings,
    ArmNSettings,
    ArmStudySettings,
    Cell,
)
from sourcewise.studies.arm.table import PICTURE, ArmPoint, ArmTable, Errors, point
from sourcewise.studies.blocks import Block, all_blocks, blocks, member, sample, train
from sourcewise.studies.curves import STRATEGIES, Fit, Strategy, fit
from sourcewise.studies.grid import SHORT, Grid, Progress, Trials, Work
from sourcewise.studies.result import select
from sourcewise.training.data import TrainingData
from sourcewise.truths.sequences import SequenceTruth, independent_sequences, shared_logits

__all__ = [
    "ArmDSettings",
    "ArmKSettings",
    "ArmNSettings",
    "draw_truth",
    "grid",
    "measure",
    "work",
]


def grid(settings: ArmStudySettings) -> Grid[Cell, Errors, ArmTable]:
    """The cells of one of the tables."""
    return Grid(
        cells=tuple(settings.cells()),
        compute=partial(measure, settings),
        found=Errors,
        fold=partial(_fold, settings),
        time=Trials(partial(work, settings), lambda: grid(settings.model_copy(update=SHORT))),
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


def _realizable(settings: ArmStudySettings, K: int, D: int, noise: Noise) -> SequenceTruth:
    """A random ARM of the sizes that are trained, its last layer scaled.

    The scale makes log p, averaged over sources, vary with the standard deviation `spread` over
    all sequences; as it starts, a network is nearly uniform.
    """
    model = Arm(settings.training(), K=K, M=settings.M, D=D).double()
    model.reset(noise)
    last = model.network.mlp.layers[-1]
    start = [p.detach().clone() for p in last.parameters()]

    def table(scale: float) -> Tensor:
        for parameter, value in zip(last.parameters(), start, strict=True):
            parameter.data.copy_(scale * value)
        with torch.no_grad():
            return torch.stack([model.log_table(k) for k in range(K)])

    low, high = 0.0, 1.0
    while table(high).std(1).mean() < settings.spread:
        low, high = high, 2 * high
    for _ in range(20):
        middle = (low + high) / 2
        below = bool(table(middle).std(1).mean() < settings.spread)
        low, high = (middle, high) if below else (low, middle)
    return SequenceTruth(table(high), settings.M, D, settings.sizes(D).beta)


def draw_truth(settings: ArmStudySettings, K: int, D: int, noise: Noise) -> SequenceTruth:
    """The truth of one seed."""
    M = settings.M
    if settings.truth == "realizable":
        return _realizable(settings, K, D, noise)
    if settings.truth == "independent":
        return independent_sequences(K, M, D, noise, settings.concentration)
    drawn = shared_logits(K, M, D, settings.own, noise)
    total = (1 + settings.own**2) ** 0.5
    log_p = (settings.spread / total * drawn.log_p).log_softmax(1)
    return SequenceTruth(log_p, M, D, drawn.similarity)


def measure(
    settings: ArmStudySettings,
    cell: Cell,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Errors:
    """Draw, train both ways and measure, for all seeds of a cell at once; see `Grid.compute`."""
    K, n, D = cell.sizes
    noise = Noise(settings.seed).of("arm")
    truths, members, frequencies = [], {}, []
    for r in range(settings.seeds):
        truth = draw_truth(settings, K, D, noise.of("truth", r, D))
        x, y = sample(truth, K, n, noise.of("sample", r, D))
        truths.append(truth)
        frequencies.append(_error(truth, _frequencies(truth, x, y)))
        cut = n - round(settings.validation * n)  # the last rows validate
        data = TrainingData(Batch.of(x[:cut], y[:cut]), Batch.of(x[cut:], y[cut:]))
        for block in all_blocks(K):
            model = Arm(settings.training(), K=len(block), M=settings.M, D=D)
            members[r, block] = member(model, data, K, r, block)
    draws = noise.of("training", K, n, D)
    made = train(Arm.recipe, members, settings.training(), draws, progress, folder)
    errors: dict[Strategy, list[float]] = {}
    updates: dict[Strategy, int] = {}
    for strategy in STRATEGIES:
        each = blocks(strategy, K)
        updates[strategy] = max(made[r, block] for r in range(len(truths)) for block in each)
        errors[strategy] = [
            _error(truth, _tables({block: members[r, block].model for block in each}, truth))
            for r, truth in enumerate(truths)
        ]
    separate, pooled = errors["separate"], errors["pooled"]
    return Errors(separate, pooled, frequencies, updates, truths[0].similarity)


def _tables(models: Mapping[Block, ConditionalModel], truth: SequenceTruth) -> Tensor:
    """(K, M^D) log-probabilities of all sequences under trained models."""
    log_p = torch.empty_like(truth.log_p)
    for block, model in models.items():
        arm = cast(Arm, model.double())
        with torch.no_grad():
            for i, k in enumerate(block):
                log_p[k] = arm.log_table(i)
    return log_p


def _frequencies(truth: SequenceTruth, x: Tensor, y: Tensor) -> Tensor:
    """(K, M^D) log of the relative frequencies of the rows."""
    K, N = truth.log_p.shape
    number = y * N + (x * truth.places).sum(1)
    counts = torch.bincount(number, minlength=K * N).view(K, N).double()
    return (counts / counts.sum(1, keepdim=True)).log()


def _error(truth: SequenceTruth, log_p: Tensor) -> float:
    """Average TV."""
    values = [tv_table(p, q).value for p, q in zip(truth.log_p, log_p, strict=True)]
    return sum(values) / len(values)
