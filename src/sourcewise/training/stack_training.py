"""The training of stacked models, update by update; all of its state can be saved.

The rows of all matrices are the models asked for, then copies of those of them that have
further splits (see `Task`). A copy goes as far as its model does, and only its validation loss
matters.

What an update does follows from the state and from noise keyed by (seed, block, update): a run
taken up from a checkpoint equals one that was never interrupted, bit for bit on one machine.
"""

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from sourcewise.batch import Batch, chunks, joined
from sourcewise.errors import InputError, TrainingFailed
from sourcewise.families.base import ConditionalModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.training.averages import Averages
from sourcewise.training.checkpoint import SNAPSHOT
from sourcewise.training.looks import Best, look_gap
from sourcewise.training.optimizer import Adam, clip, rate
from sourcewise.training.parts import Part, parts
from sourcewise.training.processes import Processes
from sourcewise.training.resumed import check_tensors, checked_values
from sourcewise.training.stack import Stack, StepNoise
from sourcewise.training.task import Condensed, Outcome, Task

__all__ = ["StackTraining"]

DONE = ("updates", "best", "validation", "refused")  # of an outcome, plain values


class StackTraining:
    """The training of models that are stacked.

    Args:
        tasks: S models with equal shapes, all condensed or none.
        settings: of the family.
        device: where to train.
        processes: those that share each batch.
        shard: whether one model's parameters are spread over them.
        begun: whether training goes on from the weights of the models, and draws towards them.

    Attributes:
        tasks: of the models asked for, then of their copies.
        leader: of each task, the task that it helps to time.
        step: updates made.
        active: which tasks still train; the rows of all matrices.
        done: task to outcome, of models asked for.
    """

    LOSSES: ClassVar = ("loss", "condensed_loss")  # methods of a model that it calls

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: TrainedSettings,
        device: torch.device,
        processes: Processes,
        shard: bool = False,
        begun: bool = False,
    ):
        if tasks[0].model.whole_batches and (settings.microbatch or processes.count > 1):
            raise InputError(
                "these models look at whole batches: microbatch=0 is allowed, and one process "
                "for each model"
            )
        copies = [(i, task) for i, led in enumerate(tasks) for task in led.further]
        self.tasks = [*tasks, *(task for _, task in copies)]
        self.leader = [*range(len(tasks)), *(i for i, _ in copies)]
        self.settings, self.device, self.processes = settings, device, processes
        dtype = torch.float64 if settings.precision == "float64" else torch.float32
        self.sharded = shard and processes.count > 1 and len(self.tasks) == 1
        self.stack = self._stack(dtype)
        start = self.stack.flat.clone() if begun else None
        self.adam = Adam(self.stack.flat, settings, self.stack.matrices, start)
        self.averages = Averages(self.stack.flat, settings)
        for rows in self.averages.rows.values():  # they would remember where parameters started
            self._hold(rows)
        self.best = Best(self.stack.flat[: len(tasks)])
        self.step, self.active = 0, list(range(len(self.tasks)))
        self.done: dict[int, Outcome] = {}
        self._gather()

    def _stack(self, dtype: torch.dtype) -> Stack:
        models = [task.model for task in self.tasks]
        self.constrained = models[0].constrained
        if not self.sharded:
            return Stack(models, self.device, dtype)
        if self.constrained:
            raise InputError(
                "--shard: parameters of this family are held to a constraint, which takes "
                "them whole"
            )
        from sourcewise.training.sharded import ShardedStack

        return ShardedStack(models[0], self.device, dtype, self.processes, self.LOSSES)

    def _hold(self, matrix: Tensor) -> None:
        """Bring rows of parameters (S, P) back to where they are held, in place."""
        if self.settings.bound:
            matrix.clamp_(-self.settings.bound, self.settings.bound)
        if self.constrained:
            with torch.no_grad():
                self.stack.one.constrain(self.stack.named(matrix))

    def _gather(self) -> None:
        """The rows of all active tasks in one place, and where each model and its copies are."""
        self.places: dict[int, list[int]] = {}
        for s, i in enumerate(self.active):
            self.places.setdefault(self.leader[i], []).append(s)
        parts = [self.tasks[i] for i in self.active]
        self.rows = joined([task.rows for task in parts])
        counts = [0, *(len(task.rows) for task in parts[:-1])]
        self.start = torch.tensor(counts).cumsum(0)

    @property
    def led(self) -> list[int]:
        """The models asked for that still train; the first rows of all matrices."""
        return [i for i in self.active if self.leader[i] == i]

    @property
    def weights(self) -> Tensor:
        """(S, P) what is evaluated: the averaged weights, if there are such."""
        averaged = self.averages.evaluated
        return self.stack.flat if averaged is None else averaged

    def update(self) -> Tensor:
        """One step of all active models; the objectives of those asked for, (S,)."""
        tasks = [self.tasks[i] for i in self.active]
        if self.step == 0 and self.adam.start is not None:
            self._look_at(range(len(self.led)))
        self._advance(tasks)
        values = self.stack.descend(map(self._objective, self._parts(tasks)))
        self.processes.add(values, *([] if self.stack.summed else [self.stack.grad]))
        for value, task in zip(values.tolist(), tasks, strict=True):
            self._check("loss", value, task)
        if self.settings.clip:
            clip(self.stack.grad, self.stack.norms(), self.settings.clip)
        rates = [rate(self.settings, self.step, task.total) for task in tasks]
        lr = torch.tensor(rates, dtype=torch.float64).to(self.stack.flat)[:, None]
        self.step += 1
        self.adam.step(self.stack.flat, self.stack.grad, lr, self.step)
        self._hold(self.stack.flat)
        self.averages.update(self.stack.flat, self.step)
        return values[: len(self.led)]

    def _advance(self, tasks: Sequence[Task]) -> None:
        """Before an update of these tasks."""

    def _parts(self, tasks: Sequence[Task]) -> Iterator[Part]:
        """This step's batches, part by part."""
        whole = [task.index(self.step) for task in tasks]
        noise, key = [task.noise for task in tasks], ("step", self.step)
        most = self.settings.microbatch
        return parts(self.rows, whole, self.start, noise, key, self.processes, most)

    def _objective(self, part: Part) -> Callable[[ConditionalModel], Tensor]:
        """The function of the stacked model that gives what a part adds to the (S,) objectives."""
        weight = part.weight.to(self.stack.flat)

        def objective(model: ConditionalModel) -> Tensor:
            with self._autocast():
                loss = self._batch_loss(model, part.batch, part.noise)
            return (loss * weight).sum(-1).view(len(self.active))

        return objective

    def _batch_loss(self, model: ConditionalModel, batch: Batch, noise: StepNoise) -> Tensor:
        """(B,) or (S, B) of a batch of all active models."""
        if self.tasks[self.active[0]].condensed:
            return cast(Condensed, model).condensed_loss(batch, noise)
        return model.loss(batch, noise)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.settings.precision != "bfloat16":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _check(self, what: str, value: float, task: Task) -> None:
        """Raise if a value is not finite."""
        if not math.isfinite(value):
            self._refuse(what, task.key)

    def _refuse(self, what: str, key: str) -> None:
        s = self.settings
        raise TrainingFailed(
            f"the {what} of {key} is not finite at update {self.step} "
            f"(learning_rate={s.learning_rate:g}, clip={s.clip:g}, precision={s.precision}): try "
            f"--set learning_rate={s.learning_rate / 10:g}"
        )

    @property
    def due(self) -> bool:
        """Whether it is time to look at some model."""
        return any(self._due(i) for i in self.led)

    def _due(self, i: int) -> bool:
        """Of task i, as if alone: after its last update, and every `check`, later 2^j check."""
        last = self.step >= self.tasks[i].total
        return last or self.step % look_gap(self.step, self.settings.check) == 0

    def look(self) -> list[float | None]:
        """Validation losses of the models whose turn it is; notes the best weights so far."""
        return self._look_at([s for s, i in enumerate(self.led) if self._due(i)])

    def _look_at(self, chosen: Collection[int]) -> list[float | None]:
        """Of all models asked for that still train: None of those that are not chosen."""
        losses: list[float | None] = []
        for s, i in enumerate(self.led):
            rows = self.places[i]
            loss = self._validation_loss(rows, self.weights[rows]) if s in chosen else None
            losses.append(loss)
            if loss is None:
                continue
            self._check("validation loss", loss, self.tasks[i])
            if loss < self.best.losses[s]:
                self._note(s, loss)
        return losses

    def _note(self, s: int, loss: float) -> None:
        """The lowest loss so far, of weights that are kept if their losses can be believed."""
        rows = self.places[self.active[s]]
        if all(self._reliable(self.stack.member(row, self.weights)) for row in rows):
            self.best.note(s, loss, self.step, self.weights[s])
        else:
            self.best.refused[s] += 1

    def _reliable(self, model: ConditionalModel) -> bool:
        """Whether a model's loss can be believed."""
        return True

    def _validation_loss(self, rows: Sequence[int], weights: Tensor) -> float | None:
        """Of a model and its copies with such weights (N, P), each on its validation rows."""
        tasks = [self.tasks[self.active[s]] for s in rows]
        if not len(tasks[0].data.valid):
            return None
        total = 0.0
        for n, (s, task) in enumerate(zip(rows, tasks, strict=True)):
            total += self._validation_sum(self.stack.member(n, weights), s, task)
        return total / sum(float(task.data.valid.size.sum()) for task in tasks)

    def _validation_sum(self, model: ConditionalModel, s: int, task: Task) -> float:
        valid, most = task.data.valid, self.settings.microbatch
        known = {} if most else None
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, index in enumerate(chunks(valid.x)):
            noise = StepNoise([task.noise.of("validation", number)], [len(index)], known=known)
            for share in self.processes.shares(len(index), most):
                mine = index[share]
                rows = mine if len(mine) else index[:1]  # all call: the call may gather weights
                with torch.no_grad(), self._autocast():
                    loss = self._loss(model, s, valid.at(rows), noise.of_rows(share))
                total += loss[: len(mine)].double().sum()
        self.processes.add(total)
        return float(total)

    def _loss(self, model: ConditionalModel, s: int, batch: Batch, noise: StepNoise) -> Tensor:
        """(B,) of member s alone."""
        return model.loss(batch, noise)

    def retire(self) -> list[int]:
        """Take out the models that are done, with their best weights; which ones."""
        over = [
            s
            for s, i in enumerate(self.led)
            if self.step >= self.tasks[i].total
            or (self._due(i) and self.best.stale(s, self.step, self.settings))
        ]
        for s in over:
            self._choose_length(s)
            self.done[self.active[s]] = self._outcome(s)
        if over:
            rows = enumerate(self.active)
            self.keep([s for s, i in rows if self.leader[i] not in self.done])
        return over

    def _choose_length(self, s: int) -> None:
        """Take an average of another length near the best update of model s, if it is better."""
        places, best = self.places[self.active[s]], self.best
        if not best.found(s):
            return
        for _, t, weights in self.averages.afterwards(places, self.step, best.steps[s]):
            loss = self._validation_loss(places, weights)
            if loss is not None and loss < best.losses[s]:
                best.note(s, loss, t, weights[0])

    def _outcome(self, s: int) -> Outcome:
        """What model s leaves with."""
        best, looked = self.best, self.best.found(s)
        weights = (best.weights if looked else self.weights)[s].clone()
        if not bool(weights.isfinite().all()):  # its very last gradient was not
            self._refuse("weights", self.tasks[self.active[s]].key)
        return Outcome(
            weights,
            self.step,
            best.steps[s] if looked else None,
            best.losses[s] if looked else None,
            best.refused[s],
            self.averages.kept(s, best.steps[s] if looked else self.step),
        )

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the active models only, and with their copies."""
        asked_for = [s for s in rows if s < len(self.led)]
        self.active = [self.active[s] for s in rows]
        at = torch.tensor(rows, dtype=torch.int64, device=self.device)
        self.adam.keep(at)
        self.averages.keep(at)
        self.best.keep(asked_for, at[: len(asked_for)])
        if rows:
            self.stack.bind(self.stack.flat[at])
            self._gather()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that an interrupted training needs, as tensors and plain values.

        Tensors are of whole models, whoever holds the parts. All processes of a sharded training
        call it; the first one gets them.
        """
        best = self.best
        tensors = self._carried_on()
        for i, outcome in self.done.items():
            tensors[f"done/{i}"] = outcome.weights
            if len(outcome.averages):
                tensors[f"done averages/{i}"] = outcome.averages
        done = {str(i): {k: getattr(o, k) for k in DONE} for i, o in self.done.items()}
        values = {
            "step": self.step,
            "active": self.led,
            "best_loss": best.losses,
            "best_step": best.steps,
            "refused": best.refused,
            "done": done,
        }
        first = self.processes.first
        return {name: self.stack.whole(v, first) for name, v in tensors.items()}, values

    def check(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Raise a `ValueError` unless it is a state of this fresh training."""
        found = checked_values(values, len(self.led))
        if self.sharded:  # this process knows the shape of its own part only
            return
        counts = {"best": len(found.active)}
        rows = len(self._with_copies(found.active))
        wanted = {name: v[: counts.get(name, rows)] for name, v in self._carried_on().items()}
        wanted |= self.averages.wanted(tensors, self.stack.flat[:rows])
        for i in found.done:
            wanted |= self._left(i)
        more = [f"done averages/{i}" for i in found.done]
        if not found.active:  # nothing takes them up
            del wanted["flat"]
            more.append("flat")
        check_tensors(tensors, wanted, more)

    def _with_copies(self, led: Sequence[int]) -> list[int]:
        """All tasks that train as long as these models do."""
        return [i for i, leader in enumerate(self.leader) if leader in led]

    def _carried_on(self) -> dict[str, Tensor]:
        """Tensors of the state, of all tasks."""
        own = {"flat": self.stack.flat, "m": self.adam.m, "v": self.adam.v}
        return own | {"best": self.best.weights} | self.averages.tensors()

    def _left(self, i: int) -> dict[str, Tensor]:
        """Tensors like those that task i leaves."""
        return {f"done/{i}": self.stack.flat[0]}

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """The inverse of `state`, on a fresh training of the same tasks."""
        on, best = {name: self._part(name, v) for name, v in tensors.items()}, self.best
        self.step, self.active = values["step"], self._with_copies(values["active"])
        self.adam.keep(torch.tensor(self.active, dtype=torch.int64, device=self.device))
        best.losses = [math.inf if v is None else v for v in values["best_loss"]]
        best.steps, best.refused = list(values["best_step"]), list(values["refused"])
        self.done = {
            int(i): Outcome(
                on[f"done/{i}"],
                **outcome,
                averages=on.get(f"done averages/{i}", torch.empty(0)),
            )
            for i, outcome in values["done"].items()
        }
        self.adam.m, self.adam.v, best.weights = on["m"], on["v"], on["best"]
        self.averages.restore(on)
        if self.active:
            self.stack.bind(on["flat"])
            self._gather()

    def _part(self, name: str, tensor: Tensor) -> Tensor:
        """Of a tensor of the state what this process holds, where it holds it."""
        part = self.stack.part(tensor)
        return part.cpu() if name.startswith(SNAPSHOT) else part
