"""Gradient training of the models of a partition: at the same time where they can be stacked.

One loop serves all: a batch of each model, one objective per model,

    sum over the batch of loss / sum over the batch of sizes,

one step of Adam on the rows of a matrix (`training.stack`), a look at the validation rows every
`check` updates (every 1/64 to 1/32 of them later on). A model is done when its planned updates are
over or its validation loss has not improved for a share `patience` of its updates; it leaves with
its best weights, and the others go on. A fixed patience would stop the models of large sources too
soon, or those of small ones late.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch

from sourcewise.errors import InputError
from sourcewise.families.base import ConditionalModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.forms import content
from sourcewise.randomness import Noise
from sourcewise.training import checkpoint
from sourcewise.training.data import TrainingData
from sourcewise.training.log import Log, tracker
from sourcewise.training.memory import keep_freed_memory
from sourcewise.training.optimizer import rate
from sourcewise.training.processes import Processes, deal_out
from sourcewise.training.run import Run
from sourcewise.training.stack import alike
from sourcewise.training.task import Task

__all__ = ["Effort", "Member", "train"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Effort:
    """What training cost: the fair-budget columns of every table.

    Args:
        examples_seen: training examples processed, repeats counted.
        updates: gradient steps; 0 for an exact solution.
        best: the update whose weights were kept, None if they are the last.
        validation: their loss on the validation rows, nats per unit; None without such rows.
        how: what it was trained with, in words.
        refused: looks with a lower loss, that could not be relied on: see `families.base.Judged`.
    """

    examples_seen: int
    updates: int
    best: int | None = None
    validation: float | None = None
    how: str = "exact"
    refused: int = 0


@dataclass(frozen=True)
class Member:
    """One model to train.

    Args:
        names: its sources.
        model: trained in place.
        data: its rows, sources numbered within it.
    """

    names: tuple[str, ...]
    model: ConditionalModel
    data: TrainingData

    @property
    def key(self) -> str:
        """Names the block in noise and files."""
        return "+".join(name.replace("+", "++") for name in self.names)


def train(
    members: Sequence[Member],
    settings: TrainedSettings,
    noise: Noise,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> list[Effort]:
    """Draw and train the models of all members in place; see `fit`."""
    keep_freed_memory()
    device, processes = _device(settings.device), Processes.found()
    for member in members:
        if not len(member.data):
            raise InputError(f"no training rows for {member.key}")
        member.model.reset(noise.of("block", member.key, "start"))
    tasks = [Task(m.key, m.model, m.data, settings, noise, device) for m in members]
    count = _Count(progress, sum(task.total * task.batch for task in tasks))
    shares, mine = _shares(tasks, settings, processes, folder)
    together = processes if len(shares) == 1 else Processes()
    finishers = _finishers(shares, processes)
    efforts: dict[int, Effort] = {}
    for rank in sorted(range(len(shares)), key=lambda rank: rank != mine):  # its own share first
        for group, how in _groups(members, shares[rank], settings, processes):
            place = None if folder is None else folder / _name([members[i] for i in group])
            run = Run([tasks[i] for i in group], settings, device, together)
            identity = _identity(members, group, settings, noise)
            if rank == mine:
                _run(run, place, identity, count)
            else:
                _await(run, place, identity)
            for s, i in enumerate(group):
                efforts[i] = _unload(run, s, members[i].model, tasks[i], how)
                if finishers[i] == processes.rank:
                    tasks[i].finish(run.done[s])
    for i, task in enumerate(tasks):  # when all are judged: a failure is everyone's
        task.send(processes, finishers[i])
    return [efforts[i] for i in range(len(members))]


def _shares(
    tasks: Sequence[Task], settings: TrainedSettings, processes: Processes, folder: Path | None
) -> tuple[list[list[int]], int]:
    """The tasks that each process trains alone, and which share is this one's.

    There is one share, and all processes work on each batch of it, where there are fewer models
    than processes, where a model is sharded, and where no folder can tell that a model is done.
    """
    sharded = settings.shard and processes.count > 1
    if folder is None or sharded or not 1 < processes.count <= len(tasks):
        return [list(range(len(tasks)))], 0
    costs = [task.total * task.batch for task in tasks]
    return deal_out(costs, processes.count), processes.rank


def _finishers(shares: Sequence[Sequence[int]], processes: Processes) -> dict[int, int]:
    """The process that does what comes after training, of each task: who trained it alone, or
    the next in turn."""
    dealt = len(shares) > 1
    return {
        i: rank if dealt else i % processes.count for rank, mine in enumerate(shares) for i in mine
    }


def _unload(run: Run, s: int, model: ConditionalModel, task: Task, how: str) -> Effort:
    """Write the outcome of task s of a run into its model, and judge it."""
    outcome = run.done[s]
    model.to(outcome.weights.dtype)
    start = task.excess(outcome)  # as it was drawn
    run.stack.unload(outcome.weights, model)
    task.judge(outcome, start)
    seen = outcome.updates * task.batch
    return Effort(seen, outcome.updates, outcome.best, outcome.validation, how, outcome.refused)


def _await(run: Run, folder: Path | None, identity: str) -> None:
    """Wait until another process has trained these models, and take them from its checkpoint."""
    assert folder is not None
    while run.active:
        found = checkpoint.load(folder, identity) if folder.exists() else None
        if found is not None and not found[1]["active"]:
            run.restore(*found)
        else:
            time.sleep(0.2)


def _groups(
    members: Sequence[Member],
    share: Sequence[int],
    settings: TrainedSettings,
    processes: Processes,
) -> Iterator[tuple[list[int], str]]:
    """Which members of a process's share train as one stack, and how, in words."""
    if settings.shard and processes.count > 1:
        how = f"gradient, sharded over {processes.count} processes"
        yield from (([i], how) for i in share)
        return
    note = ", not sharded: one process" if settings.shard else ""
    for group, how in _stacks(members, share, settings):
        yield group, how + note


