"""Noise and data paired by optimal transport, inside a source and a batch.

    min over permutations s of sum_i |x_i - n_s(i)|^2

Noise that belongs to a row by chance makes a flow's paths cross, and its field bend; pairs at
least cost cross less (Tong et al., "Improving and generalizing flow-based generative models with
minibatch optimal transport", 2024; Pooladian et al., "Multisample flow matching", 2023). Noise as
a whole keeps its law: only who gets which changes. Across sources it would not keep it, for each
of them: pairs are of one source.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ["MOST", "coupled"]

MOST = 256  # rows that are paired at once: the time grows with the cube


def coupled(n: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The noise of each row, of the shape of x; exact for up to `MOST` rows of a source.

    More rows of a source are paired in parts, in the order in which they stand.

    >>> x, n = torch.tensor([[0.0], [5.0], [0.0]]), torch.tensor([[4.0], [1.0], [9.0]])
    >>> coupled(n, x, torch.tensor([0, 0, 1])).tolist()
    [[1.0], [4.0], [9.0]]

    Args:
        n: (B, ...) noise.
        x: (B, ...) rows.
        y: (B,) sources.
    """
    order = torch.arange(len(y), device=y.device)
    for source in y.unique():
        for rows in (y == source).nonzero().squeeze(1).split(MOST):
            order[rows] = rows[_permutation(n[rows], x[rows])]
    return n[order]


def _permutation(n: Tensor, x: Tensor) -> Tensor:
    """(B,) for each row of x the row of n that it gets."""
    cost = torch.cdist(x.detach().flatten(1).double(), n.flatten(1).double()).square()
    return torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1]).to(x.device)
