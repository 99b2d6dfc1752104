"""Before a training starts: find what cannot be trained, and guess how long it takes.

Times are of the processor, so that other work on the machine does not count.

All models are built, and each takes one loss and gradient on a few rows of its own. The time is
that of a few updates and of one look at the validation rows, times their planned numbers, and what
recipes do before and after the updates, of each model.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.base import Rows
from sourcewise.errors import TrainingFailed, listing
from sourcewise.families.base import Carried, ConditionalModel, Diagnosed
from sourcewise.families.settings import TrainedSettings
from sourcewise.fitting.job import Job, Split
from sourcewise.fitting.strategy import Encoders, filled_batch, untrained
from sourcewise.memory import give_back
from sourcewise.randomness import Noise
from sourcewise.strategies import Strategy
from sourcewise.training.data import further_splits
from sourcewise.training.looks import look_gap
from sourcewise.training.recipes.base import Recipe
from sourcewise.training.recipes.registry import recipe
from sourcewise.training.stack import StepNoise

__all__ = ["Rehearsal"]

ROWS, TIMED = 4, 3  # rows of the trial loss; updates that are timed
QUICK = 2.0  # seconds: what takes less for one source is timed for many too
MOST = 1000  # rows that training begins with
SYMBOLS = 1 << 11  # that are timed together, unless one row holds more


@dataclass(frozen=True)
class Rehearsal:
    """All models of all strategies on one split, as training will meet them."""

    job: Job  # what is to be trained
    rows: Rows  # all n rows
    split: Split  # which train
    shuffled: Tensor  # (n,) permuted labels, for the control that trains on them
    encoders: Encoders  # fitted on the rows that train or tell when to stop

    def check(self, noise: Noise) -> None:
        """Raise what would stop the training later.

        Raises:
            InputError: data that cannot be encoded.
            TrainingFailed: a model whose first loss is not finite.
        """
        for block in self._blocks():
            block.model.reset(noise)
            if not math.isfinite(block.update(block.batch(block.index(ROWS)), noise)):
                raise TrainingFailed(
                    f"{self.job.family.name}, {block.strategy}: the first loss of "
                    f"{listing(block.names, 3)} is not finite: check --set"
                )

    def effective_settings(self) -> dict[str, str | int | float]:
        """What the family's settings come to for these data; of all strategies."""
        return Diagnosed(next(self._blocks()).model.diagnostics()).resolved

    def seconds(self) -> float:
        """That training all strategies once will take, if no training stops early."""
        blocks = list(self._blocks())
        give_back()
        return sum(_training_seconds(self.job, blocks))

    def _blocks(self) -> Iterator["_Block"]:
        """All models of all strategies."""
        for strategy in _all_trained(self.job):
            labels = self.shuffled if strategy.shuffled else self.job.data.y
            labels = labels[self.split.train]
            give_back()
            model = untrained(self.job, strategy, self.encoders.sizes(self.job.family), labels)
            inside = (model.routes[:, 0] >= 0)[labels].nonzero().squeeze(1)
            labels = labels[inside]
            for j, where, local in model.route(labels):
                give_back()
                count = len(where)
                kept = _spread(count, max(MOST, self._batch(count)))
                names = tuple(self.job.names[k] for k in model.partition.blocks[j])
                rows, y = self.split.train[inside[where[kept]]], local[kept]
                found = model.block(j)
                own = model.partition.blocks[j]
                copies = 0 if strategy.parent else self._copies(own, inside[where], found)
                yield _Block(self, strategy.name, names, found, count, copies, rows, y)

    def _copies(self, block: Sequence[int], rows: Tensor, model: ConditionalModel) -> int:
        """Copies that train beside a model of these sources, of some of the training rows."""
        valid = torch.isin(self.job.data.y[self.split.valid], torch.tensor(block))
        splits = further_splits(self.split.turn[rows], int(valid.sum()))
        return len(splits) if model.copied else 0

    def _batch(self, count: int) -> int:
        """Rows of an update of a model of so many; an exact fit has none."""
        settings = self.job.settings
        return settings.rows_per_update(count) if isinstance(settings, TrainedSettings) else 0


