"""`fit`: whatever the model, this is how it is trained."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.execution import Execution
from sourcewise.families.base import ConditionalModel
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.training.data import TrainingData
from sourcewise.training.recipes.base import Effort, Member, Progress
from sourcewise.training.recipes.registry import recipe

__all__ = ["fit"]


def fit(
    model: ConditionalModel,
    data: TrainingData,
    *,
    names: tuple[str, ...],
    noise: Noise | None = None,
    settings: Settings | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
    begun: bool = False,
) -> list[Effort]:
    """Train a model in place, block by block if it has blocks, by the recipe that it names.

    What a block becomes depends on its own rows, on the settings, and on the noise of its sources'
    names; never on the blocks beside it.

    Args:
        model: the model.
        data: encoded rows; those of sources that the model does not have are left aside.
        names: the sources' names.
        noise: all randomness of this training; seed 0 if None.
        settings: how to train; None: as the model's own settings say.
        execution: where and how fast; the defaults if None.
        progress: called with (examples seen, examples in all).
        folder: where checkpoints go, and where an interrupted training is taken up; None: none.
        begun: whether to go on from the weights that the model has, and to draw towards them.

    Returns:
        The effort of each block (one for a plain model).

    Raises:
        TrainingFailed: the loss is not finite.
    """
    members = [replace(member, begun=begun) for member in _members(model, data, names)]
    first = members[0].model
    settings = settings or getattr(first, "settings", None)
    train = recipe(first.recipe).train
    return train(members, settings, noise or Noise(0), execution, progress, folder)


def _members(model: ConditionalModel, data: TrainingData, names: tuple[str, ...]) -> list[Member]:
    if not isinstance(model, PartitionedModel):
        return [Member(names, model, data)]
    return [
        Member(
            tuple(names[source] for source in block),
            model.block(j),
            data.of(_numbers(block, len(names))),
        )
        for j, block in enumerate(model.partition)
    ]


def _numbers(block: tuple[int, ...], K: int) -> Tensor:
    """(K,) number of each source within a block, -1 outside."""
    numbers = torch.full((K,), -1)
    numbers[list(block)] = torch.arange(len(block))
    return numbers
