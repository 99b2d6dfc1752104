"""Networks that were made elsewhere: how they want images, and points by them.

Images have three channels, a size and a scale:

    v = low + (high - low) x / top,    then (v - m_c) / s_c of each channel c

Grey images become three equal channels. Images of another size are made `side` by `side` pixels by
bicubic interpolation, with averaging where they shrink; values beyond 0 and `top` are cut off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from sourcewise.documents import Positive, Real, Size
from sourcewise.encoders.images import as_images
from sourcewise.errors import InputError
from sourcewise.forms import X

__all__ = ["ImageInput", "Sha256", "checksum", "last_line", "points_of"]

AT_ONCE = 64  # images that go through a network at once
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class ImageInput:
    """See the module.

    Args:
        side: pixels per side; None: as many as there are.
        low: what a pixel of 0 becomes.
        high: what the largest pixel becomes.
        mean: m, of red, green and blue.
        scale: s, likewise.
    """

    side: Size | None = None
    low: Real = 0.0
    high: Real = 255.0
    mean: tuple[Real, Real, Real] = (0.0, 0.0, 0.0)
    scale: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)

    def __call__(self, pixels: Tensor, top: int) -> Tensor:
        """(b, 3, H, W) float32 of pixels (b, C, H, W), C = 1 or 3, in {0, ..., top}."""
        x = pixels.cpu().float()
        if self.side is not None and x.shape[-2:] != (self.side, self.side):
            x = nn.functional.interpolate(
                x, (self.side, self.side), mode="bicubic", align_corners=False, antialias=True
            ).clamp(0, top)
        x = self.low + (self.high - self.low) / top * x.expand(-1, 3, -1, -1)
        mean, scale = torch.tensor(self.mean), torch.tensor(self.scale)
        return (x - mean[:, None, None]) / scale[:, None, None]


def checksum(*paths: Path) -> str:
    """SHA-256 of the bytes of files, one after another.

    Raises:
        InputError: a file that cannot be read.
    """
    digest = sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    return digest.hexdigest()


@torch.no_grad()
def points_of(x: X, make: ImageInput, run: Callable[[Tensor], Tensor], where: str) -> Tensor:
    """(n, D) float64 of images by a network, some at a time.

    Raises:
        InputError: the network does not take them, or gives no row of finite numbers for each.
    """
    images, out = as_images(x), []
    parts = (part for _, pixels in images.blocks() for part in pixels.split(AT_ONCE))
    for part in parts:
        try:
            found = run(make(part, images.top))
        except (RuntimeError, torch.jit.Error) as error:
            raise InputError(f"{where} takes no such images: {last_line(error)}") from None
        if len(found) != len(part) or not bool(found.isfinite().all()):
            raise InputError(f"{where} gives no row of finite numbers for each image")
        out.append(found.flatten(1).double())
    return torch.cat(out) if out else torch.empty(0, 0, dtype=torch.float64)


def last_line(error: Exception) -> str:
    """Of what torch says, which may be a page."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
