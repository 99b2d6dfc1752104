"""Mean distances between points, in blocks, by matrix products.

`|x - y|^2 = |x|^2 + |y|^2 - 2 x.y` costs one product for a whole block, and loses digits where
points are close: such pairs are computed again, one by one. Few columns are subtracted instead.
"""

import torch
from torch import Tensor

__all__ = ["apart", "distances", "within"]

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


def apart(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(n,) the mean distance of each point of x to those of y, and (m,) of each of y to x."""
    rows, columns = [], y.new_zeros(len(y))
    for part in x.split(max(1, BLOCK // len(y))):
        block = distances(part, y)
        rows.append(block.mean(1))
        columns += block.sum(0)
    return torch.cat(rows), columns / len(x)


def within(x: Tensor) -> Tensor:
    """(n,) the mean distance of each point to the others; 0 if there are none."""
    total, parts = x.new_zeros(len(x)), torch.arange(len(x)).split(SIDE)
    for i, one in enumerate(parts):
        for other in parts[i:]:
            block = distances(x[one], x[other])
            total[one] += block.sum(1)
            if other is not one:
                total[other] += block.sum(0)
    return total / max(len(x) - 1, 1)