def _stacks(
    members: Sequence[Member], share: Sequence[int], settings: TrainedSettings
) -> Iterator[tuple[list[int], str]]:
    """Members of equal size as one stack, if that is wanted."""
    left = list(share)
    while left:
        first = members[left[0]].model
        group = [i for i in left if alike(first, members[i].model)]
        if not (settings.stacked and first.stackable):
            group = group[:1]
        left = [i for i in left if i not in group]
        if len(group) > 1:
            yield group, f"gradient, {len(group)} models at once"
        elif len(members) > 1 and settings.stacked and not first.stackable:
            yield group, "gradient, one after another: this family cannot be stacked"
        elif len(members) > 1 and settings.stacked:
            yield group, "gradient, alone: no other block is of its size"
        else:
            yield group, "gradient"


def _run(run: Run, folder: Path | None, identity: str, count: "_Count") -> None:
    """Train to the end, from the last checkpoint if there is one."""
    found = None if folder is None else checkpoint.load(folder, identity)
    if found is not None:
        run.restore(*found)
    place = folder if run.processes.rank == 0 else None
    log = Log(place, run.step, tracker(run.settings.track, place) if run.active else None)
    saved, start = time.monotonic(), count.done
    while run.active:
        values = run.update()
        log.add(values)
        if run.due:
            _look(run, log)
            due = not run.active or time.monotonic() - saved >= run.settings.checkpoint
            if _save(run, folder if due else None, identity):
                saved = time.monotonic()
        count.show(start + _seen(run))
    count.done = start + _planned(run)


def _save(run: Run, folder: Path | None, identity: str) -> bool:
    """Write a checkpoint; whether it was time. The first process knows and writes."""
    due = folder is not None and run.processes.first
    if run.sharded:  # all processes give their parts
        due = run.processes.agreed(due)
    if not due:
        return False
    state = run.state()
    if folder is not None and run.processes.first:
        checkpoint.save(folder, run.step, *state, identity)
    return True


def _look(run: Run, log: Log) -> None:
    losses, tasks = run.look(), [run.tasks[i] for i in run.active]
    rows = [
        (run.step * task.batch, loss, rate(run.settings, run.step - 1, task.total))
        for task, loss in zip(tasks, losses, strict=True)
    ]
    log.look([task.key for task in tasks], run.step, rows)
    run.retire()


def _seen(run: Run) -> int:
    """Examples that need no more training: seen, or spared by stopping early."""
    spared = sum(run.tasks[i].total * run.tasks[i].batch for i in run.done)
    return spared + sum(run.step * run.tasks[i].batch for i in run.active)


def _planned(run: Run) -> int:
    return sum(task.total * task.batch for task in run.tasks)


class _Count:
    """Examples done of all, told a hundred times at most."""

    def __init__(self, progress: Progress | None, total: int):
        self.progress, self.total, self.done, self.told = progress, total, 0, -1

    def show(self, done: int) -> None:
        percent = 100 * done // max(self.total, 1)
        if self.progress is not None and percent > self.told:
            self.progress(done, self.total)
            self.told = percent


def _device(name: str) -> torch.device:
    if name == "auto":
        local = os.environ.get("LOCAL_RANK", "0")  # torchrun: a GPU for each process
        return torch.device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"no device {name!r} (allowed: auto, cpu, cuda, cuda:0, ...)") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r}: no GPU is there (allowed: auto, cpu)")
    return device


def _name(members: Sequence[Member]) -> str:
    """A folder's name for a group of blocks."""
    text = "|".join(member.key for member in members)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _identity(
    members: Sequence[Member], group: Sequence[int], settings: TrainedSettings, noise: Noise
) -> str:
    """32 digits that change with the data, the settings and the noise of a group."""
    digest = blake2b(repr((settings, noise)).encode(), digest_size=16)
    for i in group:
        digest.update(members[i].key.encode())
        for rows in (members[i].data.train, members[i].data.valid):
            for part in (rows.x, rows.y, rows.size, rows.c):
                for chunk in () if part is None else content(part):
                    digest.update(chunk)
    return digest.hexdigest()
