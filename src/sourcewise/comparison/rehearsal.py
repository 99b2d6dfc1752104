"""Before the work starts: find what cannot be fitted, and guess how long it takes.

- An exact family is fitted once on the smallest kind of split, and timed on one of the usual kind.
- A trained family is not trained: all models are built, and each takes one loss and gradient on a
  few rows of its own. Its time is that of a few updates and of one look at the validation rows,
  times their planned numbers, and what staged models do before and after training, each of them.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from sourcewise.comparison.evaluation import Encoded, Split, Work, evaluate, untrained
from sourcewise.comparison.scopes import FOLDS, Plan
from sourcewise.errors import TrainingFailed, listing
from sourcewise.families.base import Carried, ConditionalModel, Staged
from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.training.data import batch_of
from sourcewise.training.run import look_gap
from sourcewise.training.stack import StepNoise

__all__ = ["estimate", "rehearse", "resolved"]

ROWS, TIMED = 4, 3  # rows of the trial loss; updates that are timed
QUICK = 2.0  # seconds: what takes less for one source is timed for many too
MOST = 1000  # rows that a staged model begins with


def rehearse(plan: Plan) -> None:
    """Raise what would stop the comparison later.

    Raises:
        InputError: data that cannot be encoded or fitted.
        TrainingFailed: a model whose first loss is not finite.
    """
    cell = plan.cells[-1]
    if not plan.job.family.trained:
        plan.run(cell, plan.shared(cell.repetition), splits=1)
        return
    for block in _blocks(plan, plan.cells[0].repetition):
        noise = Noise(plan.seed).of("rehearsal")
        block.model.reset(noise)
        rows = torch.arange(min(ROWS, len(block.rows)))
        if not math.isfinite(block.update(rows, noise)):
            raise TrainingFailed(
                f"{plan.job.family.name}, {block.strategy}: the first loss of "
                f"{listing(block.names, 3)} is not finite: check --set"
            )


def resolved(plan: Plan) -> dict[str, str | int | float]:
    """What the family's settings come to for these data; of all strategies."""
    return next(_blocks(plan, 0)).model.resolved


def estimate(plan: Plan) -> float:
    """Seconds that the comparison will take; of trained families if no training stops early."""
    splits = len(plan.cells) * (FOLDS if plan.scope == "procedure" else 1)
    if plan.job.family.trained:
        extra = 0 if plan.keeps_models else 1  # models to keep, of all rows
        return (splits + extra) * sum(_training_seconds(plan))
    fold, rows, shuffled = plan.shared(0)
    split = next(iter(plan.splits(plan.cells[0], fold)))
    start = time.perf_counter()
    evaluate(plan.job, rows, split, shuffled, Work(plan.training_noise(plan.cells[0], 0)))
    return (time.perf_counter() - start) * splits


@dataclass(frozen=True)
class _Block:
    """One model of a strategy with its training rows."""

    strategy: str
    names: tuple[str, ...]
    model: ConditionalModel
    encoded: Encoded
    rows: Tensor  # among the encoded ones
    y: Tensor

    @cached_property
    def carried(self) -> Carried:
        """What a staged model begins with, from some of its rows."""
        if not isinstance(self.model, Staged):
            return {}
        x = batch_of(self.encoded.filled, self.rows[:MOST])
        dtype = next(self.model.parameters()).dtype
        begun = self.model.begin(x, self.y[:MOST], Noise(0).of("rehearsal"))
        return {name: v.to(dtype) for name, v in begun.items()}

    def update(self, index: Tensor, noise: Noise) -> float:
        """The mean loss of some rows; gradients are computed."""
        step, carried = StepNoise([noise], [len(index)]), self.carried
        if isinstance(self.model, Staged) and carried:
            carried = self.model.advance(carried, step)
        loss = self.loss(index, noise, carried).mean()
        loss.backward()
        self.model.zero_grad()
        return float(loss.detach())

    def loss(self, index: Tensor, noise: Noise, carried: Carried | None = None) -> Tensor:
        """(B,) losses of some rows."""
        x, y = batch_of(self.encoded.filled, self.rows[index]), self.y[index]
        carried = self.carried if carried is None else carried
        if isinstance(self.model, Staged) and carried:
            step = StepNoise([noise], [len(index)])
            return self.model.staged_loss(x, y, carried, noise=step)
        return self.model.loss(x, y, noise=noise)


