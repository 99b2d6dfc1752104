"""Sizes of the steps, and what is left to do after them if they are exact, by what blocks do.

A step to p_{n+1} that is exact has the first-order condition (see `theory.jko`)

    (T(x) - x) / gamma = grad V(x) + grad log p_{n+1}(x),    T the optimal map back to p_n,

so that, if the step is exact, the distance that it moves rows over its size is the root of a
relative Fisher information,

    S / gamma = J_{n+1},   S^2 = E|T(x) - x|^2,   J_{n+1}^2 = E|grad log p_{n+1} / q|^2,

which bounds what is left, by Talagrand's and the logarithmic Sobolev inequality of q = N(0, I):

    W2(p_{n+1}, q) <= J_{n+1},    KL(p_{n+1}||q) <= J_{n+1}^2 / 2.

A step that is not exact, of residual eps by its own way back, has `J <= S / gamma + eps`; eps is
known from below alone (`affine_residual`), so that the sizes are a rule and no guarantee. Exact
steps lead to q at the rate 1/(1 + gamma) at least. So M more of them move rows equally far, and
leave a distance e, if the next one goes `(J - e)/M` of J:

    gamma / (1 + gamma) = (1 - e/J) / M.
"""

import torch
from torch import Tensor

__all__ = ["affine_residual", "next_size"]

LARGEST = 100.0  # size of a step


def next_size(gamma: float, movement: float, end: float, more: int) -> float:
    """Of the next step, at least that of the last one.

    >>> [round(next_size(0.5, 1.0, 0.2, more), 3) for more in (3, 2, 1)]
    [0.5, 0.818, 9.0]

    Args:
        gamma: size of the last step.
        movement: S, how far it moved rows.
        end: e, the distance to be left after all steps, if they are exact.
        more: M, steps to come, this one included.
    """
    share = (1 - min(1.0, end * gamma / max(movement, 1e-12))) / more
    return min(LARGEST, max(gamma, share / (1 - share) if share < 1 else LARGEST))


def affine_residual(before: Tensor, after: Tensor, gamma: float) -> float:
    """Length of the affine part of the residual: at most eps, by the own way back, of N(0, I).

    With `u = x' + (x' - x)/gamma` and `f = (1, x')`, integration by parts gives without a density

        E[xi f'] = E[u f'] - (0, I) = R,     eps^2 >= tr(R E[f f']^-1 R').

    It is eps where laws are normal and the map is affine.

    >>> x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    >>> affine_residual(2 * x, 1.5 * x, gamma=0.5)  # 1.5 - 1/1.5 - (2 - 1.5)/.5
    0.16666666666666666

    Args:
        before: x, (n, d) rows before the step.
        after: x', (n, d) after it.
        gamma: its size.
    """
    n, d = after.shape
    f = torch.cat([torch.ones_like(after[:, :1]), after], 1)
    eye = torch.eye(d + 1, dtype=after.dtype)
    R = (after + (after - before) / gamma).T @ f / n - eye[1:]
    solved = torch.linalg.lstsq(f.T @ f / n, R.T, driver="gelsd").solution
    return float((R.T * solved).sum().clamp(min=0).sqrt())
