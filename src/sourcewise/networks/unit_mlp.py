"""A perceptron that preserves magnitudes: what `unet` is for images, for columns of numbers.

    h <- mix(h, W2 silu(W1 silu(h) (1 + g W e)); .3)

e is the embedding of noise level, label and given columns; see `magnitude`.
"""

from functools import partial

import torch
from torch import Tensor, nn

from sourcewise.networks.magnitude import START, Condition, UnitLinear, mix, silu
from sourcewise.networks.unet import LARGEST, RESIDUAL, Drop
from sourcewise.randomness import Noise

__all__ = ["UnitMLP"]


class Block(nn.Module):
    """A residual block.

    Args:
        width: hidden units.
    """

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.empty(()))
        self.first, self.embed = UnitLinear(width, width), UnitLinear(width, width)
        self.second = UnitLinear(width, width)

    def forward(self, h: Tensor, e: Tensor, drop: "partial[Tensor] | None") -> Tensor:
        """(..., width) of h and e, (..., width) each."""
        y = silu(self.first(silu(h)) * (1 + self.embed(e, self.gain)))
        y = self.second(y if drop is None else drop(y))
        return mix(h, y, RESIDUAL).clamp(-LARGEST, LARGEST)

    def reset(self, noise: Noise) -> None:
        """Begin almost without the embedding."""
        self.gain.data.fill_(START)


class UnitMLP(nn.Module):
    """See the module.

    Args:
        d: columns.
        width: hidden units.
        blocks: residual blocks.
        K: number of labels.
        C: given columns, encoded.
    """

    def __init__(self, d: int, width: int, blocks: int, *, K: int, C: int = 0):
        super().__init__()
        self.condition = Condition(width, width, K=K, C=C)
        self.first = UnitLinear(d + 1, width)  # a column of ones is for offsets
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.last, self.gain = UnitLinear(width, d), nn.Parameter(torch.empty(()))

    def forward(
        self,
        x: Tensor,
        u: Tensor,
        label: Tensor,
        c: Tensor | None = None,
        drop: Drop | None = None,
    ) -> Tensor:
        """(..., B, d) of rows like these; see `unet.UNet.forward`."""
        e = self.condition(u, label, c)
        h = self.first(torch.cat([x, torch.ones_like(x[..., :1])], -1))
        for i, block in enumerate(self.blocks):
            h = block(h, e, None if drop is None else partial(drop, i))
        return self.last(silu(h), self.gain)

    def reset(self, noise: Noise) -> None:
        """Begin with next to nothing as the result."""
        self.gain.data.fill_(START)
