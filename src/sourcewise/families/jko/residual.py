"""The first-order residual of each block, exactly, where the law of the data is known.

    xi_{n+1}(x) = grad V(x) + grad log p_{n+1}(x) - (T(x) - x)/gamma_n,    V = |x|^2/2,

p_{n+1} being the law of data after the blocks so far, and T the way back through the last one.
Its density at x is that of the data at x_0, where the way back through all of them ends,

    log p_{n+1}(x) = log p_0(x_0) - sum_{i <= n} integral of div v_i dt,

which is differentiated along the way. The L2(p_{n+1}) norm of xi is the eps of `theory.jko` if T
is the optimal map from p_{n+1} to p_n: the theorem takes that one, and a block's own way back,
which is taken here, need not be optimal.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.jko.model import FINE, JKOFlow

__all__ = ["AfterBlock", "followed"]


@dataclass(frozen=True)
class AfterBlock:
    """Rows of data after a block.

    Args:
        x: (B, d) where they are.
        log_p: (B,) log density of their law there.
        score: (B, d) its gradient.
        residual: (B, d) xi.
    """

    x: Tensor
    log_p: Tensor
    score: Tensor
    residual: Tensor

    @property
    def eps(self) -> float:
        """`(E|xi|^2)^(1/2)`, by the block's own way back."""
        return _length(self.residual)

    @property
    def relative(self) -> float:
        """`(E|grad log p/q|^2)^(1/2)`, the root of the Fisher information relative to N(0, I)."""
        return _length(self.x + self.score)


def followed(
    model: JKOFlow, rows: Batch, log_p: Callable[[Tensor], Tensor], steps: int = FINE
) -> list[AfterBlock]:
    """What each block of a trained model does to rows of data.

    Args:
        model: whose step sizes are known.
        rows: (B, d) of the data.
        log_p: (B,) the log density of data at (B, d), which can be differentiated.
        steps: of each block.
    """
    blocks = [copy.deepcopy(block).double() for block in model.parts]
    x, y = rows.tensor.double(), rows.y
    c = None if rows.c is None else rows.c.double()
    found = []
    for number, block in enumerate(blocks):
        with torch.no_grad():
            x, _ = block(x, y, c, steps)
        z = end = x.requires_grad_()
        before, total = [], torch.zeros_like(x[:, 0])
        for earlier in reversed(blocks[: number + 1]):
            z, less = earlier.back(z, y, c, steps)
            before.append(z)
            total = total + less
        value = log_p(z) + total
        (score,) = torch.autograd.grad(value.sum(), end)
        x = end.detach()
        moved = (before[0].detach() - x) / float(model.gamma[number])
        found.append(AfterBlock(x, value.detach(), score, x + score - moved))
    return found


def _length(field: Tensor) -> float:
    return float(field.square().sum(1).mean().sqrt())
