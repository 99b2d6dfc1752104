"""What the label is worth to trained models.

A conditional model may learn to ignore its label: the pooled model of K sources then serves all
of them with one distribution, and loses for a reason that has nothing to do with the data. The
probe scores rows under the labels of other sources of their block:

    effect = sum_i [log p(x_i | y_i) - mean_j log p(x_i | y_j)] / sum_i s_i
    change = sum_i mean_j |log p(x_i | y_i) - log p(x_i | y_j)| / sum_i s_i

in nats per unit. Separate models show what there is to know: they take the labels of all sources.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.metrics.base import HeldOut
from sourcewise.partition import Partition
from sourcewise.randomness import Noise

__all__ = ["label_effect"]

LogDensity = Callable[[Batch, Noise], Tensor]
PROBED, OTHERS = 2000, 4  # rows, and other labels for each, at most


def label_effect(
    partition: Partition, density: LogDensity, own: Tensor, held_out: HeldOut, noise: Noise
) -> Tensor:
    """(2,) effect and change (see above); NaN if no row has another label to take.

    Args:
        partition: the blocks of the models.
        density: theirs, of encoded rows.
        own: (n,) the rows' log densities under their own label, in original units.
        held_out: the rows.
        noise: of the rows and labels that are chosen.
    """
    batch, y = held_out.batch, held_out.batch.y
    circles = _circles(partition)
    known = torch.tensor([k in circles for k in range(int(y.max()) + 1)])
    rows = known[y].nonzero().squeeze(1)
    if not len(rows):
        return torch.full((2,), torch.nan, dtype=torch.float64)
    rows = rows[noise.of("rows").permutation(len(rows))[:PROBED]].sort().values
    batch, y, own = batch.take(rows), y[rows], (own - held_out.log_det)[rows]
    effect, change, drawn = torch.zeros(3, len(rows), dtype=torch.float64)
    for turn in range(OTHERS):
        other = _others(circles, y, turn, noise.of("labels"))
        some = other.ge(0).nonzero().squeeze(1)
        if len(some):
            relabelled = replace(batch.take(some), y=other[some])
            gap = own[some] - density(relabelled, noise.of("density"))
            effect[some], change[some] = effect[some] + gap, change[some] + gap.abs()
            drawn[some] += 1
    total = batch.size.sum()
    return torch.stack([(effect / drawn).sum() / total, (change / drawn).sum() / total])


def _circles(partition: Partition) -> dict[int, tuple[tuple[int, ...], int]]:
    """The labels that a source's rows may take, and its own place among them.

    They are its block's; all, if every block is one source.
    """
    blocks = list(partition)
    if all(len(block) == 1 for block in blocks):
        blocks = [partition.sources]
    return {k: (block, i) for block in blocks if len(block) > 1 for i, k in enumerate(block)}


def _others(
    circles: Mapping[int, tuple[tuple[int, ...], int]], y: Tensor, turn: int, noise: Noise
) -> Tensor:
    """(n,) another label for each row, each turn another one; -1 when there are no more."""
    table = [-1] * (int(y.max()) + 1)
    steps: dict[int, list[int]] = {}  # the same for all circles of a size
    for k in y.unique().tolist():
        circle, place = circles[k]
        size = len(circle)
        if size not in steps:
            steps[size] = (1 + noise.of(size).permutation(size - 1)).tolist()
        if turn < len(steps[size]):
            table[k] = circle[(place + steps[size][turn]) % size]
    return torch.tensor(table)[y]
