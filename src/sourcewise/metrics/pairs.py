"""Distances between points, their means and the nearest of them, in blocks, by matrix products.

`|x - y|^2 = |x|^2 + |y|^2 - 2 x.y` costs one product for a whole block, and loses digits where
points are close: such pairs are computed again, one by one. Few columns are subtracted instead.

Means may be of any other function of pairs, such as minus a kernel.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = ["Pairs", "apart", "blocks", "distances", "nearest", "radii", "within"]

Pairs = Callable[[Tensor, Tensor], Tensor]  # (n, D) and (m, D) -> (n, m); symmetric

BLOCK = 1 << 21  # distances that are held at once
SIDE = 1 << 10  # points of a block on either side, within one sample
NARROW = 16  # columns, up to which subtracting is as fast
CLOSE = 1e-6  # square distances, relative to the largest square norm, that are computed again


def distances(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) `|x_i - y_j|`; exact to about 12 digits of the largest, 0 where points are equal.

    >>> distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[5.0, 0.0]]

    Args:
        x: (n, D).
        y: (m, D).
    """
    if x.shape[1] <= NARROW:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    center = x.mean(0)  # smaller norms leave more digits
    x, y = x - center, y - center
    norms = x.square().sum(1), y.square().sum(1)
    square = torch.addmm(norms[1], x, y.T, alpha=-2).add_(norms[0][:, None])
    close = square < CLOSE * max(float(norms[0].max()), float(norms[1].max()))
    if bool(close.any()):
        i, j = close.nonzero(as_tuple=True)
        for one in torch.arange(len(i)).split(max(1, BLOCK // x.shape[1])):
            square[i[one], j[one]] = (x[i[one]] - y[j[one]]).square().sum(1)
    return square.sqrt_()


def blocks(x: Tensor, y: Tensor, pairs: Pairs = distances) -> Iterator[tuple[Tensor, Tensor]]:
    """Some rows at a time: which they are (b,), and their pairs (b, m) with all of y."""
    for part in torch.arange(len(x)).split(max(1, BLOCK // max(1, len(y)))):
        yield part, pairs(x[part], y)


def apart(x: Tensor, y: Tensor, pairs: Pairs = distances) -> tuple[Tensor, Tensor]:
    """(n,) the mean distance of each point of x to those of y, and (m,) of each of y to x."""
    rows, columns = [], y.new_zeros(len(y))
    for _, block in blocks(x, y, pairs):
        rows.append(block.mean(1))
        columns += block.sum(0)
    return torch.cat(rows), columns / len(x)


def within(x: Tensor, pairs: Pairs = distances) -> Tensor:
    """(n,) the mean distance of each point to the others; 0 if there are none."""
    total, parts = x.new_zeros(len(x)), torch.arange(len(x)).split(SIDE)
    for i, one in enumerate(parts):
        for other in parts[i:]:
            block = pairs(x[one], x[other])
            if other is one:
                block.fill_diagonal_(0)
            total[one] += block.sum(1)
            if other is not one:
                total[other] += block.sum(0)
    return total / max(len(x) - 1, 1)


def nearest(x: Tensor, y: Tensor) -> Tensor:
    """(n,) the distance of each point of x to the nearest of y.

    >>> nearest(torch.tensor([[0.0], [5.0]]), torch.tensor([[1.0], [7.0]])).tolist()
    [1.0, 2.0]
    """
    return torch.cat([block.amin(1) for _, block in blocks(x, y)])


def radii(x: Tensor, k: int) -> Tensor:
    """(n,) the distance of each point to its k-th nearest other point, k < n.

    >>> radii(torch.tensor([[0.0], [1.0], [3.0]]), 1).tolist()
    [1.0, 1.0, 2.0]
    """
    out = torch.empty_like(x[:, 0])
    for part, block in blocks(x, x):
        block[torch.arange(len(part)), part] = torch.inf
        out[part] = block.kthvalue(k).values
    return out
