"""Every random draw of the library: keyed, reproducible, independent of batch size.

A draw is named by a key, never by global state. There are two kinds:

- `Noise` gives one stream per key, for whole batches: (seed, purpose, block, step).
- `ExampleNoise` gives every example its own stream, keyed by (seed, purpose, source, example
  index): cutting the examples into other batches, or routing them to other models, changes
  nothing. It is the counter-based generator Philox-4x32-10 (Salmon et al., "Parallel random
  numbers: as easy as 1, 2, 3", SC 2011), written in integer tensor operations.

Same key, same bits, on any device; normals agree across devices to rounding.
"""

import math
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

import torch
from torch import Tensor

__all__ = ["ExampleNoise", "Noise", "philox"]

_MASK = 0xFFFFFFFF
ROWS = 1 << 14  # of which draws are made at once
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85

Key = tuple[int | str, ...]


def _hash(seed: int, key: Key) -> int:
    """64 bits that name the key; parts are length-prefixed, so no two keys collide by joining."""
    text = "".join(f"{len(str(part))}:{type(part).__name__}:{part};" for part in (seed, *key))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Noise:
    """Random draws for one key.

    >>> noise = Noise(0).of("split")
    >>> bool((noise.uniform(3) == Noise(0).of("split").uniform(3)).all())
    True

    Args:
        seed: the run's seed, any integer.
        key: purpose, block, step, ...: what the draw is for.
    """

    seed: int
    key: Key = ()

    def of(self, *key: int | str) -> "Noise":
        """The noise of a longer key: a purpose, a block, a step."""
        return Noise(self.seed, (*self.key, *key))

    def generator(self, device: str | torch.device = "cpu") -> torch.Generator:
        """A fresh generator for this key."""
        return torch.Generator(device).manual_seed(_hash(self.seed, self.key) >> 1)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Standard normal draws of the given shape."""
        return torch.randn(shape, generator=self.generator(), dtype=dtype)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Uniform draws on [0, 1) of the given shape."""
        return torch.rand(shape, generator=self.generator(), dtype=dtype)

    def whole(
        self, kind: Literal["uniform", "normal"], *shape: int, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Draws that belong to no rows, of a batch whose noise this is."""
        noise = self.of("whole")
        draw = noise.uniform if kind == "uniform" else noise.normal
        return draw(*shape, dtype=dtype)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Uniform integers in {0, ..., high - 1} of the given shape."""
        return torch.randint(high, shape, generator=self.generator())

    def permutation(self, n: int) -> Tensor:
        """A uniformly random order of 0, ..., n - 1."""
        return torch.randperm(n, generator=self.generator())

    def each(self, y: Tensor, index: Tensor | None = None) -> "ExampleNoise":
        """One stream per example.

        Args:
            y: (B,) the source of each example.
            index: (B,) the number of each example within the whole job; 0, ..., B - 1 if None.
        """
        index = torch.arange(len(y), device=y.device) if index is None else index
        return ExampleNoise(self, y, index)


@dataclass(frozen=True)
class ExampleNoise:
    """Random draws for a batch of examples, one stream each; see `Noise.each`.

    Args:
        noise: seed and purpose.
        y: (B,) the source of each example, in the numbering of the whole data set.
        index: (B,) the number of each example.
    """

    noise: Noise
    y: Tensor
    index: Tensor

    def of(self, *key: int | str) -> "ExampleNoise":
        """The same examples under a longer key."""
        return replace(self, noise=self.noise.of(*key))

    def each(self, y: Tensor) -> "ExampleNoise":
        """Itself: whoever bound the noise first has numbered the examples."""
        return self

    def take(self, index: Tensor) -> "ExampleNoise":
        """The noise of some of the examples, unchanged by leaving out the others."""
        return replace(self, y=self.y[index], index=self.index[index])

    def uniform(self, *event: int) -> Tensor:
        """Uniform draws on [0, 1), 53 bits each, of shape (B, *event), float64."""
        bits = _hash(self.noise.seed, self.noise.key)
        key = bits & _MASK, bits >> 32
        # Counters and their products are many times as large as the draws.
        parts = zip(self.y.split(ROWS), self.index.split(ROWS), strict=True)
        draws = torch.cat([_uniform(math.prod(event), y, index, key) for y, index in parts])
        return draws.reshape(-1, *event)

    def normal(self, *event: int) -> Tensor:
        """Standard normal draws (Box-Muller) of shape (B, *event), float64."""
        size = math.prod(event)
        u = self.uniform((size + 1) // 2, 2)
        radius = torch.sqrt(-2 * torch.log1p(-u[..., 0]))  # 1 - u is never 0
        angle = 2 * math.pi * u[..., 1]
        pair = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1)
        return pair.flatten(1)[:, :size].reshape(-1, *event)


def _uniform(size: int, y: Tensor, index: Tensor, key: tuple[int, int]) -> Tensor:
    """(B, size) draws."""
    blocks = torch.arange((size + 1) // 2, device=y.device)
    counter = (
        blocks[None, :],
        (index & _MASK)[:, None],
        ((index >> 32) & _MASK)[:, None],
        (y & _MASK)[:, None],
    )
    words = philox(counter, key)
    high, low = torch.stack(words[0::2], -1) >> 5, torch.stack(words[1::2], -1) >> 6
    draws = (high.double() * 2.0**26 + low.double()) * 2.0**-53  # (B, blocks, 2)
    return draws.flatten(1)[:, :size]


def philox(counter: tuple[Tensor, ...], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Philox-4x32-10: four 32-bit words for each 128-bit counter.

    Args:
        counter: four int64 tensors that broadcast, entries in [0, 2^32).
        key: two integers in [0, 2^32).

    Returns:
        Four int64 tensors with entries in [0, 2^32).
    """
    c0, c1, c2, c3 = torch.broadcast_tensors(*counter)
    k0, k1 = key
    for _ in range(10):
        # The product wraps in int64; shifted and masked, its upper half is still exact.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = ((p1 >> 32) & _MASK) ^ c1 ^ k0, ((p0 >> 32) & _MASK) ^ c3 ^ k1
        c1, c3 = p1 & _MASK, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3
