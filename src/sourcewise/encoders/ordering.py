"""An order of columns in which each follows the one it depends on most."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["dependence_order", "mutual_information"]


def mutual_information(a: Tensor, b: Tensor) -> float:
    """`I(a; b)` in nats of two columns of codes, 0 at least.

    The plug-in estimate less its bias `(A - 1)(B - 1) / 2n` for A and B observed codes (Miller,
    "Note on the bias of information estimates", 1955).

    >>> a = torch.tensor([0, 0, 1, 1]).repeat(500)
    >>> round(mutual_information(a, 1 - a), 2), mutual_information(a, torch.tensor([0, 1] * 1000))
    (0.69, 0.0)

    Args:
        a: (n,) integers from 0.
        b: (n,) likewise.
    """
    n = len(a)
    if n == 0:
        return 0.0
    B = int(b.max()) + 1
    joint = torch.bincount(a * B + b, minlength=(int(a.max()) + 1) * B).double().view(-1, B)
    p, q = joint.sum(1), joint.sum(0)
    bias = (int((p > 0).sum()) - 1) * (int((q > 0).sum()) - 1) / (2 * n)
    plain = (_nlogn(joint) - _nlogn(p) - _nlogn(q)) / n + math.log(n)
    return max(0.0, plain - bias)


def _nlogn(counts: Tensor) -> float:
    return float(torch.xlogy(counts, counts).sum())


def dependence_order(z: Tensor) -> list[int]:
    """Columns in the order in which Prim's algorithm adds them to the dependence tree.

    The tree has the largest sum of mutual informations (Chow and Liu 1968). It starts at the
    column with the most information about the others; among equals, the first comes first.

    Args:
        z: (n, C) codes.
    """
    C = z.shape[1]
    shared = torch.zeros(C, C, dtype=torch.float64)
    for i in range(C):
        for j in range(i):
            shared[i, j] = shared[j, i] = mutual_information(z[:, i], z[:, j])
    order = [_first_largest(shared.sum(1).tolist())]
    while len(order) < C:
        reach = shared[order].amax(0)
        reach[order] = -1.0
        order.append(_first_largest(reach.tolist()))
    return order


def _first_largest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda j: values[j])
