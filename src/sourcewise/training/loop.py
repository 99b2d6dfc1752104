"""A stack of models from its last checkpoint to its end, with a log and progress."""

import time
from pathlib import Path

from sourcewise.execution import Execution
from sourcewise.stopping import postponed
from sourcewise.training.checkpoint import Checkpoints
from sourcewise.training.log import Log, tracker
from sourcewise.training.optimizer import rate
from sourcewise.training.recipes.base import Progress
from sourcewise.training.stack_training import StackTraining

__all__ = ["Count", "run_to_end", "wait_for"]


class Count:
    """Examples done of all, told a hundred times at most."""

    def __init__(self, progress: Progress | None, total: int):
        self.progress, self.total, self.done, self.percent = progress, total, 0, -1

    def show(self, done: int) -> None:
        """Tell that so many are done."""
        percent = 100 * done // max(self.total, 1)
        if self.progress is not None and percent > self.percent:
            self.progress(done, self.total)
            self.percent = percent


def run_to_end(
    training: StackTraining,
    folder: Path | None,
    identity: str,
    count: Count,
    execution: Execution,
) -> None:
    """Train to the end, from the last checkpoint if there is one."""
    kept = None if folder is None else Checkpoints(folder, identity)
    found = None if kept is None else kept.load(training.check)
    if found is not None:
        training.restore(*found)
    del found
    place = folder if training.processes.rank == 0 else None
    curves = tracker(execution.track, place) if training.active else None
    log = Log(place, training.step, curves)
    saved, start, processes = time.monotonic(), count.done, training.processes
    with postponed() as end:
        stops = False
        while training.active and not stops:
            values = training.update()
            log.add(values)
            stops = end.asked and processes.count == 1
            if training.due:
                stops = end.asked = processes.agreed(end.asked)  # all leave at one update
                _look(training, log)
                late = time.monotonic() - saved >= execution.checkpoint
                due = not training.active or late
                if _save(training, kept if due else None):
                    saved = time.monotonic()
            count.show(start + _seen(training))
        if stops and training.active:
            _save(training, kept)
    done = [training.tasks[i] for i in training.done]
    count.done = start + sum(task.total * task.batch for task in done)


def wait_for(training: StackTraining, folder: Path | None, identity: str) -> None:
    """Wait until another process has trained these models, and take them from its checkpoint."""
    assert folder is not None
    while training.active:
        exists = folder.exists()
        found = Checkpoints(folder, identity).load(training.check) if exists else None
        if found is not None and not found[1]["active"]:
            training.restore(*found)
        else:
            time.sleep(0.2)


def _save(training: StackTraining, kept: Checkpoints | None) -> bool:
    """Write a checkpoint; whether it was time. The first process knows and writes."""
    due = kept is not None and training.processes.first
    if training.sharded:  # all processes give their parts
        due = training.processes.agreed(due)
    if not due:
        return False
    state = training.state()
    if kept is not None and training.processes.first:
        kept.save(training.step, *state)
    return True


def _look(training: StackTraining, log: Log) -> None:
    losses, tasks = training.look(), [training.tasks[i] for i in training.led]
    step = training.step
    rows = [
        (step * task.batch, loss, rate(training.settings, step - 1, task.total))
        for task, loss in zip(tasks, losses, strict=True)
    ]
    log.look([task.key for task in tasks], step, rows)
    training.retire()


def _seen(training: StackTraining) -> int:
    """Examples that need no more training: seen, or spared by stopping early."""
    tasks = training.tasks
    spared = sum(tasks[i].total * tasks[i].batch for i in training.done)
    return spared + sum(training.step * tasks[i].batch for i in training.led)
