"""Images <-> pixel values in standard units, whole as they are.

    z = (x - m) / s

m and s are mean and standard deviation of all pixel values of the training images of all sources.
Pixels stay whole numbers: a model of z that knows the step 1 / s between them can say how probable
a pixel is, and its scores need no log-determinant.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Self

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Positive, Real, Size, typed
from sourcewise.encoders.base import Document, Encoder, Sizes
from sourcewise.encoders.images import ImageCoding
from sourcewise.encoders.latents import LatentCoding, latent_coding
from sourcewise.forms import Images, X
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import LatentOptions

__all__ = ["StandardImageCoding", "StandardImageEncoder", "plan"]


def plan(
    screened: Screened, options: LatentOptions | None = None
) -> "StandardImageCoding | LatentCoding":
    """The coding of a sample of images, by latents if an autoencoder is named.

    Raises:
        InputError: those of `latents.latent_coding`.
    """
    x = screened.data.x
    assert isinstance(x, Images)
    if options is not None:
        return latent_coding(x, options.autoencoder)
    return StandardImageCoding(x.shape, x.top)


@dataclass(frozen=True)
class WholeImages:
    """Images where they lie."""

    images: Images  # n of them

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor) -> Self:
        """The rows at `index`."""
        return type(self)(self.images.take(index))


@dataclass(frozen=True)
class StandardImageCoding(ImageCoding):
    """Every pixel value is a whole number."""

    def prepare(self, x: X, noise: ExampleNoise) -> WholeImages:
        """Nothing is drawn, and nothing copied.

        Raises:
            InputError: those of `checked`.
        """
        return WholeImages(self.checked(x))

    def fit(self, rows: WholeImages, y: Tensor, K: int) -> "StandardImageEncoder":
        """m and s."""
        total = squares = 0.0
        for _, pixels in rows.images.blocks():
            v = pixels.double()
            total, squares = total + float(v.sum()), squares + float(v.square().sum())
        n = len(rows) * self.coordinates
        mean = total / n
        return StandardImageEncoder(self, mean, math.sqrt(max(squares / n - mean**2, 1e-12)))


@dataclass(frozen=True)
class StandardImageEncoder(Encoder):
    """The same map for every pixel value."""

    pixels: StandardImageCoding  # their shape and range
    mean: float
    scale: float

    @property
    def coding(self) -> StandardImageCoding:
        """The coding that it was fitted under."""
        return self.pixels

    @property
    def sizes(self) -> Sizes:
        """What a model must know: the shape of images, and which values pixels have."""
        top = self.pixels.top
        ends = (0 - self.mean) / self.scale, (top - self.mean) / self.scale
        return {"shape": self.pixels.shape, "values": ends, "top": top}

    def encode(self, rows: WholeImages, y: Tensor) -> tuple[Tensor, Tensor]:
        """Images in standard units.

        Returns:
            z: (n, D) float32.
            log_det: (n,) zeros: scores are of pixels as they are.
        """
        z = torch.empty(len(rows), self.pixels.coordinates)
        for at, pixels in rows.images.blocks():
            z[at] = (pixels.cpu().flatten(1).float() - self.mean) / self.scale
        return z, torch.zeros(len(rows), dtype=torch.float64)

    def decode(self, z: Tensor) -> Images:
        """The images whose pixels are nearest to z (n, D)."""
        return self.pixels.as_pixels(z.cpu().double() * self.scale + self.mean + 0.5)

    def to_json(self) -> Document:
        """All of it as plain values."""
        shape, top = list(self.pixels.shape), self.pixels.top
        places = {"mean": self.mean, "scale": self.scale}
        return {"kind": "standard-images", "shape": shape, "top": top, **places}

    @classmethod
    def from_json(cls, document: Document) -> "StandardImageEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        return cls(StandardImageCoding(found.shape, found.top), found.mean, found.scale)


@dataclass(frozen=True)
class _Written:
    """The document of a `StandardImageEncoder`."""

    shape: tuple[Size, Size, Size]
    top: Annotated[int, Field(ge=1, le=255)]
    mean: Real
    scale: Positive
