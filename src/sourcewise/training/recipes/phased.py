"""Training in phases: a beginning, gradient updates with something carried along, an end.

What a model carries through training beside its parameters (chains, a fitted noise distribution)
are tensors by name, of equal shapes in models that train as one stack, where they have a leading
axis S like the parameters. They are part of every checkpoint. The end comes after the weights are
chosen, in one process, which sends what it found to the others.

A training can fail though all its numbers are finite. A model tells so of the value of its
objective, and afterwards of how much worse its training rows are than under a model that knows
nothing, before training and after.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError, TrainingFailed
from sourcewise.families.base import BatchNoise, Carried, ConditionalModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.training.processes import Processes
from sourcewise.training.recipes.base import Effort
from sourcewise.training.recipes.gradient import Gradient
from sourcewise.training.stack import StepNoise
from sourcewise.training.stack_training import StackTraining
from sourcewise.training.task import Outcome, Task

__all__ = ["RECIPE", "Phased", "PhasedTraining"]

JUDGED = 1024  # rows that a trained model is judged on, at most
CARRIED, ENDED = "carried/", "ended/"  # names in a checkpoint


class Phased(Protocol):
    """What this recipe asks of a model."""

    def begin(self, rows: Batch, noise: Noise) -> Carried:
        """What training starts with, from all training rows."""
        ...

    def advance(self, carried: Carried, noise: BatchNoise) -> Carried:
        """The step before each update, under the parameters of the moment."""
        ...

    def carried_loss(self, batch: Batch, carried: Carried, noise: BatchNoise) -> Tensor:
        """(B,) as `loss`, with what is carried."""
        ...

    def finish(self, rows: Batch, carried: Carried, noise: Noise) -> None:
        """After training: whatever scoring and sampling need beside the parameters."""
        ...

    def reliable(self) -> bool:
        """Whether losses are those of these parameters, and not of what computes them."""
        ...

    def divergence(self, value: float) -> str | None:
        """What an objective of this value (maybe not finite) means, and what helps; None: fine."""
        ...

    def excess(self, batch: Batch, carried: Carried, noise: BatchNoise) -> Tensor:
        """(B,) of training rows: how much worse they are than under a model that knows nothing."""
        ...

    def divergence_of_fit(self, start: float, end: float) -> str | None:
        """What a mean excess before and after training means, and what helps; None: fine."""
        ...


def _phased(model: ConditionalModel) -> Phased:
    return cast(Phased, model)


class PhasedTraining(StackTraining):
    """The training of stacked models with what they carry.

    Attributes:
        carried: of the active models, each with a leading axis S.
        ended: task to what its model carried at the end.
    """

    LOSSES: ClassVar = ("carried_loss",)

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
        self.ended: dict[int, Carried] = {}
        parts = [_begun(task) for task in self.tasks]
        if self.sharded and parts[0]:
            raise InputError(
                "--shard: this training carries state beside the parameters (chains, a "
                "noise distribution), which cannot be spread"
            )
        kind = self.stack.flat.dtype
        self.carried: Carried = {
            name: torch.stack([part[name] for part in parts]).to(device, kind) for name in parts[0]
        }

    def _taken(self) -> Carried:
        """As a model takes it: without the axis S if it is one."""
        return self.carried if len(self.stack) > 1 else {n: v[0] for n, v in self.carried.items()}

    def _advance(self, tasks: Sequence[Task]) -> None:
        """Every process does the same."""
        noise = StepNoise([task.noise.of("advance", self.step) for task in tasks], [])
        if self.carried:
            moved = _phased(self.stack.model).advance(self._taken(), noise)
            several = len(tasks) > 1
            self.carried = {name: v if several else v[None] for name, v in moved.items()}

    def _batch_loss(self, model: ConditionalModel, batch: Batch, noise: StepNoise) -> Tensor:
        return _phased(model).carried_loss(batch, self._taken(), noise)

    def _loss(self, model: ConditionalModel, s: int, batch: Batch, noise: StepNoise) -> Tensor:
        carried = {name: v[s] for name, v in self.carried.items()}
        return _phased(model).carried_loss(batch, carried, noise)

    def _check(self, what: str, value: float, task: Task) -> None:
        """Raise also if the model says that the value of its objective means divergence."""
        if what == "loss" or not math.isfinite(value):
            text = _phased(task.model).divergence(value)
            if text is not None:
                raise TrainingFailed(f"{task.key}, update {self.step}: {text}")
        super()._check(what, value, task)

    def _reliable(self, model: ConditionalModel) -> bool:
        return _phased(model).reliable()

    def _outcome(self, s: int) -> Outcome:
        self.ended[self.active[s]] = {name: v[s].clone() for name, v in self.carried.items()}
        return super()._outcome(s)

    def keep(self, rows: Sequence[int]) -> None:
        """See `StackTraining.keep`."""
        super().keep(rows)
        at = torch.tensor(rows, dtype=torch.int64, device=self.device)
        self.carried = {name: v[at] for name, v in self.carried.items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `StackTraining.state`; what is carried is whole everywhere."""
        tensors, values = super().state()
        tensors |= {CARRIED + name: v.cpu() for name, v in self.carried.items()}
        for i, carried in self.ended.items():
            tensors |= {f"{ENDED}{i}/{name}": v.cpu() for name, v in carried.items()}
        return tensors, values

    def _carried_on(self) -> dict[str, Tensor]:
        carried = {CARRIED + name: v for name, v in self.carried.items()}
        return super()._carried_on() | carried

    def _left(self, i: int) -> dict[str, Tensor]:
        carried = {f"{ENDED}{i}/{name}": v[0] for name, v in self.carried.items()}
        return super()._left(i) | carried

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """See `StackTraining.restore`."""
        own = {n: v for n, v in tensors.items() if n.startswith((CARRIED, ENDED))}
        super().restore({n: v for n, v in tensors.items() if n not in own}, values)
        on = {name: v.to(self.device) for name, v in own.items()}
        self.carried = _under(on, CARRIED)
        self.ended = {int(i): _under(on, f"{ENDED}{i}/") for i in values["done"]}


