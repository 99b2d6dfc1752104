"""The batch of an update, cut into parts whose gradients add up to that of the whole.

With weights w_b = 1 / sum of the sizes of all rows of the batch, the objective is a sum over rows,

    sum_b w_b loss_b = sum over parts of (sum over the rows of a part of w_b loss_b),

so that parts may be seen one after another: a batch then takes the memory of a part. A row keeps
its weight and its noise, whichever part it is in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sourcewise.batch import Batch
from sourcewise.randomness import Noise
from sourcewise.training.processes import Processes
from sourcewise.training.stack import StepNoise

__all__ = ["Part", "parts"]


@dataclass(frozen=True)
class Part:
    """Rows that are seen at once; those of one model without the axis S.

    Args:
        batch: (S, B) rows.
        weight: (S, B) w_b; 0 of what fills up the rows of models with fewer.
        noise: of these rows.
    """

    batch: Batch
    weight: Tensor
    noise: StepNoise


def parts(
    rows: Batch,
    whole: Sequence[Tensor],
    start: Tensor,
    noise: Sequence[Noise],
    key: tuple[int | str, ...],
    processes: Processes,
    most: int,
) -> Iterator[Part]:
    """What this process sees of the batches of S models.

    All processes get equally many parts: seeing one may gather weights.

    Args:
        rows: of all models, one after another.
        whole: (S) indices of each model's batch within its own rows.
        start: (S,) where each model's rows begin.
        noise: (S) of the models.
        key: of the update.
        processes: those that share each batch.
        most: rows of a part and process; 0: any number.
    """
    lengths = torch.tensor([len(index) for index in whole])[:, None]
    index = pad_sequence(list(whole), batch_first=True) + start[:, None]  # (S, B)
    inside = torch.arange(index.shape[1]) < lengths
    weight = inside / (rows.size[index] * inside).sum(1, keepdim=True)
    known = {} if most else None
    drawn = StepNoise(noise, [len(index) for index in whole], key=key, known=known)
    for share in processes.shares(index.shape[1], most):
        some, weights = index[:, share], weight[:, share]
        if not some.shape[1]:
            some, weights = start[:, None], weight.new_zeros(len(whole), 1)
        if len(whole) == 1:
            some, weights = some[0], weights[0]
        yield Part(rows.at(some), weights, drawn.of_rows(share))
