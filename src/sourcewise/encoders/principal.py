"""Images <-> q numbers, their principal components, and one noise in all other directions.

    v = x + u                                   pixel values, spread over their cells
    z = diag(s)^-1 V' (v - m)                   (q,), what a family models
    r = (I - V V') (v - m)                      the rest, in D - q directions

m is the mean of the training images of all sources, V (D, q) the q orthonormal directions in which
they vary most about it, s the standard deviations in these directions. The rest is normal with one
variance t^2, that of the training images averaged over the D - q directions, whatever the source:

    log p(v) = log p(z) - sum_j log s_j - |r|^2 / (2 t^2) - (D - q)/2 log(2 pi t^2)

This is a density of all D pixel values; of a normal p(z) it is that of probabilistic principal
components (Tipping and Bishop, "Probabilistic principal component analysis", 1999) but for the
covariance of z, which families fit by source. What the rest gives is the same for all strategies:
their differences do not depend on it. With q = D there is no rest, and the map is a rotation and a
change of scale.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Positive, Real, Size, typed
from sourcewise.encoders.base import Document, Encoder, Sizes
from sourcewise.encoders.images import ImageRows, SpreadImageCoding
from sourcewise.forms import Images
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.images import components
from sourcewise.screening.options import NumericOptions

__all__ = ["PrincipalCoding", "PrincipalEncoder", "plan"]


def plan(screened: Screened, options: NumericOptions | None = None) -> "PrincipalCoding":
    """The coding of a sample of images."""
    x, image = screened.data.x, screened.image
    assert isinstance(x, Images)
    assert image is not None
    return PrincipalCoding(x.shape, x.top, components(image, options))


@dataclass(frozen=True)
class PrincipalCoding(SpreadImageCoding):
    """At most so many components are modelled, and half as many as there are training images.

    Args:
        components: q, or D if that is less.
    """

    components: int

    def fit(self, rows: ImageRows, y: Tensor, K: int) -> "PrincipalEncoder":
        """The directions in which the training images of all sources vary most."""
        n, D = len(rows), self.coordinates
        mean = torch.zeros(D, dtype=torch.float64)
        for _, v in rows.blocks():
            mean += v.sum(0) / n
        q = min(self.components, D, max(1, (n - 1) // 2))
        variance, V, total = _directions(rows, mean, q)
        rest = float((total - variance.sum()) / (D - q)) if q < D else 0.0
        scale = torch.where(variance > 0, variance.sqrt(), 1.0)
        return PrincipalEncoder(self, mean, V, scale, math.sqrt(rest))


def _directions(rows: ImageRows, mean: Tensor, q: int) -> tuple[Tensor, Tensor, Tensor]:
    """(q,) the largest variances, their directions (D, q), and the variance in all, ().

    Whichever is smaller is made: the covariance of pixel values, or the products of images.
    """
    n, D = len(rows), len(mean)
    if n < D:
        every = torch.cat([v - mean for _, v in rows.blocks()])
        values, vectors = torch.linalg.eigh(every @ every.T / n)
        V = every.T @ vectors[:, -q:].flip(1)
        V = torch.linalg.qr(V).Q  # of unit length, and orthogonal to the last digit
    else:
        S = torch.zeros(D, D, dtype=torch.float64)
        for _, v in rows.blocks():
            S.addmm_((v - mean).T, v - mean, alpha=1 / n)
        values, vectors = torch.linalg.eigh(S)
        V = vectors[:, -q:].flip(1)
    largest = V.gather(0, V.abs().argmax(0, keepdim=True))
    return values[-q:].flip(0).clamp(min=0), V * largest.sign(), values.clamp(min=0).sum()


@dataclass(frozen=True)
class PrincipalEncoder(Encoder):
    """Rotates, and standardises; fitted on training images of all sources."""

    images: PrincipalCoding  # their shape and range
    mean: Tensor  # m, (D,)
    directions: Tensor  # V, (D, q)
    scale: Tensor  # s, (q,)
    rest: float  # t, above 0; 0: there is none

    @property
    def sizes(self) -> Sizes:
        """What a model must know: the number of variables, q."""
        return {"d": len(self.scale)}

    @property
    def coding(self) -> PrincipalCoding:
        """The coding that it was fitted under."""
        return self.images

    def encode(self, rows: ImageRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """Images as a density scores them.

        Returns:
            z: (n, q).
            log_det: (n,) what is to be added to log p(z): the change of scale, and the log density
                of the rest.
        """
        n, (D, q) = len(rows), self.directions.shape
        z, square = torch.empty(n, q, dtype=torch.float64), torch.empty(n, dtype=torch.float64)
        for at, v in rows.blocks():
            v -= self.mean
            z[at] = v @ self.directions
            square[at] = v.square().sum(1) - z[at].square().sum(1)
        log_det = -self.scale.log().sum().expand(n)
        if q < D:
            t2 = self.rest**2
            log_det = log_det - 0.5 * (square / t2 + (D - q) * math.log(2 * math.pi * t2))
        return z / self.scale, log_det

    def decode(self, z: Tensor) -> Images:
        """The images of z (n, q), the rest being 0."""
        return self.images.as_pixels(self._values(z))

    def decode_draws(self, z: Tensor, noise: ExampleNoise) -> Images:
        """The images of draws z (n, q), and of a draw of the rest."""
        v = self._values(z)
        if self.rest:
            r, V = noise.of("rest").normal(len(self.mean)), self.directions
            v += self.rest * (r - (r @ V) @ V.T)
        return self.images.as_pixels(v)

    def _values(self, z: Tensor) -> Tensor:
        """(n, D) m + V diag(s) z."""
        return self.mean + (z.cpu().double() * self.scale) @ self.directions.T

    def to_json(self) -> Document:
        """All of it as plain values; floats survive exactly."""
        return {
            "kind": "principal",
            "shape": list(self.images.shape),
            "top": self.images.top,
            "components": self.images.components,
            "mean": self.mean.tolist(),
            "directions": self.directions.T.tolist(),
            "scale": self.scale.tolist(),
            "rest": self.rest,
        }

    @classmethod
    def from_json(cls, document: Document) -> "PrincipalEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        coding = PrincipalCoding(found.shape, found.top, found.components)
        D, q = coding.coordinates, len(found.scale)
        wrong = len(found.mean) != D or any(len(row) != D for row in found.directions)
        if wrong or len(found.directions) != q or (q < D) != (found.rest > 0):
            raise ValueError(f"there are {D} pixel values, and not as many numbers")
        parts = (found.mean, found.directions, found.scale)
        mean, V, scale = (torch.tensor(part, dtype=torch.float64) for part in parts)
        return cls(coding, mean, V.T, scale, found.rest)


@dataclass(frozen=True)
class _Written:
    """The document of a `PrincipalEncoder`; directions are one after another."""

    shape: tuple[Size, Size, Size]
    top: Annotated[int, Field(ge=1, le=255)]
    components: Size
    mean: tuple[Real, ...]
    directions: tuple[tuple[Real, ...], ...]
    scale: tuple[Positive, ...]
    rest: Annotated[float, Field(ge=0)]
