"""The U-Net of EDM2 ("config G"): it preserves magnitudes, and knows nothing of noise or time.

An encoder halves the image level by level, a decoder doubles it again; each decoder block also
sees what the encoder's block of the same place gave (its skip). All blocks are residual,

    y = conv(silu(conv(silu(x)) (1 + g W e))),     x <- mix(x, y; .3),

e being the embedding of noise level, label and given columns; at some resolutions attention over
pixels follows, whose queries, keys and values have unit magnitude (cosine attention),

    x <- mix(x, P softmax(q' k / sqrt(c)) v; .3).

(Karras et al., "Analyzing and improving the training dynamics of diffusion models", 2024, figure
21 and table 6.) No activation needs a normalisation but the pixels' at the beginning of encoder
blocks: see `magnitude`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from sourcewise.networks.magnitude import (
    START,
    Condition,
    UnitConv2d,
    UnitLinear,
    concat,
    mix,
    pixel_norm,
    silu,
    unit,
)
from sourcewise.randomness import Noise

__all__ = ["UNet", "UNetSizes"]

RESIDUAL, ATTENDED, LABEL = 0.3, 0.3, 0.5  # shares of what is added
LARGEST = 256.0  # no activation is larger
Drop = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class UNetSizes:
    """Sizes of a U-Net.

    Args:
        width: channels that the levels' multiples are of.
        multiples: of each level, from the finest on.
        blocks: residual blocks per level of the encoder; the decoder has one more.
        attention: resolutions (pixels per side) with attention.
        head: channels of one head of attention, at most.
    """

    width: int
    multiples: tuple[int, ...] = (1, 2, 3, 4)
    blocks: int = 3
    attention: tuple[int, ...] = (16, 8)
    head: int = 64

    @property
    def channels(self) -> list[int]:
        """Of each level."""
        return [self.width * m for m in self.multiples]


def halved(x: Tensor) -> Tensor:
    """Each two by two pixels of (..., H, W) become their mean; H and W are even."""
    return nn.functional.avg_pool2d(x.flatten(0, -4), 2).unflatten(0, x.shape[:-3])


def doubled(x: Tensor) -> Tensor:
    """Each pixel of (..., H, W) becomes two by two."""
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


class Attention(nn.Module):
    """Cosine attention of all pixels to each other.

    Args:
        channels: of x.
        heads: it is split into.
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = UnitConv2d(channels, 3 * channels, 1)
        self.out = UnitConv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C, H, W) of x (..., C, H, W)."""
        *batch, C, H, W = x.shape
        qkv = self.qkv(x).reshape(*batch, 3, self.heads, C // self.heads, H * W).mT
        q, k, v = (part.flatten(0, -4) for part in unit(qkv).unbind(-4))  # (..., heads, HW, c)
        seen = scaled_dot_product_attention(q, k, v).mT.reshape(*batch, C, H, W)
        return self.out(seen)


class Block(nn.Module):
    """A residual block; see the module.

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        embedding: size of e.
        encodes: whether it is of the encoder.
        heads: of attention; 0: there is none.
        resized: what is done to x first.
        joins: whether it sees a skip beside x; then `inputs` are those of both.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        encodes: bool = False,
        heads: int = 0,
        resized: Literal["", "halved", "doubled"] = "",
        joins: bool = False,
    ):
        super().__init__()
        self.encodes, self.resized, self.joins = encodes, resized, joins
        self.gain = nn.Parameter(torch.empty(()))
        self.first = UnitConv2d(outputs if encodes else inputs, outputs, 3)
        self.embed = UnitLinear(embedding, outputs)
        self.second = UnitConv2d(outputs, outputs, 3)
        self.skip = UnitConv2d(inputs, outputs, 1) if inputs != outputs else None
        self.attention = Attention(outputs, heads) if heads else None

    def forward(self, x: Tensor, e: Tensor, drop: Callable[[Tensor], Tensor] | None) -> Tensor:
        """(..., outputs, H', W') of x (..., inputs, H, W) and e (..., embedding)."""
        if self.resized:
            x = halved(x) if self.resized == "halved" else doubled(x)
        if self.encodes:
            x = pixel_norm(x if self.skip is None else self.skip(x))
        y = self.first(silu(x))
        y = silu(y * (1 + self.embed(e, self.gain))[..., None, None])
        y = self.second(y if drop is None else drop(y))
        if not self.encodes and self.skip is not None:
            x = self.skip(x)
        x = mix(x, y, RESIDUAL)
        if self.attention is not None:
            x = mix(x, self.attention(x), ATTENDED)
        return x.clamp(-LARGEST, LARGEST)

    def reset(self, noise: Noise) -> None:
        """Begin almost without the embedding."""
        self.gain.data.fill_(START)


