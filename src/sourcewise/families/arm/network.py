"""The network of the paper's conditional ARM (section 4.2): logits of x_d from y and x_<d.

The source and the symbols before d are embedded, `V_Y[y]`, `V_X[x_1]`, ..., `V_X[x_(d-1)]`; row j
is encoded as one number, `v_j = sigmoid(<a_j, row_j> + b_j)`; position d feeds
`[v_1, ..., v_d, 0, ..., 0]` in R^D to one MLP with M outputs.
"""

import math

import torch
from torch import Tensor, nn

from sourcewise.networks.layers import Embedding, per_member
from sourcewise.networks.mlp import MLP
from sourcewise.randomness import Noise

__all__ = ["ArmNetwork"]


class Encoder(nn.Module):
    """`sigmoid(<a_j, row_j> + b_j)`, one number for row j of D.

    Args:
        D: rows.
        d_e: numbers per row.
        shared: one vector a for all rows, instead of one each.
    """

    def __init__(self, D: int, d_e: int, shared: bool):
        super().__init__()
        self.d_e, self.shared = d_e, shared
        self.weight = nn.Parameter(torch.empty(1 if shared else D, d_e))
        self.bias = nn.Parameter(torch.empty(D))

    def forward(self, rows: Tensor, first: int = 0) -> Tensor:
        """(..., J) for rows (..., J, d_e), which are rows first, ..., first + J - 1 of the D."""
        positions = slice(first, first + rows.shape[-2])
        weight, bias = self.weight, self.bias[..., positions]
        if not self.shared:
            weight = weight[..., positions, :]
        if self.weight.ndim == 3:
            weight, bias = per_member(weight, rows), per_member(bias, rows[..., 0])
        return torch.sigmoid((rows * weight).sum(-1) + bias)

    def reset(self, noise: Noise) -> None:
        """Weights within `sqrt(3 / d_e)` (so that <a, row> has unit variance), offsets at 0."""
        draws = noise.uniform(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_((2 * draws - 1) * math.sqrt(3 / self.d_e))
        self.bias.data.fill_(0.0)


class ArmNetwork(nn.Module):
    """Logits (..., M) of every position.

    Args:
        K: sources.
        M: symbols.
        D: positions.
        d_e: numbers per embedding.
        width: W of the MLP, at least D.
        depth: L of the MLP.
        shared: one encoder weight for all positions.
    """

    def __init__(self, K: int, M: int, D: int, d_e: int, width: int, depth: int, shared: bool):
        super().__init__()
        self.M, self.D = M, D
        self.V_Y, self.V_X = Embedding(K, d_e), Embedding(M, d_e)
        self.encoder = Encoder(D, d_e, shared)
        self.mlp = MLP(D, M, width, depth)

    def encode(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, D) v_1, ..., v_D of sequences x (B, D) and sources y (B,); x_D is not used.

        A negative symbol ends the sequence: what stands for it is 0.
        """
        source = self.encoder(self.V_Y(y)[..., None, :])  # (B, 1)
        if self.D == 1:
            return source
        symbols = x[..., :-1]
        codes = self.symbol_codes().mT  # (M, D - 1): far fewer than symbols in a batch
        v = codes.gather(-2, symbols.clamp(min=0))  # (B, D - 1)
        return torch.cat([source, torch.where(symbols < 0, 0.0, v)], -1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, D, M) logits of x_1, ..., x_D for sequences x (B, D) of sources y (B,)."""
        v = self.encode(x, y)
        before = torch.ones(self.D, self.D, dtype=torch.bool, device=v.device).tril()
        return self.mlp(torch.where(before, v[..., None, :], 0.0))

    def symbol_codes(self) -> Tensor:
        """(D - 1, M): v_(j+1) for each symbol at position j = 1, ..., D - 1."""
        rows = self.V_X.weight[..., None, :].expand(
            *self.V_X.weight.shape[:-1], self.D - 1, -1
        )  # (M, D - 1, d_e)
        return self.encoder(rows, first=1).mT
