"""Images as points: their pixels, and the means of ever larger squares of them.

With P_l the image of the means of squares of 2^l by 2^l pixels (smaller where an edge cuts them),
l = 0, ..., L - 1, as long as its shorter side was at least 4 before it was halved,

    phi(x) = (P_0(x) / s_0, ..., P_(L-1)(x) / s_(L-1)),   s_l^2 = (L / D) sum_j Var[P_l(x)_j]

the variances being over the training images of all sources, D the pixel values of an image. Each
level then has the same share of the variance, and all of them together have D, as D standardised
columns have: distances are in standard deviations of a pixel value. One scale for all pixels of a
level lets bright parts count more than nearly constant ones, whose noise standard deviations of
their own would blow up; coarse levels let images be near whose strokes miss each other by a pixel.
The pixels themselves are part of phi, so that laws of images are equal where those of points are.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sourcewise.documents import Positive, Size, typed
from sourcewise.encoders.base import Coding
from sourcewise.encoders.images import as_images
from sourcewise.errors import InputError
from sourcewise.forms import Images, X

__all__ = ["ImageFeatures"]

SHORTEST = 4  # side that is still halved
WIDEST = 1 << 14  # coordinates of a point


@dataclass(frozen=True)
class ImageFeatures:
    """Points of images of one shape.

    Args:
        shape: channels, height and width.
        scales: s_l of each level.
    """

    shape: tuple[Size, Size, Size]
    scales: tuple[Positive, ...]

    def __call__(self, x: X) -> Tensor:
        """(n, D') float64."""
        images = as_images(x)
        if images.shape != self.shape:
            raise InputError(f"images of {images.shape}, points are of {self.shape}")
        out = [self._points(pixels) for _, pixels in images.blocks()]
        return torch.cat(out) if out else torch.empty(0, 0, dtype=torch.float64)

    def _points(self, pixels: Tensor) -> Tensor:
        levels = zip(_levels(pixels), self.scales, strict=True)
        return torch.cat([level.flatten(1) / scale for level, scale in levels], 1)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"kind": "images", **asdict(self)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ImageFeatures":
        """The inverse of `to_json`."""
        return typed(cls, {key: value for key, value in document.items() if key != "kind"})

    @classmethod
    def fit(cls, x: X, coding: Coding) -> "ImageFeatures":
        """By the training images of all sources.

        Raises:
            InputError: images of too many pixels.
        """
        images = as_images(x)
        D, variances = coding.coordinates, _variances(images)
        if 4 * D > 3 * WIDEST:
            raise InputError(
                f"images of {D} pixel values, and distances take at most {3 * WIDEST // 4}: "
                "--size 32 makes them smaller"
            )
        share = D / len(variances)
        return cls(images.shape, tuple((v / share) ** 0.5 or 1.0 for v in variances))


def _levels(pixels: Tensor) -> Iterator[Tensor]:
    """(n, C, H', W') float64 of each level, the pixels first."""
    level = pixels.cpu().double()
    yield level
    by = 1
    while min(level.shape[-2:]) >= SHORTEST:
        by *= 2
        level = nn.functional.avg_pool2d(
            pixels.cpu().double(), by, ceil_mode=True, count_include_pad=False
        )
        yield level


def _variances(images: Images) -> list[float]:
    """Of each level, the sum over its coordinates."""
    sums: list[Tensor] = []
    for _, pixels in images.blocks():
        for i, level in enumerate(_levels(pixels)):
            if i == len(sums):
                sums.append(torch.zeros_like(level[0]))
            sums[i] += level.sum(0)
    out = [0.0] * len(sums)
    for _, pixels in images.blocks():
        for i, level in enumerate(_levels(pixels)):
            out[i] += float((level - sums[i] / len(images)).square().sum()) / len(images)
    return out
