"""The training of stacked models, update by update; all of its state can be saved.

What an update does follows from the state and from noise keyed by (seed, block, update): a run
taken up from a checkpoint equals one that was never interrupted, bit for bit on one machine.
"""

import contextlib
import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sourcewise.batch import Batch, chunks, joined
from sourcewise.errors import InputError, TrainingFailed
from sourcewise.families.base import Carried, ConditionalModel, Judged, Staged
from sourcewise.families.settings import TrainedSettings
from sourcewise.training.optimizer import Adam, average, clip, rate
from sourcewise.training.processes import Processes
from sourcewise.training.stack import Stack, StepNoise
from sourcewise.training.task import Outcome, Task

__all__ = ["Run"]

LOOKS = 5  # without improvement, at least, before a model stops early


def look_gap(step: int, check: int) -> int:
    """Updates between looks: `check`, doubled whenever it is 1/64 of the updates so far.

    >>> [look_gap(step, 10) for step in (10, 630, 640, 1279, 1280)]
    [10, 10, 20, 20, 40]
    """
    return check << max(0, (step // (32 * check)).bit_length() - 1)


class Run:
    """The training of models that are stacked.

    Args:
        tasks: S models with equal shapes, all condensed or none.
        settings: of the family.
        device: where to train.
        processes: those that share each batch.

    Attributes:
        step: updates made.
        active: which tasks still train; the rows of all matrices.
        done: task to outcome.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: TrainedSettings,
        device: torch.device,
        processes: Processes,
    ):
        self.tasks, self.settings, self.device, self.processes = tasks, settings, device, processes
        dtype = torch.float64 if settings.precision == "float64" else torch.float32
        self.sharded = settings.shard and processes.count > 1 and len(tasks) == 1
        self.stack = self._stack(dtype)
        flat = self.stack.flat
        self.adam = Adam(flat, settings, self.stack.matrices)
        self.ema = flat.clone() if settings.ema else None
        if settings.bound and self.ema is not None:  # it would remember where parameters started
            self.ema.clamp_(-settings.bound, settings.bound)
        self.step, self.active = 0, list(range(len(tasks)))
        self.done: dict[int, Outcome] = {}
        self.best = flat.clone()
        self.best_loss = [math.inf] * len(tasks)
        self.best_step = [0] * len(tasks)
        self.refused = [0] * len(tasks)
        self.carried = self._begin(dtype)
        self._gather()

    def _stack(self, dtype: torch.dtype) -> Stack:
        models = [task.model for task in self.tasks]
        if not self.sharded:
            return Stack(models, self.device, dtype)
        from sourcewise.training.sharded import ShardedStack

        return ShardedStack(models[0], self.device, dtype, self.processes)

    def _begin(self, dtype: torch.dtype) -> Carried:
        """What the models carry, with a leading axis S."""
        parts = [task.begin() for task in self.tasks]
        if self.sharded and parts[0]:
            raise InputError(
                "setting shard: this training carries state beside the parameters (chains, a "
                "noise distribution), which cannot be spread: shard=false"
            )
        return {
            name: torch.stack([part[name] for part in parts]).to(self.device, dtype)
            for name in parts[0]
        }

    def _taken(self) -> Carried:
        """As a model takes it: without the axis S if it is one."""
        return self.carried if len(self.stack) > 1 else {n: v[0] for n, v in self.carried.items()}

    def _gather(self) -> None:
        """The rows of all active tasks in one place."""
        parts = [self.tasks[i] for i in self.active]
        self.rows = joined([task.rows for task in parts])
        counts = [0, *(len(task.rows) for task in parts[:-1])]
        self.start = torch.tensor(counts).cumsum(0)

    @property
    def weights(self) -> Tensor:
        """(S, P) what is evaluated: the averaged weights, if there are such."""
        return self.stack.flat if self.ema is None else self.ema

    def update(self) -> Tensor:
        """One step of all active models; their objectives, (S,)."""
        tasks = [self.tasks[i] for i in self.active]
        if self.carried:
            self._advance(tasks)
        values = self.stack.descend(self._objective(tasks))
        self.processes.add(values, *([] if self.stack.summed else [self.stack.grad]))
        for value, task in zip(values.tolist(), tasks, strict=True):
            if self.carried or not math.isfinite(value):
                self._check("loss", value, task)
        if self.settings.clip:
            clip(self.stack.grad, self.stack.norms(), self.settings.clip)
        rates = [rate(self.settings, self.step, task.total) for task in tasks]
        lr = torch.tensor(rates, dtype=torch.float64).to(self.stack.flat)[:, None]
        self.step += 1
        self.adam.step(self.stack.flat, self.stack.grad, lr, self.step)
        if self.settings.bound:
            self.stack.flat.clamp_(-self.settings.bound, self.settings.bound)
        if self.ema is not None:
            average(self.ema, self.stack.flat, self.settings.ema, self.step)
        return values

    def _advance(self, tasks: Sequence[Task]) -> None:
        """The step before an update; every process does the same."""
        noise = StepNoise([task.noise.of("advance", self.step) for task in tasks], [])
        model = cast(Staged, self.stack.model)
        moved = model.advance(self._taken(), noise)
        several = len(tasks) > 1
        self.carried = {name: v if several else v[None] for name, v in moved.items()}

    def _objective(self, tasks: Sequence[Task]) -> Any:
        """The function of the stacked model that gives (S,) objectives of this step's batches."""
        whole = [task.index(self.step) for task in tasks]
        lengths = torch.tensor([len(i) for i in whole])[:, None]
        index = pad_sequence(whole, batch_first=True) + self.start[:, None]  # (S, B)
        inside = torch.arange(index.shape[1]) < lengths
        weight = inside / (self.rows.size[index] * inside).sum(1, keepdim=True)
        index, weight = index[:, self.processes.share], weight[:, self.processes.share]
        if not index.shape[1]:  # a process without rows calls too: the call may gather weights
            index, weight = self.start[:, None], weight.new_zeros(len(whole), 1)
        weight = weight.to(self.stack.flat)
        if len(tasks) == 1:
            index, weight = index[0], weight[0]
        batch = self.rows.at(index)
        noise = StepNoise(
            [task.noise for task in tasks],
            [len(i) for i in whole],
            self.processes.share,
            ("step", self.step),
        )
        name = "condensed_loss" if tasks[0].condensed else "loss"
        name, more = ("carried_loss", [self._taken()]) if self.carried else (name, [])

        def objective(model: ConditionalModel) -> Tensor:
            with self._autocast():
                loss = getattr(model, name)(batch, *more, noise=noise)
            return (loss * weight).sum(-1).view(len(tasks))

        return objective

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.settings.precision != "bfloat16":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _check(self, what: str, value: float, task: Task) -> None:
        """Raise if a value is not finite, or is what the model calls a failure."""
        judged = what == "loss" or not math.isfinite(value)
        told = None
        if judged and isinstance(task.model, Staged):
            told = task.model.complaint(value)
        if told is not None:
            raise TrainingFailed(f"{task.key}, update {self.step}: {told}")
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
        return any(self._due(i) for i in self.active)

    def _due(self, i: int) -> bool:
        """Of task i, as if alone: after its last update, and every `check`, later 2^j check."""
        last = self.step >= self.tasks[i].total
        return last or self.step % look_gap(self.step, self.settings.check) == 0

    def look(self) -> list[float | None]:
        """Validation losses of the models whose turn it is; notes the best weights so far."""
        losses: list[float | None] = []
        for s, i in enumerate(self.active):
            loss = self._validation_loss(s, self.tasks[i]) if self._due(i) else None
            losses.append(loss)
            if loss is None:
                continue
            self._check("validation loss", loss, self.tasks[i])
            if loss < self.best_loss[s]:
                self._note(s, loss)
        return losses

    def _note(self, s: int, loss: float) -> None:
        """The lowest loss so far, of weights that are kept if their losses can be believed."""
        model = self.stack.member(s, self.weights)
        if isinstance(model, Judged) and not model.reliable():
            self.refused[s] += 1
            return
        self.best_loss[s], self.best_step[s] = loss, self.step
        self.best[s] = self.weights[s]

    def _validation_loss(self, s: int, task: Task) -> float | None:
        valid = task.data.valid
        if not len(valid):
            return None
        model, share = self.stack.member(s, self.weights), self.processes.share
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        with torch.no_grad(), self._autocast():
            for number, index in enumerate(chunks(valid.x)):
                noise = StepNoise([task.noise.of("validation", number)], [len(index)], share)
                mine = index[share]
                rows = mine if len(mine) else index[:1]  # all call: the call may gather weights
                loss = self._loss(model, s, valid.at(rows), noise).double()
                total += loss[: len(mine)].sum()
        self.processes.add(total)
        return float(total) / float(valid.size.sum())

    def _loss(self, model: ConditionalModel, s: int, batch: Batch, noise: StepNoise) -> Tensor:
        """(B,) of member s, with what it carries."""
        if not self.carried:
            return model.loss(batch, noise)
        carried = {name: v[s] for name, v in self.carried.items()}
        return cast(Staged, model).carried_loss(batch, carried, noise)

    def retire(self) -> list[int]:
        """Take out the models that are done, with their best weights; which ones."""
        over = [
            s
            for s, i in enumerate(self.active)
            if self.step >= self.tasks[i].total or (self._due(i) and self._stale(s))
        ]
        for s in over:
            looked = math.isfinite(self.best_loss[s])
            weights = (self.best if looked else self.weights)[s].clone()
            if not bool(weights.isfinite().all()):  # its very last gradient was not
                self._refuse("weights", self.tasks[self.active[s]].key)
            best = self.best_step[s] if looked else None
            loss = self.best_loss[s] if looked else None
            carried = {name: v[s].clone() for name, v in self.carried.items()}
            self.done[self.active[s]] = Outcome(
                weights, self.step, best, loss, self.refused[s], carried
            )
        if over:
            self.keep([s for s in range(len(self.active)) if s not in over])
        return over

    def _stale(self, s: int) -> bool:
        """Whether model s has waited long enough for its validation loss to improve."""
        wait = max(self.settings.patience * self.step, LOOKS * self.settings.check)
        looks = self.settings.patience > 0 and math.isfinite(self.best_loss[s])
        return looks and self.step - self.best_step[s] >= wait

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the active models only."""
        self.active = [self.active[s] for s in rows]
        at = torch.tensor(rows, dtype=torch.int64, device=self.device)
        self.adam.m, self.adam.v = self.adam.m[at], self.adam.v[at]
        self.best, self.ema = self.best[at], None if self.ema is None else self.ema[at]
        self.carried = {name: v[at] for name, v in self.carried.items()}
        self.best_loss = [self.best_loss[s] for s in rows]
        self.best_step = [self.best_step[s] for s in rows]
        self.refused = [self.refused[s] for s in rows]
        if rows:
            self.stack.bind(self.stack.flat[at])
            self._gather()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that an interrupted run needs, as tensors and plain values.

        Tensors are of whole models, whoever holds the parts. All processes of a sharded run call
        it; the first one gets them.
        """
        tensors = {"flat": self.stack.flat, "m": self.adam.m, "v": self.adam.v, "best": self.best}
        if self.ema is not None:
            tensors["ema"] = self.ema
        tensors |= {f"done/{i}": outcome.weights for i, outcome in self.done.items()}
        plain = {f"carried/{name}": v for name, v in self.carried.items()}
        for i, outcome in self.done.items():
            plain |= {f"carried/{i}/{name}": v for name, v in outcome.carried.items()}
        kept = ("updates", "best", "validation", "refused")
        done = {str(i): {k: getattr(o, k) for k in kept} for i, o in self.done.items()}
        values = {
            "step": self.step,
            "active": self.active,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "refused": self.refused,
            "done": done,
        }
        first = self.processes.first
        whole = {name: self.stack.whole(v, first) for name, v in tensors.items()}
        return whole | {name: v.cpu() for name, v in plain.items()}, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """The inverse of `state`, on a fresh run of the same tasks."""
        carried = {
            name.removeprefix("carried/"): v.to(self.device)
            for name, v in tensors.items()
            if name.startswith("carried/")
        }
        on = {n: self.stack.part(v) for n, v in tensors.items() if not n.startswith("carried/")}
        self.carried = {name: v for name, v in carried.items() if "/" not in name}
        self.step, self.active = values["step"], list(values["active"])
        self.best_loss = [math.inf if v is None else v for v in values["best_loss"]]
        self.best_step = list(values["best_step"])
        self.refused = list(values["refused"])
        self.done = {
            int(i): Outcome(on[f"done/{i}"], **outcome, carried=_under(carried, i))
            for i, outcome in values["done"].items()
        }
        self.adam.m, self.adam.v, self.best = on["m"], on["v"], on["best"]
        self.ema = on.get("ema")
        if self.active:
            self.stack.bind(on["flat"])
            self._gather()


def _under(tensors: Carried, place: str) -> Carried:
    """Those whose names begin with `place/`, without it."""
    start = f"{place}/"
    return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}
