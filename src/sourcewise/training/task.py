"""One model to train: its data and plan, and what it leaves with."""

import copy
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import BatchNoise, ConditionalModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.training.data import Batches, TrainingData

__all__ = ["Condensed", "Outcome", "Task"]


@runtime_checkable
class Condensed(Protocol):
    """A model whose loss over all rows is a shorter sum over sufficient statistics."""

    def condense(self, rows: Batch) -> Batch:
        """U rows whose `condensed_loss` adds up to the whole."""
        ...

    def condensed_loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(U,) the loss of condensed rows; stackable like `loss`."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a model left with.

    Args:
        weights: (P,) its parameters; of a sharded training, this process's part.
        updates: the updates made.
        best: the update the weights are of; None if the last.
        validation: their validation loss, nats per unit; None without validation rows.
        refused: looks whose weights were not kept though their loss was the lowest.
        averages: (A, P) averages of the weights over the updates, those that settings ask for.
    """

    weights: Tensor
    updates: int
    best: int | None
    validation: float | None
    refused: int
    averages: Tensor


class Task:
    """One model's data and plan, on the device.

    Where its validation rows are few, copies of it train on further splits of its rows: what all
    of them lose on the rows that they do not see tells when to stop. Only a model that is `copied`
    has such: they train side by side.

    Args:
        key: names the block; its batches and noise depend on no other.
        model: untrained, already drawn.
        data: its rows.
        settings: of the family.
        noise: of the whole training.
        device: where to train.

    Attributes:
        further: the tasks of its copies.
    """

    def __init__(
        self,
        key: str,
        model: ConditionalModel,
        data: TrainingData,
        settings: TrainedSettings,
        noise: Noise,
        device: torch.device,
    ):
        dtype = torch.float64 if settings.precision == "float64" else torch.float32
        self.key, self.model, self.noise = key, model, noise.of("block", key)
        self.data = data.to(device, dtype)
        self.batch = settings.rows_per_update(len(data))
        self.total = settings.planned(len(data))
        self.rows, self.condensed = self.data.train, False
        if settings.batch == "all" and isinstance(model, Condensed):
            self.rows, self.condensed = _condensed(model, self.rows), True
        self.all = torch.arange(len(self.rows))
        size = len(self.rows) if settings.batch == "all" else settings.batch
        self.batches = Batches(self.rows.y, size, settings.mixing, self.noise)
        splits = data.further() if model.copied else []
        self.further = [
            Task(f"{key}, split {i}", copy.deepcopy(model), split, settings, noise, device)
            for i, split in enumerate(splits, 2)
        ]
        for task in self.further:
            task.total = self.total

    def index(self, t: int) -> Tensor:
        """Rows of batch t."""
        whole = self.batches.size == len(self.rows) and self.batches.mixing == "union"
        return self.all if whole else self.batches.index(t)


def _condensed(model: Condensed, rows: Batch) -> Batch:
    """Sufficient statistics of the rows; their sizes add up to those of the rows."""
    found = model.condense(rows.to(rows.device))
    share = torch.full((len(found),), 1 / len(found), dtype=torch.float64)
    return replace(found, y=found.y.cpu(), size=share * rows.size.sum())
