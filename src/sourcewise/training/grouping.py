"""Which models train together, and which process trains them."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from sourcewise.execution import Execution, device_of
from sourcewise.families.settings import TrainedSettings
from sourcewise.forms import content
from sourcewise.randomness import Noise
from sourcewise.training.processes import Processes, deal_out
from sourcewise.training.recipes.base import Member
from sourcewise.training.stack import same_shapes
from sourcewise.training.task import Task

__all__ = ["folder_name", "groups", "identity_of", "owners", "shares_of"]


def shares_of(
    tasks: Sequence[Task], execution: Execution, processes: Processes, folder: Path | None
) -> tuple[list[list[int]], int]:
    """The tasks that each process trains alone, and which share is this one's.

    There is one share, and all processes work on each batch of it, where there are fewer models
    than processes, where a model is sharded, and where no folder can tell that a model is done.
    """
    sharded = execution.shard and processes.count > 1
    if folder is None or sharded or not 1 < processes.count <= len(tasks):
        return [list(range(len(tasks)))], 0
    costs = [task.total * task.batch for task in tasks]
    return deal_out(costs, processes.count), processes.rank


def owners(shares: Sequence[Sequence[int]], processes: Processes) -> dict[int, int]:
    """The process that does what comes after training, of each task: who trained it alone, or
    the next in turn."""
    dealt = len(shares) > 1
    return {
        i: rank if dealt else i % processes.count for rank, mine in enumerate(shares) for i in mine
    }


def groups(
    members: Sequence[Member],
    share: Sequence[int],
    execution: Execution,
    processes: Processes,
) -> Iterator[tuple[list[int], str]]:
    """Which members of a process's share train as one stack, and how, in words."""
    if execution.shard and processes.count > 1:
        how = f"gradient, sharded over {processes.count} processes"
        for i in share:
            copies = members[i].model.copied and bool(members[i].data.further())
            yield [i], "gradient, not sharded: it has copies" if copies else how
        return
    note = ", not sharded: one process" if execution.shard else ""
    for group, how in _stacks(members, share, execution):
        yield group, how + note


def _stacks(
    members: Sequence[Member], share: Sequence[int], execution: Execution
) -> Iterator[tuple[list[int], str]]:
    """Members of equal size as one stack, if that is wanted."""
    left, on_cpu = list(share), device_of(execution.device).type == "cpu"
    while left:
        first = members[left[0]].model
        group = [i for i in left if same_shapes(first, members[i].model)]
        alone = on_cpu and first.fills_core
        if alone or not (execution.stacked and first.stackable):
            group = group[:1]
        left = [i for i in left if i not in group]
        if len(group) > 1:
            yield group, f"gradient, {len(group)} models at once"
        elif len(members) > 1 and execution.stacked and alone:
            yield group, "gradient, one after another: each keeps a core busy"
        elif len(members) > 1 and execution.stacked and not first.stackable:
            yield group, "gradient, one after another: this family cannot be stacked"
        elif len(members) > 1 and execution.stacked:
            yield group, "gradient, alone: no other block is of its size"
        else:
            yield group, "gradient"


def folder_name(members: Sequence[Member]) -> str:
    """A folder's name for a group of blocks."""
    text = "|".join(member.key for member in members)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def identity_of(members: Sequence[Member], settings: TrainedSettings, noise: Noise) -> str:
    """32 digits that change with the data, the settings and the noise of a group."""
    digest = blake2b(repr((settings, noise)).encode(), digest_size=16)
    for member in members:
        digest.update(member.key.encode())
        for chunk in () if member.data.turn is None else content(member.data.turn):
            digest.update(chunk)
        for weights in member.model.parameters() if member.begun else ():
            for chunk in content(weights.detach()):
                digest.update(chunk)
        for rows in (member.data.train, member.data.valid):
            for part in (rows.x, rows.y, rows.size, rows.c):
                for chunk in () if part is None else content(part):
                    digest.update(chunk)
    return digest.hexdigest()
