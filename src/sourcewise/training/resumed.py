"""What a checkpoint must hold to be the state of a training: checked before anything is set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sourcewise.documents import Count, Real, typed

__all__ = ["Left", "Values", "check_tensors", "checked_values"]


@dataclass(frozen=True)
class Left:
    """Plain values of a `task.Outcome`."""

    updates: Count
    best: Count | None
    validation: Real | None
    refused: Count


@dataclass(frozen=True)
class Values:
    """Plain values of a training's state; see `StackTraining`."""

    step: Count
    active: tuple[Count, ...]
    best_loss: tuple[Real | None, ...]
    best_step: tuple[Count, ...]
    refused: tuple[Count, ...]
    done: dict[int, Left]


def checked_values(values: Mapping[str, Any], tasks: int) -> Values:
    """The values of a training of so many tasks.

    Raises:
        ValueError: they are not.
    """
    found = typed(Values, values)
    if sorted([*found.active, *found.done]) != list(range(tasks)):
        raise ValueError(f"its tasks are not 0 to {tasks - 1}")
    for each in (found.best_loss, found.best_step, found.refused):
        if len(each) != len(found.active):
            raise ValueError(f"{len(each)} values of {len(found.active)} tasks")
    return found


def check_tensors(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], more: Iterable[str] = ()
) -> None:
    """Raise unless tensors are finite and have the names, shapes and types wanted.

    Those named in `more` may be there.
    """
    names = tensors.keys() - set(more)
    if names != wanted.keys():
        raise ValueError(f"tensors {sorted(names ^ wanted.keys())} are too many or too few")
    for name, tensor in tensors.items():
        like = wanted.get(name)
        if like is not None and (tensor.shape, tensor.dtype) != (like.shape, like.dtype):
            raise ValueError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}")
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} is not finite")