@dataclass(frozen=True)
class _Block:
    """One model of a strategy with its training rows."""

    of: Rehearsal  # with all rows
    strategy: str
    names: tuple[str, ...]
    model: ConditionalModel
    count: int  # of its training rows
    copies: int  # that train beside it
    rows: Tensor  # some of them: where among all rows
    y: Tensor

    def index(self, most: int) -> Tensor:
        """The first of these rows."""
        return torch.arange(min(most, len(self.rows)))

    def batch(self, index: Tensor) -> Batch:
        """Some of its rows, encoded: no others are."""
        every, some = torch.arange(len(index)), self.rows[index]
        found = filled_batch(self._job(some), self.of.encoders, self.of.rows.take(some), every)
        return replace(found.at(every), y=self.y[index])

    def _job(self, rows: Tensor) -> Job:
        """The job of some rows alone: what is asked of each row is not asked of all."""
        return replace(self.of.job, data=self.of.job.data.take(rows))

    def short(self, index: Tensor) -> Tensor:
        """As many of some rows as hold `SYMBOLS` together, at least one."""
        upto = self._job(self.rows[index]).sizes.cumsum(0)
        return index[: max(1, int((upto <= SYMBOLS).sum()))]

    @property
    def recipe(self) -> Recipe:
        """How the model is trained."""
        return recipe(self.model.recipe)

    @property
    def first(self) -> Batch:
        """Its first rows."""
        return self.batch(self.index(MOST))

    @cached_property
    def carried(self) -> Carried:
        """What training begins with, from some of its rows."""
        return self.recipe.begin(self.model, self.first, Noise(0).of("rehearsal"))

    def update(self, batch: Batch, noise: Noise) -> float:
        """The mean loss of some rows; gradients are computed."""
        step = StepNoise([noise], [len(batch)])
        carried = self.recipe.advance(self.model, self.carried, step)
        loss = self.loss(batch, noise, carried).mean()
        loss.backward()
        self.model.zero_grad()
        return float(loss.detach())

    def loss(self, batch: Batch, noise: Noise, carried: Carried | None = None) -> Tensor:
        """(B,) losses of some rows."""
        carried, step = carried or self.carried, StepNoise([noise], [len(batch)])
        return self.recipe.loss(self.model, batch, carried, step)


def _all_trained(job: Job) -> list[Strategy]:
    """The strategies, and those that they begin from."""
    parents = dict.fromkeys(s.parent for s in job.strategies if s.parent)
    return [*(parent for parent in parents if parent not in job.strategies), *job.strategies]


def _spread(n: int, most: int) -> Tensor:
    """At most so many of n rows, spread evenly."""
    return torch.arange(n) if n <= most else torch.arange(most) * n // most


def _training_seconds(job: Job, every: list[_Block]) -> Iterator[float]:
    """Of each strategy: its largest model's update is timed, the others' by their batches."""
    settings = cast(TrainedSettings, job.settings)
    batch = settings.rows_per_update
    by_strategy: dict[str, list[_Block]] = {}
    for block in every:
        by_strategy.setdefault(block.strategy, []).append(block)
    for blocks in by_strategy.values():
        largest = max(blocks, key=lambda block: block.count)
        most = batch(largest.count)
        sizes = [block.count for block in blocks for _ in range(1 + block.copies)]
        examples = sum(settings.planned(n) * batch(n) for n in sizes)
        yield _row_seconds(largest, most) * examples
        looks = sum(n * _looks(settings, settings.planned(n)) for n in sizes)
        yield _look_seconds(largest, settings.validation) * looks / largest.count
    yield _phase_seconds(every)


def _looks(settings: TrainedSettings, updates: int) -> int:
    """How often a model is looked at on its validation rows, unless it stops early."""
    t, count = 0, 0
    while t < updates:
        t += look_gap(t, settings.check)
        count += 1
    return count


def _row_seconds(block: _Block, batch: int) -> float:
    """What a row takes in an update."""
    noise = Noise(0).of("timing")
    block.model.reset(noise)
    index = noise.of("rows").permutation(len(block.rows))[:batch]

    def update(rows: Batch, t: int) -> None:
        block.update(rows, noise.of(t))

    return _pace(block, index, update, TIMED)


def _look_seconds(block: _Block, share: float) -> float:
    """One loss on about as many rows as a block holds for validation."""
    n = round(block.count * share / (1 - share)) if share else 0
    if not n:
        return 0.0
    noise = Noise(0).of("timing")

    @torch.no_grad()
    def look(rows: Batch, t: int) -> None:
        block.loss(rows, noise)

    block.model.eval()
    found = _pace(block, block.index(min(n, MOST)), look, 1) * n
    block.model.train()
    return found


def _pace(block: _Block, index: Tensor, work: Callable[[Batch, int], None], times: int) -> float:
    """Seconds per row of a work: of all rows at the index, or of a few of them if it takes long.

    Of few rows a row takes longer, and the first time is not like the others.
    """
    few, found = block.short(index), 0.0
    for part in dict.fromkeys((len(few), len(index))):
        rows = block.batch(index[:part])
        work(rows, times)
        start = time.process_time()
        for t in range(times):
            work(rows, t)
        found = (time.process_time() - start) / times / part
        if found * len(index) > QUICK:
            break
    return found


def _phase_seconds(blocks: list[_Block]) -> float:
    """What comes before and after the updates: all blocks.

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
    """The beginning and the end of a model's training."""
    noise, rows, start = Noise(0).of("timing"), block.first, time.process_time()
    block.model.reset(noise)
    block.recipe.begin(block.model, rows, noise)
    block.recipe.finish(block.model, rows, block.carried, noise)
    return time.process_time() - start