def _blocks(plan: Plan, repetition: int) -> Iterator[_Block]:
    """All models of all strategies, as the first split trains them."""
    fold, rows, shuffled = plan.shared(repetition)
    split: Split = next(iter(plan.splits(plan.cells[0], fold)))
    encoded = Encoded.of(plan.job, rows, split)
    for strategy in plan.job.strategies:
        labels = (shuffled if strategy.shuffled else plan.job.data.y)[split.train]
        model = untrained(plan.job, strategy, encoded.encoder, labels)
        inside = (model.routes[labels, 0] >= 0).nonzero().squeeze(1)
        for j, where, local in model.route(labels[inside]):
            names = tuple(plan.job.names[k] for k in model.partition.blocks[j])
            mine = inside[where]
            yield _Block(strategy.name, names, model.block(j), encoded, mine, local)


def _training_seconds(plan: Plan) -> Iterator[float]:
    """Of each strategy: its largest model's update is timed, the others' by their batches."""
    settings = cast(TrainedSettings, plan.job.settings)
    batch = settings.rows_per_update
    by_strategy: dict[str, list[_Block]] = {}
    for block in _blocks(plan, 0):
        by_strategy.setdefault(block.strategy, []).append(block)
    for blocks in by_strategy.values():
        largest = max(blocks, key=lambda block: len(block.rows))
        most, sizes = batch(len(largest.rows)), [len(block.rows) for block in blocks]
        examples = sum(settings.planned(n) * batch(n) for n in sizes)
        yield _update_seconds(largest, most) * examples / most
        looks = sum(n * _looks(settings, settings.planned(n)) for n in sizes)
        yield _look_seconds(largest, settings.validation) * looks / len(largest.rows)
    yield _phase_seconds([block for blocks in by_strategy.values() for block in blocks])


def _looks(settings: TrainedSettings, updates: int) -> int:
    """How often a model is looked at on its validation rows, unless it stops early."""
    t, count = 0, 0
    while t < updates:
        t += look_gap(t, settings.check)
        count += 1
    return count


def _update_seconds(block: _Block, batch: int) -> float:
    noise = Noise(0).of("timing")
    block.model.reset(noise)
    index = noise.of("rows").permutation(len(block.rows))[:batch]
    block.update(index, noise)
    start = time.perf_counter()
    for t in range(TIMED):
        block.update(index, noise.of(t))
    return (time.perf_counter() - start) / TIMED


def _look_seconds(block: _Block, share: float) -> float:
    """One loss on about as many rows as a block holds for validation."""
    n = round(len(block.rows) * share / (1 - share)) if share else 0
    if not n:
        return 0.0
    index, noise = torch.arange(min(n, MOST, len(block.rows))), Noise(0).of("timing")
    block.model.eval()
    start = time.perf_counter()
    with torch.no_grad():
        block.loss(index, noise)
    block.model.train()
    return (time.perf_counter() - start) * n / len(index)


def _phase_seconds(blocks: list[_Block]) -> float:
    """What staged models do before and after training: all blocks.

    The block of fewest sources is timed, larger ones too if that is quick; if not, they are taken
    to need as much more as they have more sources, which is never too little.
    """
    known: dict[int, float] = {}
    for block in sorted(blocks, key=lambda block: len(block.names)):
        K, fewest = len(block.names), min(known, default=0)
        if K in known:
            continue
        slow = bool(known) and known[fewest] > QUICK
        known[K] = known[fewest] * K / fewest if slow else _ends_seconds(block)
    return sum(known[len(block.names)] for block in blocks)


def _ends_seconds(block: _Block) -> float:
    """The beginning and the end of a staged model's training."""
    if not isinstance(block.model, Staged):
        return 0.0
    noise, x = Noise(0).of("timing"), batch_of(block.encoded.filled, block.rows[:MOST])
    y, start = block.y[:MOST], time.perf_counter()
    block.model.reset(noise)
    block.model.begin(x, y, noise)
    block.model.finish(x, y, block.carried, noise)
    return time.perf_counter() - start
