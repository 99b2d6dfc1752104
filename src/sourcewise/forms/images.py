"""Images of one size as bytes, in memory or on disk.

Pixels may lie in a file that is mapped into memory: nothing here reads more than a block at a
time, and choosing some of the images copies none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sourcewise.forms.near import SMALLEST, near_pairs
from sourcewise.forms.whole import Whole, numbered

__all__ = ["Images"]

_BLOCK = 1 << 24  # bytes that are read at once
_COUNTED = 1 << 21  # pixel values that are widened at once
_MOST_PLACES = 1 << 12  # pixel values; images of more are never alike by chance


@dataclass(frozen=True)
class Images(Whole):
    """n images of C channels, H pixels high and W wide.

    Some of the images share their pixels with the whole.

    >>> faces = Images.of(torch.arange(8, dtype=torch.uint8).reshape(2, 1, 2, 2))
    >>> faces.shape, faces.take(torch.tensor([1])).pixels().flatten().tolist()
    ((1, 2, 2), [4, 5, 6, 7])

    Args:
        held: (N, C, H, W) uint8, C = 1 (grey) or 3 (RGB); it may be a memory map.
        rows: (n,) int64: image i is `held[rows[i]]`.
        top: the largest value that a pixel can have, as they were recorded: 255, or less.
    """

    what: ClassVar[str] = "image"
    rarely_twice: ClassVar[bool] = True
    held: Tensor
    rows: Tensor
    top: int = 255

    def __post_init__(self) -> None:
        if (
            self.held.dtype != torch.uint8
            or self.held.ndim != 4
            or self.held.shape[1] not in (1, 3)
        ):
            raise ValueError("images are uint8 (n, C, H, W), of 1 or 3 channels")

    @classmethod
    def of(cls, pixels: Tensor, top: int = 255) -> "Images":
        """All of some pixels (n, C, H, W), as they lie."""
        return cls(pixels, torch.arange(len(pixels)), top)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of each image."""
        C, H, W = self.held.shape[1:]
        return C, H, W

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.held.device

    def take(self, index: Tensor) -> "Images":
        """The images at `index` (integers or a mask); their pixels are not copied."""
        return replace(self, rows=self.rows[index.to(self.rows.device)])

    def to(self, device: str | torch.device) -> "Images":
        """The same images on another device."""
        if self.device == torch.device(device):
            return self
        return Images.of(self.pixels().to(device), self.top)

    def pixels(self) -> Tensor:
        """(n, C, H, W) uint8 of all of them, in memory."""
        return self.held[self.rows.to(self.device)].contiguous()

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """A few images at a time: which they are (b,), and their pixels (b, C, H, W)."""
        C, H, W = self.shape
        for part in torch.arange(len(self)).split(max(1, _BLOCK // (C * H * W))):
            yield part, self.held[self.rows[part].to(self.device)].contiguous()

    def content(self) -> Iterator[bytes]:
        """The bytes that identify them."""
        yield repr(((len(self), *self.shape), "images", self.top)).encode()
        yield from (pixels.cpu().numpy().tobytes() for _, pixels in self.blocks())

    def same(self) -> Tensor:
        """(n,) the same number for identical images, in order of first appearance."""
        hashes = np.fromiter(map(hash, self._raw()), np.int64, len(self))
        return numbered(hashes, self._equal, self._raw)

    def keys(self) -> Iterator[bytes]:
        """A digest of each image's size and pixels."""
        start = blake2b(repr(self.shape).encode(), digest_size=16)
        for raw in self._raw():
            digest = start.copy()
            digest.update(raw)
            yield digest.digest()

    def counts_by_place(self) -> Iterator[Tensor] | None:
        """How often each value stands in each place, of images of few pixels."""
        D = int(np.prod(self.shape))
        if D > _MOST_PLACES:
            return None
        counts, first = torch.zeros(256 * D, dtype=torch.int64), 256 * torch.arange(D)
        for _, pixels in self.blocks():
            for some in pixels.cpu().flatten(1).split(max(1, _COUNTED // D)):
                counts += torch.bincount((first + some).flatten(), minlength=256 * D)
        return iter(counts.reshape(D, 256))

    def near_copies(self) -> Tensor:
        """(pairs, 2) images that are one picture but for noise, brightness or compression.

        Images of few pixels are all alike: among them none is told.
        """
        if len(self) < 2 or min(self.shape[1:]) < SMALLEST:
            return super().near_copies()
        return near_pairs(pixels.cpu() for _, pixels in self.blocks())

    def _raw(self) -> Iterator[bytes]:
        """The bytes of each image."""
        for _, pixels in self.blocks():
            yield from map(bytes, pixels.cpu().flatten(1).numpy())

    def _equal(self, rows: Tensor, others: Tensor) -> bool:
        """Whether images equal those at other places."""
        a, b = self.take(rows), self.take(others)
        return all(
            torch.equal(p, q) for (_, p), (_, q) in zip(a.blocks(), b.blocks(), strict=True)
        )
