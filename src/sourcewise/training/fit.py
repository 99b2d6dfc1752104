"""`fit`: whatever the model, this is how it is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from sourcewise.families.base import ConditionalModel, ExactFit
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.training.data import TrainingData
from sourcewise.training.gradient import Effort, Member, train

__all__ = ["fit"]

Progress = Callable[[int, int], None]


def fit(
    model: ConditionalModel,
    data: TrainingData,
    *,
    names: tuple[str, ...],
    noise: Noise | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> list[Effort]:
    """Train a model in place, block by block if it has blocks.

    A model with `fit_exactly` is solved on training and validation rows together; every other
    is trained by gradients on its `loss`. What a block becomes depends on its own rows, on the
    settings, and on the noise of its sources' names; never on the blocks beside it.

    Args:
        model: the model.
        data: encoded rows; those of sources that the model does not have are left aside.
        names: the sources' names.
        noise: all randomness of this training; seed 0 if None.
        settings: how to train; None: as the model's own settings say.
        progress: called with (examples seen, examples in all).
        folder: where checkpoints go, and where an interrupted training is taken up; None: none.

    Returns:
        The effort of each block (one for a plain model).

    Raises:
        TrainingFailed: the loss is not finite.
    """
    members = _members(model, data, names)
    if hasattr(members[0].model, "fit_exactly"):
        return [_fit_exactly(member) for member in members]
    settings = settings or getattr(members[0].model, "settings", None)
    if not isinstance(settings, TrainedSettings):
        raise TypeError(f"{type(members[0].model).__name__} does not say how it is trained")
    return train(members, settings, noise or Noise(0), progress, folder)


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


def _fit_exactly(member: Member) -> Effort:
    rows = member.data.merged()
    cast(ExactFit, member.model).fit_exactly(rows, member.names)
    return Effort(len(rows), 0)
