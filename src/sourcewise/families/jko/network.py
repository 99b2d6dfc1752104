"""The velocity of a block, with its exact divergence.

    v(x, t; y, c) = A x + m_y + G c + V s(W s(U x + a) + b),   s = tanh,
    (a, b) = e_y + t e + H c.

With D = diag s'(U x + a) and E = diag s'(W s(.) + b) its Jacobian is `A + V E W D U`, so that

    div v = tr A + sum_ij E_ii M_ij D_jj,   M = W * (U V)'    (entry by entry):

as much work as one more layer, whatever the number of columns. So there is no need for
Hutchinson's estimate, and the loss has no noise but that of its rows.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sourcewise.networks.given import given_layer, with_given
from sourcewise.networks.layers import Embedding, Linear
from sourcewise.samplers.odes import Slope, State, arrived

__all__ = ["Block", "Masks"]

Masks = Callable[[int], Tensor]  # the number of a hidden layer to (..., B, width)


class Block(nn.Module):
    """A velocity on times [0, 1], which leads rows towards normal noise.

    All sizes may carry one leading axis S, see `networks.layers`.

    Args:
        d: columns.
        width: hidden units of both layers.
        K: labels.
        C: given columns, encoded.
    """

    def __init__(self, d: int, width: int, *, K: int, C: int = 0):
        super().__init__()
        self.inputs = Linear(d, width)
        self.hidden = Linear(width, width)
        self.outputs = Linear(width, d, bias=False, gain=0.1)
        self.straight = Linear(d, d, bias=False, gain=0.01)
        self.labels, self.means = Embedding(K, 2 * width, 0.3), Embedding(K, d, 0.01)
        self.given, self.moves = given_layer(C, 2 * width, 0.3), given_layer(C, d, 0.01)
        self.time = Embedding(1, 2 * width, 0.1)

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        c: Tensor | None,
        steps: int,
        masks: Masks | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Where rows are at time 1, (..., B, d), and the integral of div v on their way, (..., B).

        Args:
            x: (..., B, d) rows at time 0.
            y: (..., B) labels.
            c: (..., B, C) given columns.
            steps: of the classical Runge-Kutta method.
            masks: what hidden units are multiplied with, the same at all times.
        """
        return self._moved(x, y, c, _times(steps), masks)

    def back(self, x: Tensor, y: Tensor, c: Tensor | None, steps: int) -> tuple[Tensor, Tensor]:
        """Where rows at time 1 were at time 0, and minus the integral; see `forward`."""
        return self._moved(x, y, c, _times(steps).flip(0), None)

    def _moved(
        self, x: Tensor, y: Tensor, c: Tensor | None, times: Tensor, masks: Masks | None
    ) -> tuple[Tensor, Tensor]:
        state = (x, torch.zeros_like(x[..., 0]))
        end, integral = arrived(self.slope(y, c, masks), state, times, "rk4")
        return end, integral

    def slope(self, y: Tensor, c: Tensor | None, masks: Masks | None = None) -> Slope:
        """v and div v at states of rows and their integrals, for labels and given columns."""
        known = with_given(self.labels(y), c, self.given)
        mean = with_given(self.means(y), c, self.moves)
        U, V = self.inputs.matrix, self.outputs.matrix
        M = self.hidden.matrix * (U @ V).mT
        trace = self.straight.matrix.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
        kept = None if masks is None else (masks(0), masks(1))

        def slope(state: State, t: Tensor) -> State:
            x = state[0]
            a, b = (known + t * self.time.weight).chunk(2, -1)
            h, D = _active(self.inputs(x) + a, None if kept is None else kept[0])
            k, E = _active(self.hidden(h) + b, None if kept is None else kept[1])
            v = self.straight(x) + mean + self.outputs(k)
            return v, ((D @ M.mT) * E).sum(-1) + trace

        return slope


def _active(u: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """s(u) and s'(u); both times a mask."""
    h = u.tanh()
    slope = 1 - h.square()
    return (h, slope) if mask is None else (h * mask, slope * mask)


def _times(steps: int) -> Tensor:
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)
