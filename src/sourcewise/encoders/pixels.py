"""Images <-> the cube [0,1]^D, with the Jacobian back to pixel values.

    x  --spread over cells-->  x + u  --box-->  z = (x + u) / (top + 1)

The box is that of all values that pixels can have: it is known before any image is seen.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Size, typed
from sourcewise.encoders.base import Document, Encoder, Sizes
from sourcewise.encoders.images import ImageCoding, ImageRows
from sourcewise.forms import Images
from sourcewise.screening.base import Screened
from sourcewise.screening.options import BoxOptions

__all__ = ["PixelCoding", "PixelEncoder", "plan"]


def plan(screened: Screened, options: BoxOptions | None = None) -> "PixelCoding":
    """The coding of a sample of images."""
    x = screened.data.x
    assert isinstance(x, Images)
    return PixelCoding(x.shape, x.top)


@dataclass(frozen=True)
class PixelCoding(ImageCoding):
    """Every pixel value is a coordinate of the cube."""

    def fit(self, rows: ImageRows, y: Tensor, K: int) -> "PixelEncoder":
        """Spreads within sources are those of the rows; nothing else is fitted."""
        encoder, D = PixelEncoder(self, ()), self.coordinates
        sums, counts = torch.zeros(K, D, dtype=torch.float64), torch.bincount(y, minlength=K)
        for at, v in rows.blocks():
            sums.index_add_(0, y[at], v)
        means, squares = sums / counts.clamp(min=1)[:, None], torch.zeros(D, dtype=torch.float64)
        for at, v in rows.blocks():
            squares += (v - means[y[at]]).square().sum(0)
        spread = (squares / len(rows)).sqrt() / encoder.width
        return PixelEncoder(self, tuple(spread.tolist()))


@dataclass(frozen=True)
class PixelEncoder(Encoder):
    """The same affine map for every pixel value."""

    pixels: PixelCoding  # their shape and range
    spread: tuple[float, ...]  # (D,) standard deviations within sources, of training images

    @property
    def coding(self) -> PixelCoding:
        """The coding that it was fitted under."""
        return self.pixels

    @property
    def sizes(self) -> Sizes:
        """What a model must know: D, the shape of images, spreads."""
        return {
            "D": self.pixels.coordinates,
            "spread": self.spread,
            "shape": self.pixels.shape,
        }

    @property
    def width(self) -> float:
        """Of the box, in pixel values."""
        return self.pixels.top + 1.0

    def encode(self, rows: ImageRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """Images in the cube.

        Returns:
            z: (n, D) float32, which is what densities of images are computed in.
            log_det: (n,) the log of |dz/dx|, -D log(top + 1).
        """
        D = self.pixels.coordinates
        z = torch.empty(len(rows), D)
        for at, v in rows.blocks():
            z[at] = (v / self.width).float()
        width = torch.tensor(self.width, dtype=torch.float64)
        return z, -D * width.log().expand(len(rows))

    def decode(self, z: Tensor) -> Images:
        """The images whose cells z (n, D) lies in."""
        return self.pixels.as_pixels(z.cpu().double() * self.width)

    def to_json(self) -> Document:
        """All of it as plain values."""
        shape, top = list(self.pixels.shape), self.pixels.top
        return {"kind": "pixels", "shape": shape, "top": top, "spread": list(self.spread)}

    @classmethod
    def from_json(cls, document: Document) -> "PixelEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        coding = PixelCoding(found.shape, found.top)
        if len(found.spread) != coding.coordinates:
            raise ValueError(f"the images have not {len(found.spread)} pixel values")
        return cls(coding, found.spread)


@dataclass(frozen=True)
class _Written:
    """The document of a `PixelEncoder`."""

    shape: tuple[Size, Size, Size]
    top: Annotated[int, Field(ge=1, le=255)]
    spread: tuple[Annotated[float, Field(ge=0, le=1)], ...]
