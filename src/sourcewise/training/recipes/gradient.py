"""One phase of gradient training on `loss`: models of a partition at the same time where they can.

One loop serves all: a batch of each model, one objective per model,

    sum over the batch of loss / sum over the batch of sizes,

one step of Adam on the rows of a matrix (`training.stack`), a look at the validation rows every
`check` updates (every 1/64 to 1/32 of them later on). A model is done when its planned updates are
over or its validation loss has not improved for a share `patience` of its updates; it leaves with
its best weights, and the others go on. A fixed patience would stop the models of large sources too
soon, or those of small ones late.

With `batch=all` a model may offer sufficient statistics in place of its rows (`Condensed`).
Training may go on from weights that models have already. They are then looked at before the first
update, as others after it, and draw towards themselves (`training.optimizer.Adam`).

Parameters may be held to a constraint after each update (`ConditionalModel.constrain`), and
several averages of the weights kept beside them (`TrainedSettings.kept_averages`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from sourcewise.errors import InputError
from sourcewise.execution import Execution, device_of
from sourcewise.families.base import ConditionalModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.training.grouping import (
    folder_name,
    groups,
    identity_of,
    owners,
    shares_of,
)
from sourcewise.training.loop import Count, run_to_end, wait_for
from sourcewise.training.memory import keep_freed_memory
from sourcewise.training.processes import Processes
from sourcewise.training.recipes.base import Effort, Member, Progress, Recipe
from sourcewise.training.stack_training import StackTraining
from sourcewise.training.task import Task

__all__ = ["RECIPE", "Gradient", "trained_settings"]


def trained_settings(settings: Settings | None, model: ConditionalModel) -> TrainedSettings:
    """Settings that say how to train."""
    if not isinstance(settings, TrainedSettings):
        raise TypeError(f"{type(model).__name__} does not say how it is trained")
    return settings


class Gradient(Recipe):
    """See the module.

    Attributes:
        training: the class of what trains a stack.
    """

    training: ClassVar[type[StackTraining]] = StackTraining

    def train(
        self,
        members: Sequence[Member],
        settings: Settings | None,
        noise: Noise,
        execution: Execution | None = None,
        progress: Progress | None = None,
        folder: Path | None = None,
    ) -> list[Effort]:
        """See `Recipe.train`."""
        settings = trained_settings(settings, members[0].model)
        keep_freed_memory()
        where = execution or Execution()
        device, processes = device_of(where.device), Processes.found()
        begun = members[0].begun
        settings = settings.of_tuning() if begun else settings
        for member in members:
            if not len(member.data):
                raise InputError(f"no training rows for {member.key}")
            if not begun:
                member.model.reset(noise.of("block", member.key, "start"))
        tasks = [Task(m.key, m.model, m.data, settings, noise, device) for m in members]
        count = Count(progress, sum(task.total * task.batch for task in tasks))
        shares, mine = shares_of(tasks, where, processes, folder)
        together = processes if len(shares) == 1 else Processes()
        owner = owners(shares, processes)
        efforts: dict[int, Effort] = {}
        for rank in sorted(range(len(shares)), key=lambda rank: rank != mine):  # its own first
            for group, how in groups(members, shares[rank], where, processes):
                some = [members[i] for i in group]
                place = None if folder is None else folder / folder_name(some)
                own_tasks = [tasks[i] for i in group]
                training = self.training(own_tasks, settings, device, together, where.shard, begun)
                identity = identity_of(some, settings, noise)
                if rank == mine:
                    run_to_end(training, place, identity, count, where)
                else:
                    wait_for(training, place, identity)
                for s, i in enumerate(group):
                    own = owner[i] == processes.rank
                    efforts[i] = self.conclude(training, s, how, own)
        self.share([task.model for task in tasks], owner, processes)
        return [efforts[i] for i in range(len(members))]

    def conclude(self, training: StackTraining, s: int, how: str, own: bool) -> Effort:
        """Write the outcome of task s into its model.

        Args:
            training: that is over.
            s: the number of the task.
            how: it was trained, in words.
            own: whether this process does what comes after training.
        """
        task, outcome = training.tasks[s], training.done[s]
        model, stack = task.model, training.stack
        averages = []
        model.to(outcome.weights.dtype)
        for row in outcome.averages:
            stack.unload(row, model)
            averages.append({n: p.detach().clone() for n, p in model.named_parameters()})
        model.averages = tuple(averages)
        stack.unload(outcome.weights, model)
        if task.further:
            how += f", stopped by {1 + len(task.further)} splits"
        seen = outcome.updates * task.batch
        return Effort(
            seen, outcome.updates, outcome.best, outcome.validation, how, outcome.refused
        )

    def share(
        self, models: Sequence[ConditionalModel], owner: dict[int, int], processes: Processes
    ) -> None:
        """Give all processes what only the owner of a model knows, when all are trained."""


RECIPE = Gradient()
