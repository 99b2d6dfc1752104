"""`fit`: whatever the model, this is how it is trained."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sourcewise.models.base import ConditionalModel, ExactFit
from sourcewise.models.partitioned import PartitionedModel

__all__ = ["Effort", "fit"]


@dataclass(frozen=True)
class Effort:
    """What training cost: the fair-budget columns of every table.

    Args:
        examples_seen: training examples processed, repeats counted.
        updates: gradient steps; 0 for an exact solution.
    """

    examples_seen: int
    updates: int


def fit(model: ConditionalModel, x: Tensor, y: Tensor, names: tuple[str, ...]) -> list[Effort]:
    """Train a model in place, block by block if it has blocks.

    Args:
        model: the model.
        x: (n, ...) encoded training examples.
        y: (n,) their sources; rows of sources that the model does not have are left aside.
        names: the sources' names.

    Returns:
        The effort of each block (one for a plain model).
    """
    if not isinstance(model, PartitionedModel):
        return [_fit_one(model, x, y, names)]
    inside = model.routes[y, 0] >= 0
    rows_inside = inside.nonzero().squeeze(1)
    rows_of = {j: (rows, local) for j, rows, local in model.route(y[rows_inside])}
    nothing = torch.empty(0, dtype=torch.int64)
    efforts = []
    for j, block in enumerate(model.partition):
        rows, local = rows_of.get(j, (nothing, nothing))
        block_names = tuple(names[source] for source in block)
        efforts.append(_fit_one(model.block(j), x[rows_inside[rows]], local, block_names))
    return efforts


def _fit_one(model: ConditionalModel, x: Tensor, y: Tensor, names: tuple[str, ...]) -> Effort:
    if not hasattr(model, "fit_exactly"):
        raise TypeError(f"{type(model).__name__} does not say how it is trained")
    cast(ExactFit, model).fit_exactly(x, y, names)
    return Effort(len(x), 0)