class UNet(nn.Module):
    """See the module.

    Args:
        channels: of an image.
        side: pixels per side, a multiple of 2 for every level below the first.
        sizes: see `UNetSizes`.
        K: number of labels.
        C: given columns, encoded.
    """

    def __init__(self, channels: int, side: int, sizes: UNetSizes, *, K: int, C: int = 0):
        super().__init__()
        widths = sizes.channels
        self.condition = Condition(widths[0], max(widths), K=K, C=C)
        self.first = UnitConv2d(channels + 1, widths[0], 3)  # a channel of ones is for offsets
        self.encoder, self.decoder = _encoder(side, sizes), _decoder(side, sizes)
        self.last = UnitConv2d(widths[0], channels, 3)
        self.gain = nn.Parameter(torch.empty(()))

    def forward(
        self,
        x: Tensor,
        u: Tensor,
        label: Tensor,
        c: Tensor | None = None,
        drop: Drop | None = None,
    ) -> Tensor:
        """(..., B, channels, H, W) of images like these.

        Args:
            x: (..., B, channels, H, W).
            u: (..., B) the noise level, a number of about unit size.
            label: (..., B, K) one-hot; all 0 where it is not told.
            c: (..., B, C) given columns.
            drop: sets some activations to 0, given the block's number.
        """
        e = self.condition(u, label, c)
        h = self.first(torch.cat([x, torch.ones_like(x[..., :1, :, :])], -3))
        skips = [h]
        dropped = (drop and partial(drop, i) for i in count())
        for block in self.encoder:
            h = block(h, e, next(dropped))
            skips.append(h)
        for block in self.decoder:
            assert isinstance(block, Block)
            h = concat(h, skips.pop()) if block.joins else h
            h = block(h, e, next(dropped))
        return self.last(h, self.gain)

    def reset(self, noise: Noise) -> None:
        """Begin with next to nothing as the result."""
        self.gain.data.fill_(START)


def _heads(width: int, side: int, sizes: UNetSizes, attends: bool = False) -> int:
    """Heads of attention of a block of so many channels at a resolution."""
    return max(1, width // sizes.head) if attends or side in sizes.attention else 0


def _encoder(side: int, sizes: UNetSizes) -> nn.ModuleList:
    widths, out = sizes.channels, nn.ModuleList()
    e, before = max(widths), widths[0]
    for level, width in enumerate(widths):
        heads = _heads(width, side >> level, sizes)
        if level:
            out.append(Block(before, before, e, encodes=True, resized="halved"))
        for _ in range(sizes.blocks):
            out.append(Block(before, width, e, encodes=True, heads=heads))
            before = width
    return out


def _decoder(side: int, sizes: UNetSizes) -> nn.ModuleList:
    widths, out = sizes.channels, nn.ModuleList()
    e, before = max(widths), widths[-1]
    skips = [widths[0]]  # channels of what the encoder gave
    for level, width in enumerate(widths):
        skips += [widths[level - 1]] * (level > 0) + [width] * sizes.blocks
    for level, width in reversed(list(enumerate(widths))):
        heads = _heads(width, side >> level, sizes)
        if level == len(widths) - 1:
            out.append(Block(before, before, e, heads=_heads(before, side, sizes, attends=True)))
            out.append(Block(before, before, e))
        else:
            out.append(Block(before, before, e, resized="doubled"))
        for _ in range(sizes.blocks + 1):
            out.append(Block(before + skips.pop(), width, e, heads=heads, joins=True))
            before = width
    return out
