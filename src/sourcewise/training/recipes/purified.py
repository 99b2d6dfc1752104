"""Gradient training that stops believing some of the labels: self-purification.

Labels of real data may be wrong. After a share of a model's updates the labels of every batch are
judged by the model of the moment, before it learns from them, and rows whose label is flagged are
trained on without it (arXiv 2509.19091). How a model judges is its own affair (`Judging`); here it
is when, and what becomes of it:

- Each model of a stack has its own beginning, at the share of its own planned updates.
- Validation rows have wrong labels too. Their loss is therefore taken by the same rule, from the
  first look on: a row whose label is flagged counts without it. With their labels as they stand,
  the weights that are best at predicting wrong labels would be kept.
- What a label is judged by is noisy, and a model may remember earlier looks at the same row: with
  the memory m a label is judged by `(1 - m) e + m` times what it was judged by before.
- How often a training row was judged and flagged, and by how much, goes along in checkpoints, is
  kept with the model, and is told for each row (`LabelFlags`).

A model of one source has no other label to hold against its own: it judges nothing, and is trained
as by `gradient`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import BatchNoise, Carried, ConditionalModel
from sourcewise.families.offers import Judging, LabelFlags
from sourcewise.families.settings import TrainedSettings
from sourcewise.training.processes import Processes
from sourcewise.training.recipes.base import Effort
from sourcewise.training.recipes.gradient import Gradient
from sourcewise.training.resumed import check_tensors
from sourcewise.training.stack import StepNoise
from sourcewise.training.stack_training import StackTraining
from sourcewise.training.task import Task

__all__ = ["RECIPE", "Purified", "PurifiedTraining"]

FLAGS = "flags/"  # names in a checkpoint


class PurifiedTraining(StackTraining):
    """The training of stacked models that judge labels.

    Attributes:
        records: of each task (4, n) looks, flags, the sum of what its rows were judged by, and
            the last of these.
        judging: (S, 1) of the active models, whether labels are judged in the update under way.
        before: (S, B) what the rows of that update's batches were last judged by; NaN: never.
        excess: (S, B) what they are judged by.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: TrainedSettings,
        device: torch.device,
        processes: Processes,
        shard: bool = False,
        begun: bool = False,
    ):
        super().__init__(tasks, settings, device, processes, shard, begun)
        if self.sharded:
            raise InputError("--shard: this training judges labels, which takes models whole")
        self.records = [torch.zeros(4, len(t.rows), dtype=torch.float64) for t in self.tasks]

    def update(self) -> Tensor:
        """See `StackTraining.update`; the labels of the batches are judged first."""
        tasks, step = [self.tasks[i] for i in self.active], self.step
        now = torch.tensor([_judges(task, step) for task in tasks])
        index = [task.index(step) for task in tasks]
        self.judging = now[:, None].to(self.device)
        shape = len(tasks), max(map(len, index))
        self.excess = torch.zeros(shape, dtype=torch.float64, device=self.device)
        self.before = torch.full_like(self.excess, torch.nan)
        records = [self.records[i] for i in self.active]
        for s, (record, rows) in enumerate(zip(records, index, strict=True)):
            last = torch.where(record[0, rows] > 0, record[3, rows], torch.nan)
            self.before[s, : len(rows)] = last.to(self.device)
        values = super().update()
        if bool(now.any()):
            self.processes.add(self.excess)  # each process has seen its own rows
            for s in now.nonzero()[:, 0].tolist():
                _note(records[s], index[s], self.excess[s, : len(index[s])].cpu())
        return values

    def _batch_loss(self, model: ConditionalModel, batch: Batch, noise: StepNoise) -> Tensor:
        if not bool(self.judging.any()):
            return model.loss(batch, noise)
        judge = cast(Judging, model)
        found = judge.label_excess(batch, noise.of("probe"))
        excess = found.view(len(self.active), -1).double()
        own, before = self.excess[:, noise.share], self.before[:, noise.share]
        count = own.shape[1]  # a batch may have more rows than are this process's
        excess[:, :count] = _remembered(excess[:, :count], before, judge.label_memory)
        own.copy_(excess[:, :count])
        flagged = ((excess > 0) & self.judging).view(found.shape)
        return model.loss(_without(batch, flagged), noise)

    def _loss(self, model: ConditionalModel, s: int, batch: Batch, noise: StepNoise) -> Tensor:
        return judged_loss(model, batch, noise)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `StackTraining.state`; records are those of all tasks."""
        tensors, values = super().state()
        return tensors | self._named_records(), values

    def check(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """See `StackTraining.check`."""
        own = {name: v for name, v in tensors.items() if name.startswith(FLAGS)}
        super().check({n: v for n, v in tensors.items() if n not in own}, values)
        check_tensors(own, self._named_records())

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """See `StackTraining.restore`."""
        super().restore({n: v for n, v in tensors.items() if not n.startswith(FLAGS)}, values)
        self.records = [tensors[name].clone() for name in self._named_records()]

    def _named_records(self) -> dict[str, Tensor]:
        return {f"{FLAGS}{i}": record for i, record in enumerate(self.records)}


class Purified(Gradient):
    """See the module."""

    training: ClassVar[type[StackTraining]] = PurifiedTraining

    def conclude(self, training: StackTraining, s: int, how: str, own: bool) -> Effort:
        """Give the model what was found of its rows."""
        assert isinstance(training, PurifiedTraining)
        effort = super().conclude(training, s, how, own)
        cast(Judging, training.tasks[s].model).keep_flags(LabelFlags(*training.records[s][:3]))
        return effort

    def loss(
        self, model: ConditionalModel, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """Of an update that judges labels; of a model that is not in training its own."""
        return judged_loss(model, batch, noise) if model.training else model.loss(batch, noise)


def judged_loss(model: ConditionalModel, batch: Batch, noise: BatchNoise) -> Tensor:
    """(B,) rows whose label the model flags count without it."""
    judge = cast(Judging, model)
    if judge.judged_after is None:
        return model.loss(batch, noise)
    flagged = judge.label_excess(batch, noise.of("probe")) > 0
    return model.loss(_without(batch, flagged), noise)


def _judges(task: Task, step: int) -> bool:
    """Whether labels are judged in the update after so many."""
    after = cast(Judging, task.model).judged_after
    return after is not None and step >= after * task.total


def _without(batch: Batch, flagged: Tensor) -> Batch:
    """The labels of some rows are left out."""
    return replace(batch, y=torch.where(flagged, -1, batch.y))


def _remembered(excess: Tensor, before: Tensor, memory: float) -> Tensor:
    """(S, B) what rows are judged by: their excess now, and before, where they were judged."""
    return torch.where(before.isnan(), excess, excess.lerp(before, memory))


def _note(record: Tensor, index: Tensor, excess: Tensor) -> None:
    """Add looks at some rows (B,), which may be the same, to a record (4, n)."""
    found = torch.stack([torch.ones_like(excess), (excess > 0).to(excess), excess])
    record[:3].index_add_(1, index, found)
    record[3, index] = excess


RECIPE = Purified()
