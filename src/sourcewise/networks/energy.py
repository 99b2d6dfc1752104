"""The network of the paper's conditional energy-based model (section 4.3), `u = f([x; V_Y[y]])`.

f is an MLP with `D + d_e` inputs and one output. The offset of its last layer would cancel in
`exp(-u) / Z`: there is none.
"""

import torch
from torch import Tensor, nn

from sourcewise.networks.layers import Embedding
from sourcewise.networks.mlp import MLP, Activation

__all__ = ["EnergyNetwork"]


class EnergyNetwork(nn.Module):
    """Energies u(x|y).

    Args:
        K: sources.
        D: coordinates of x.
        d_e: numbers per embedding.
        width: W of the MLP.
        depth: L of the MLP.
        activation: between its layers.
    """

    def __init__(self, K: int, D: int, d_e: int, width: int, depth: int, activation: Activation):
        super().__init__()
        self.K, self.D = K, D
        self.V_Y = Embedding(K, d_e)
        self.mlp = MLP(D + d_e, 1, width, depth, activation, offset=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(..., B) energies of points x (..., B, D) under sources y (..., B)."""
        return self.mlp(torch.cat([x, self.V_Y(y)], -1)).squeeze(-1)

    def at(self, points: Tensor) -> Tensor:
        """(..., K, N) energies of the same points (N, D) under every source.

        The first layer is a sum of what the point gives and what the source gives, so that it
        costs N + K rows instead of N K.
        """
        first = self.mlp.first
        of_points = points @ first.weight[..., : self.D].mT  # (..., N, W)
        of_sources = self.V_Y.weight @ first.weight[..., self.D :].mT  # (..., K, W)
        if first.bias is not None:
            of_sources = of_sources + first.bias[..., None, :]
        h = of_points[..., None, :, :] + of_sources[..., :, None, :]  # (..., K, N, W)
        return self.mlp.after_first(h).squeeze(-1)