class PhasedGradient(Gradient):
    """Gradient training with a beginning, something carried along, and an end."""

    training: ClassVar[type[StackTraining]] = PhasedTraining

    def conclude(self, training: StackTraining, s: int, how: str, own: bool) -> Effort:
        """Judge the model that comes of task s, and let it finish."""
        assert isinstance(training, PhasedTraining)
        task, outcome, carried = training.tasks[s], training.done[s], training.ended[s]
        task.model.to(outcome.weights.dtype)
        start = _excess(task, carried, training.device)  # as it was drawn
        effort = super().conclude(training, s, how, own)
        end = _excess(task, carried, training.device)
        text = _phased(task.model).divergence_of_fit(start, end)
        if text is not None:
            at = outcome.updates if outcome.best is None else outcome.best
            raise TrainingFailed(f"{task.key}, weights of update {at}: {text}")
        if own:
            home = next(task.model.parameters()).device
            task.model.to(training.device)
            rows = task.data.train.to(training.device)
            _phased(task.model).finish(rows, carried, task.noise.of("finish"))
            task.model.to(home)
        return effort

    def share(
        self, models: Sequence[ConditionalModel], owner: dict[int, int], processes: Processes
    ) -> None:
        """Send what `finish` found; a failure is everyone's, so that all come this far or none."""
        if processes.count > 1:
            for i, model in enumerate(models):
                for buffer in model.buffers():
                    buffer.data = buffer.double().contiguous()  # as it was found
                    processes.send(buffer, owner[i])

    def begin(self, model: ConditionalModel, rows: Batch, noise: Noise) -> Carried:
        """See `Recipe.begin`; in the precision of the parameters."""
        dtype = next(model.parameters()).dtype
        begun = _phased(model).begin(rows, noise)
        return {name: v.to(dtype) for name, v in begun.items()}

    def advance(self, model: ConditionalModel, carried: Carried, noise: BatchNoise) -> Carried:
        """See `Recipe.advance`."""
        return _phased(model).advance(carried, noise) if carried else carried

    def loss(
        self, model: ConditionalModel, batch: Batch, carried: Carried, noise: BatchNoise
    ) -> Tensor:
        """See `Recipe.loss`."""
        return _phased(model).carried_loss(batch, carried, noise)

    def finish(self, model: ConditionalModel, rows: Batch, carried: Carried, noise: Noise) -> None:
        """See `Recipe.finish`."""
        _phased(model).finish(rows, carried, noise)


def _begun(task: Task) -> Carried:
    rows = task.data.train
    return _phased(task.model).begin(rows.to(rows.device), task.noise.of("begin"))


def _excess(task: Task, carried: Carried, device: torch.device) -> float:
    """Of the model as it is now, over training rows of all sources."""
    home, n = next(task.model.parameters()).device, len(task.data)
    task.model.to(device)
    index = torch.arange(0, n, math.ceil(n / JUDGED))
    noise = StepNoise([task.noise.of("judge")], [len(index)])
    excess = _phased(task.model).excess(task.data.train.at(index), carried, noise)
    task.model.to(home)
    return float(excess.double().mean())


def _under(tensors: Carried, place: str) -> Carried:
    """Those whose names begin with a place, without it."""
    return {n.removeprefix(place): v for n, v in tensors.items() if n.startswith(place)}


RECIPE = PhasedGradient()
