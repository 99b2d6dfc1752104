"""Images of one size as bytes, in memory or on disk.

Pixels may lie in a file that is mapped into memory: nothing here reads more than a block at a
time, and choosing some of the images copies none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Images"]

_BLOCK = 1 << 24  # bytes that are read at once


@dataclass(frozen=True)
class Images:
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
        return self if self.device == torch.device(device) else Images.of(self.pixels().to(device))

    def pixels(self) -> Tensor:
        """(n, C, H, W) uint8 of all of them, in memory."""
        return self.held[self.rows.to(self.device)]

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """A few images at a time: which they are (b,), and their pixels (b, C, H, W)."""
        C, H, W = self.shape
        for part in torch.arange(len(self)).split(max(1, _BLOCK // (C * H * W))):
            yield part, self.held[self.rows[part].to(self.device)]

    def content(self) -> Iterator[bytes]:
        """The bytes that identify them."""
        yield repr(((len(self), *self.shape), "images")).encode()
        yield from (pixels.cpu().numpy().tobytes() for _, pixels in self.blocks())
