"""One model to train: its data and plan, and what it leaves with."""

import math
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import TrainingFailed
from sourcewise.families.base import Carried, Condensed, ConditionalModel, Judged, Staged
from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.training.data import Batches, TrainingData
from sourcewise.training.processes import Processes
from sourcewise.training.stack import StepNoise

__all__ = ["Outcome", "Task"]

JUDGED = 1024  # rows that a trained model is judged on, at most


@dataclass(frozen=True)
class Outcome:
    """What a model left with.

    Args:
        weights: (P,) its parameters; of a sharded run, this process's part.
        updates: the updates made.
        best: the update the weights are of; None if the last.
        validation: their validation loss, nats per unit; None without validation rows.
        refused: looks whose weights were not kept though their loss was the lowest: see
            `families.base.Judged`.
        carried: what a staged model carried beside its parameters at the end.
    """

    weights: Tensor
    updates: int
    best: int | None
    validation: float | None
    refused: int = 0
    carried: Carried = field(default_factory=dict)


class Task:
    """One model's data and plan, on the device.

    Args:
        key: names the block; its batches and noise depend on no other.
        model: untrained, already drawn.
        data: its rows.
        settings: of the family.
        noise: of the whole training.
        device: where to train.
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
        self.condensed = settings.batch == "all" and isinstance(model, Condensed)
        if self.condensed:
            self.rows = _condensed(cast(Condensed, model), self.data.train)
        else:
            self.rows = self.data.train
        self.all = torch.arange(len(self.rows))
        size = len(self.rows) if settings.batch == "all" else settings.batch
        self.batches = Batches(self.rows.y, size, settings.mixing, self.noise)

    def begin(self) -> Carried:
        """What a staged model carries from the beginning; nothing for others."""
        if not isinstance(self.model, Staged):
            return {}
        train = self.data.train
        return self.model.begin(train.to(train.device), self.noise.of("begin"))

    def excess(self, outcome: Outcome) -> float:
        """Of the model as it is now, over training rows of all sources; 0 if it cannot tell."""
        if not isinstance(self.model, Judged):
            return 0.0
        home, device = next(self.model.parameters()).device, outcome.weights.device
        self.model.to(device)
        n = len(self.data)
        index = torch.arange(0, n, math.ceil(n / JUDGED))
        noise = StepNoise([self.noise.of("judge")], [len(index)])
        excess = self.model.excess(self.data.train.at(index).to(device), outcome.carried, noise)
        self.model.to(home)
        return float(excess.double().mean())

    def judge(self, outcome: Outcome, start: float) -> None:
        """Raise if training failed though all was finite; `start` is the excess before it."""
        if not isinstance(self.model, Judged):
            return
        told = self.model.failure(start, self.excess(outcome))
        if told is not None:
            at = outcome.updates if outcome.best is None else outcome.best
            raise TrainingFailed(f"{self.key}, weights of update {at}: {told}")

    def send(self, processes: Processes, rank: int) -> None:
        """Give what `finish` found in process `rank` to all others, which wait for it."""
        if processes.count > 1 and isinstance(self.model, Staged):
            for buffer in self.model.buffers():
                buffer.data = buffer.double().contiguous()  # as it was found
                processes.send(buffer, rank)

    def finish(self, outcome: Outcome) -> None:
        """Let a staged model, its weights loaded, do what comes after training."""
        if isinstance(self.model, Staged):
            home, device = next(self.model.parameters()).device, outcome.weights.device
            carried = {name: v.to(device) for name, v in outcome.carried.items()}
            self.model.to(device)
            self.model.finish(self.data.train.to(device), carried, self.noise.of("finish"))
            self.model.to(home)

    def index(self, t: int) -> Tensor:
        """Rows of batch t."""
        whole = self.batches.size == len(self.rows) and self.batches.mixing == "union"
        return self.all if whole else self.batches.index(t)


def _condensed(model: Condensed, rows: Batch) -> Batch:
    """Sufficient statistics of the rows; their sizes add up to those of the rows."""
    found = model.condense(rows.to(rows.device))
    share = torch.full((len(found),), 1 / len(found), dtype=torch.float64)
    return replace(found, y=found.y.cpu(), size=share * rows.size.sum())
