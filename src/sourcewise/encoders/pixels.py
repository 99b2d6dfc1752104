"""Images <-> the cube [0,1]^D, with the Jacobian back to pixel values.

    x  --spread over cells-->  v = x + u  --share-->  t = a + (1 - 2 a) v / (top + 1)
       --log-odds-->  z = (log(t / (1 - t)) - b) / (-2 b),   b = log(a / (1 - a)),   a = 1e-3

Images have many pixels that are quite black or quite white. As shares of the range these would be
spikes at the walls, 1 / (top + 1) of a side wide, which no smooth energy follows and no chain
leaves; as log-odds they fill more than a tenth of it (Dinh, Sohl-Dickstein and Bengio, "Density
estimation using Real NVP", 2017, section 4.1). The box is that of all values that pixels can
have: it is known before any image is seen.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Size, typed
from sourcewise.encoders.base import Document, Encoder, Sizes
from sourcewise.encoders.images import ImageRows, SpreadImageCoding
from sourcewise.forms import Images
from sourcewise.screening.base import Screened
from sourcewise.screening.options import BoxOptions

__all__ = ["PixelCoding", "PixelEncoder", "plan"]

LEAST = 1e-3  # a
LOWEST = math.log(LEAST / (1 - LEAST))  # b


def plan(screened: Screened, options: BoxOptions | None = None) -> "PixelCoding":
    """The coding of a sample of images."""
    x = screened.data.x
    assert isinstance(x, Images)
    return PixelCoding(x.shape, x.top)


@dataclass(frozen=True)
class PixelCoding(SpreadImageCoding):
    """Every pixel value is a coordinate of the cube."""

    def fit(self, rows: ImageRows, y: Tensor, K: int) -> "PixelEncoder":
        """Spreads within sources are those of the rows; nothing else is fitted."""
        encoder, D = PixelEncoder(self, ()), self.coordinates
        sums, counts = torch.zeros(K, D, dtype=torch.float64), torch.bincount(y, minlength=K)
        for at, v in rows.blocks():
            sums.index_add_(0, y[at], encoder.in_cube(v)[0])
        means, squares = sums / counts.clamp(min=1)[:, None], torch.zeros(D, dtype=torch.float64)
        for at, v in rows.blocks():
            squares += (encoder.in_cube(v)[0] - means[y[at]]).square().sum(0)
        return PixelEncoder(self, tuple((squares / len(rows)).sqrt().tolist()))


@dataclass(frozen=True)
class PixelEncoder(Encoder):
    """The same map for every pixel value."""

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

    def in_cube(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """z of values (n, D), and (n,) the log of |dz/dv|."""
        t = LEAST + (1 - 2 * LEAST) * v / self.width
        z = (t.logit() - LOWEST) / (-2 * LOWEST)
        slope = math.log((1 - 2 * LEAST) / self.width / (-2 * LOWEST))
        return z, (slope - t.log() - (-t).log1p()).sum(1)

    def encode(self, rows: ImageRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """Images in the cube.

        Returns:
            z: (n, D) float32, which is what energies of images are computed in.
            log_det: (n,) the log of |dz/dx|, to be added to log p(z).
        """
        n, D = len(rows), self.pixels.coordinates
        z, log_det = torch.empty(n, D), torch.empty(n, dtype=torch.float64)
        for at, v in rows.blocks():
            inside, log_det[at] = self.in_cube(v)
            z[at] = inside.float()
        return z, log_det

    def decode(self, z: Tensor) -> Images:
        """The images whose cells z (n, D) lies in."""
        t = (LOWEST - 2 * LOWEST * z.cpu().double()).sigmoid()
        return self.pixels.as_pixels((t - LEAST) / (1 - 2 * LEAST) * self.width)

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
