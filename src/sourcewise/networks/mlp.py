"""The MLP class of the paper (Definition 4.2): L affine layers of width W with ReLU between them.

f(x) = (A_L relu(.) + b_L) o ... o (A_1 x + b_1)

Smooth functions may stand for ReLU. With `spectral` c > 0 every layer's largest singular value is
at most c, and f is `c^L`-Lipschitz (SiLU, whose slope reaches 1.0999: `1.1^(L-1) c^L`).
"""

import math
from typing import Literal, cast

from torch import Tensor, nn

from sourcewise.networks.layers import Linear

__all__ = ["MLP", "Activation"]

Activation = Literal["relu", "silu", "softplus"]


class MLP(nn.Module):
    """`inputs -> W -> ... -> W -> outputs`.

    Args:
        inputs: size of x.
        outputs: size of f(x).
        width: W.
        depth: L >= 1 affine layers.
        activation: what stands between the layers.
        offset: whether there is b_L.
        spectral: c, see `networks.layers`; 0: none.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        activation: Activation = "relu",
        offset: bool = True,
        spectral: float = 0.0,
    ):
        super().__init__()
        self.activation = getattr(nn.functional, activation)
        sizes = [inputs, *[width] * (depth - 1), outputs]
        # He's bound for what a ReLU halves.
        gains = [math.sqrt(6.0)] * (depth - 1) + [1.0]
        biases = [True] * (depth - 1) + [offset]
        self.layers = nn.ModuleList(
            Linear(a, b, bias=c, gain=g, spectral=spectral)
            for a, b, c, g in zip(sizes[:-1], sizes[1:], biases, gains, strict=True)
        )

    @property
    def first(self) -> Linear:
        """`A_1 x + b_1`."""
        return cast(Linear, self.layers[0])

    def forward(self, x: Tensor) -> Tensor:
        """(..., outputs) of x (..., inputs)."""
        return self.after_first(self.first(x))

    def after_first(self, h: Tensor) -> Tensor:
        """The rest of the network after `h = A_1 x + b_1`."""
        for layer in list(self.layers)[1:]:
            h = layer(self.activation(h))
        return h
