"""A decoder-only transformer on rows of inputs; where the rows sit is their layout's matter.

Pre-norm blocks (Xiong et al., "On layer normalization in the transformer architecture", 2020),
rotary positions, GELU:

    h <- h + attention(norm(h)),   h <- h + mlp(norm(h)),   then a last norm.

The projections that write to h start smaller by `1 / sqrt(2 layers)` (GPT-2), so that the variance
of h does not grow with depth.
"""

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from sourcewise.networks.layers import LayerNorm, Linear
from sourcewise.networks.packing import rotate

__all__ = ["Decoder", "Drop", "Layout"]

Drop = Callable[[Tensor, int], Tensor]  # what training does to the n-th update of h


class Layout(Protocol):
    """Where the rows sit: `packing.Packed` (whole strings) or `cache.Cache` (one more symbol)."""

    def angles(self, size: int, dtype: torch.dtype) -> Tensor:
        """What turns each row's queries and keys; see `packing.turns`."""
        ...

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """Causal attention of (..., heads, size)."""
        ...


class Attention(nn.Module):
    """Causal attention with several heads."""

    def __init__(self, width: int, heads: int, gain: float):
        super().__init__()
        self.heads = heads
        self.project = Linear(width, 3 * width)  # queries, keys and values by one product
        self.out = Linear(width, width, gain=gain)

    def forward(self, h: Tensor, layout: Layout, layer: int, angles: Tensor) -> Tensor:
        """(..., width) of rows h (..., width)."""
        parts = self.project(h).unflatten(-1, (3, self.heads, -1))  # (..., 3, heads, size)
        qk = rotate(parts[..., :2, :, :], angles[..., None, :, :])
        return self.out(layout.attend(layer, qk, parts[..., 2, :, :]).flatten(-2))


class Block(nn.Module):
    """Attention, then a perceptron of each row, both added to the row."""

    def __init__(self, width: int, heads: int, hidden: int, gain: float):
        super().__init__()
        self.before_attention, self.before_mlp = LayerNorm(width), LayerNorm(width)
        self.attention = Attention(width, heads, gain)
        self.up, self.down = Linear(width, hidden), Linear(hidden, width, gain=gain)

    def forward(self, h: Tensor, layout: Layout, layer: int, angles: Tensor, drop: Drop) -> Tensor:
        """(..., width) of rows h (..., width)."""
        update = self.attention(self.before_attention(h), layout, layer, angles)
        h = h + drop(update, 2 * layer)
        update = self.down(nn.functional.gelu(self.up(self.before_mlp(h))))
        return h + drop(update, 2 * layer + 1)


class Decoder(nn.Module):
    """Blocks and a last norm.

    Args:
        width: size of a row.
        layers: number of blocks.
        heads: number of heads; `width / heads` is even.
        hidden: width of the perceptrons.
    """

    def __init__(self, width: int, layers: int, heads: int, hidden: int):
        super().__init__()
        gain = 1 / math.sqrt(2 * layers)
        blocks = (Block(width, heads, hidden, gain) for _ in range(layers))
        self.blocks, self.last = nn.ModuleList(blocks), LayerNorm(width)
        self.size = width // heads

    def forward(self, h: Tensor, layout: Layout, drop: Drop | None = None) -> Tensor:
        """(..., width) of inputs h (..., width), rows of a layout."""
        angles = layout.angles(self.size, h.dtype)
        for layer, block in enumerate(self.blocks):
            h = block(h, layout, layer, angles, drop or _as_it_is)
        return self.last(h)


def _as_it_is(update: Tensor, number: int) -> Tensor:
    return update
