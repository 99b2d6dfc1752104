"""What the label is worth to trained models.

A conditional model may learn to ignore its label, or learn little of it: the pooled model of K
sources then serves all of them with much the same distribution, and loses for a reason that has
nothing to do with the data. The probe scores rows under the labels of other sources of their
block, j of them for each row:

    g_ij   = log p(x_i | y_i) - log p(x_i | y_j)
    effect = sum_i mean_j g_ij / sum_i s_i
    change = sum_i mean_j |g_ij| / sum_i s_i

in nats per unit. Separate models show what there is to know: they take the labels of all sources.

How much of it another model knows is read from what the gaps *tell*. Three things would mislead:

- A model of many rows is better on all rows than one of few, though their sources may be equal.
  Every source counts alike, as own and as other label, so that this cancels.
- Models that fit too closely exaggerate. Gaps are scaled by the b in [0, 1] that makes
  `sum_ij w_ij log sigmoid(b g_ij)` largest: the log-likelihood of the own labels against others.
- Where sources are far apart, gaps are as large as tails are thin. `MOST` nats tell all there is.

    told = sum_ij w_ij clip(b g_ij, -MOST, MOST),   sum_ij w_ij = 1
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.metrics.base import HeldOut
from sourcewise.partition import Partition
from sourcewise.randomness import Noise

__all__ = ["BOUNDED", "PROBED", "label_effect"]

Scored = Callable[[Batch, Tensor, Noise], Tensor]
PROBED, BOUNDED = 2000, 200  # rows, at most; where they are scored by bounds, which take long
OTHERS = 4  # other labels for each, at most
MOST, BEYOND = 10.0, 1e9  # nats: 22000 to 1, and what stands for certainty


def label_effect(
    partition: Partition,
    scored: Scored,
    own: Tensor,
    held_out: HeldOut,
    noise: Noise,
    most: int = PROBED,
) -> Tensor:
    """(4,) effect, change, told (see above) and its standard error, all in nats per unit.

    NaN if no row has another label to take.

    Args:
        partition: the blocks of the models.
        scored: their log densities, or bounds of these, of encoded rows with some labels; it is
            told which of the rows they are, (m,).
        own: (n,) the rows' log densities under their own label, in original units.
        held_out: the rows.
        noise: of the rows and labels that are chosen.
        most: rows that are asked.
    """
    batch, y = held_out.batch, held_out.batch.y
    circles = _circles(partition)
    known = torch.tensor([k in circles for k in range(int(y.max()) + 1)])
    rows = known[y].nonzero().squeeze(1)
    if not len(rows):
        return torch.full((4,), torch.nan, dtype=torch.float64)
    rows = rows[noise.of("rows").permutation(len(rows))[:most]].sort().values
    batch, y, own = batch.take(rows), y[rows], (own - held_out.log_det)[rows]
    gaps = torch.full((len(rows), OTHERS), torch.nan, dtype=torch.float64)
    for turn in range(OTHERS):
        other = _others(circles, y, turn, noise.of("labels"))
        some = other.ge(0).nonzero().squeeze(1)
        if len(some):
            relabelled = replace(batch.take(some), y=other[some])
            gaps[some, turn] = own[some] - scored(relabelled, rows[some], noise.of("density"))
    total = batch.size.sum()
    effect, change = (each.nanmean(1).sum() / total for each in (gaps, gaps.abs()))
    return torch.stack([effect, change, *_told(gaps, y) * len(rows) / total])


def _told(gaps: Tensor, y: Tensor) -> Tensor:
    """(2,) what gaps (n, j) of rows of sources y (n,) tell, per row, and its standard error."""
    gaps = gaps.clamp(-BEYOND, BEYOND)  # some rows may be impossible under another label
    count = torch.bincount(y).double()
    weight = 1 / (count[y] * (count > 0).sum())  # (n,) of rows
    scaled = (_scale(gaps, weight) * gaps).clamp(-MOST, MOST).nanmean(1)
    told = weight @ scaled
    return torch.stack([told, (weight * (scaled - told)).norm()])


def _scale(gaps: Tensor, weight: Tensor) -> float:
    """b in [0, 1] for which the own labels are likeliest, given gaps (n, j) to other labels."""

    def slope(b: float) -> float:
        return float(weight @ (gaps * (-b * gaps).sigmoid()).nanmean(1))

    if slope(1.0) >= 0:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-6:  # the slope falls
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return low


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
