"""Images as points by the principal components of their pixels.

    phi(x) = V' (x - m) / s,   s^2 = mean of the q largest eigenvalues

m is the mean of the training images of all sources, V (D, q) the q directions in which they vary
most. One scale for all components leaves them their shares; together they have the variance of q
standardised columns. What images are in other directions is not looked at.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.documents import Positive, Size, typed
from sourcewise.encoders.base import Coding, Document
from sourcewise.encoders.images import as_images
from sourcewise.errors import InputError
from sourcewise.forms import X
from sourcewise.metrics.summary import Summary
from sourcewise.metrics.tensor_text import from_text, to_text

__all__ = ["PrincipalFeatures"]

COMPONENTS, MOST_PIXELS = 64, 4096


@dataclass(frozen=True)
class PrincipalFeatures:
    """Points of images of one shape.

    Args:
        shape: channels, height and width.
        center: m, (D,) float64.
        axes: V, (D, q) float64.
        scale: s.
    """

    shape: tuple[Size, Size, Size]
    center: Tensor
    axes: Tensor
    scale: Positive

    def __call__(self, x: X) -> Tensor:
        """(n, q) float64."""
        images = as_images(x)
        if images.shape != self.shape:
            raise InputError(f"images of {images.shape}, points are of {self.shape}")
        blocks = (pixels.cpu().flatten(1).double() for _, pixels in images.blocks())
        out = [(block - self.center) @ self.axes / self.scale for block in blocks]
        return torch.cat(out) if out else self.axes.new_empty(0, self.axes.shape[1])

    @classmethod
    def fit(cls, x: X, coding: Coding) -> "PrincipalFeatures":
        """By the training images of all sources: 64 components, or as many as there are.

        Raises:
            InputError: images of too many pixels, or fewer than two.
        """
        images = as_images(x)
        if coding.coordinates > MOST_PIXELS:
            raise InputError(
                f"images of {coding.coordinates} pixel values, and principal components take at "
                f"most {MOST_PIXELS}: --size 32 makes them smaller"
            )
        parts = (pixels.cpu().flatten(1) for _, pixels in images.blocks())
        summary = Summary.of(part for whole in parts for part in whole.split(MOST_PIXELS))
        square, axes = torch.linalg.eigh(summary.covariance)
        q = min(COMPONENTS, summary.n - 1, coding.coordinates)
        scale = float(square[-q:].mean().clamp(min=0).sqrt()) or 1.0
        return cls(images.shape, summary.mean, axes[:, -q:].flip(1).contiguous(), scale)

    def to_json(self) -> Document:
        """All of it as plain values."""
        return {
            "kind": "principal",
            "shape": list(self.shape),
            "components": self.axes.shape[1],
            "scale": self.scale,
            "center": to_text(self.center),
            "axes": to_text(self.axes),
        }

    @classmethod
    def from_json(cls, document: Document) -> "PrincipalFeatures":
        """The inverse of `to_json`."""
        names = ("shape", "components", "scale")
        sizes = typed(_Sizes, {name: document[name] for name in names})
        q, D = sizes.components, math.prod(sizes.shape)
        center = from_text(document["center"], (D,), torch.float64)
        axes = from_text(document["axes"], (D, q), torch.float64)
        return cls(sizes.shape, center, axes, sizes.scale)


@dataclass(frozen=True)
class _Sizes:
    """All of it but tensors."""

    shape: tuple[Size, Size, Size]
    components: Size
    scale: Positive
