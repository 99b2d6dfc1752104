"""Which labels a flow doubts: those under which it knows a row less well than without any.

For a row x with the label c, noise n, and the point `x_t = a x + b n` of a path at a probe time t,

    e = (|v(x_t, t, c) - u|^2 - |v(x_t, t, none) - u|^2) / D,   u = a' x + b' n,

both velocities at the same point, D the entries of a row. A label is flagged if the mean of e over
R draws of n is above 0 (arXiv 2509.19091; R = 1 there), here if it is above 0 by a margin of m of
its standard errors: a row that is flagged by chance trains the field without labels, which then
knows it better, so that it is flagged again.

With the fields of a label's contaminated law and of the mixture of all labels, e is below 0 in
expectation for right labels and above it for wrong ones, as long as x_t does not show by itself
which class x is of. Where it does (t near 1), both fields are the same, and e is noise.
"""

import math

import torch
from torch import Tensor

from sourcewise.samplers.odes import Velocity
from sourcewise.samplers.paths import Path

__all__ = ["label_excess"]


def label_excess(
    told: Velocity,
    untold: Velocity,
    x: Tensor,
    n: Tensor,
    t: float,
    path: Path,
    event: int = 1,
    margin: float = 0.0,
) -> Tensor:
    """(..., B) the mean of e over R draws, less m standard errors; above 0 of flagged labels.

    >>> from sourcewise.samplers.paths import PATHS
    >>> x, n = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 4, 1)
    >>> def right(x, t): return torch.ones_like(x)  # of a class that is all at 1
    >>> def both(x, t): return torch.full_like(x, 2.0)
    >>> label_excess(right, both, x, n, 0.0, PATHS["linear"]).tolist()
    [-1.0, 3.0]

    Args:
        told: v with the labels, of points (..., B R, *shape): the R of a row stand side by side.
        untold: v without any, likewise.
        x: (..., B, *shape) rows.
        n: (..., B, R, *shape) standard normal draws.
        t: the probe time, in [0, 1).
        path: from noise to data.
        event: axes of a row's shape, at least 1.
        margin: m, in standard errors of the mean; above 0 it takes R of 2 or more.
    """
    time, rows = torch.tensor(t, dtype=x.dtype, device=x.device), x.unsqueeze(-event - 1)
    at = path.at(time)
    u = (at.da * rows + at.db * n).flatten(-event - 2, -event - 1)
    points = (at.a * rows + at.b * n).flatten(-event - 2, -event - 1)
    one, other = told(points, time), untold(points, time)
    excess = ((one - other) * (one + other - 2 * u)).flatten(-event).mean(-1)
    each = excess.unflatten(-1, n.shape[-event - 2 : -event])
    if not margin:
        return each.mean(-1)
    return each.mean(-1) - margin * each.std(-1) / math.sqrt(each.shape[-1])
