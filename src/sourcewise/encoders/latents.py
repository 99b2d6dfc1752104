"""Images <-> latents of a pretrained autoencoder, in standard units by channel.

    z = (l - m_c) / s_c,   log p(l) = log p(z) - (h w) sum_c log s_c

l are the latents (C, h, w) of an image (`autoencoder`), m_c and s_c mean and standard deviation of
channel c over the training images of all sources. Scores are densities of latents in their own
units, per latent value; what the decoder loses is no part of them, and they are never comparable
with scores of pixels or of another autoencoder's latents.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Positive, Real, Size, typed
from sourcewise.encoders.autoencoder import Autoencoder, autoencoder
from sourcewise.encoders.base import Document, Encoder, Sizes, TensorRows
from sourcewise.encoders.images import ImageCoding, as_images
from sourcewise.encoders.latent_cache import cache_folder, cached
from sourcewise.errors import InputError
from sourcewise.forms import Images, X
from sourcewise.randomness import ExampleNoise

__all__ = ["LatentCoding", "LatentEncoder", "latent_coding"]

LEAST = 1e-6  # standard deviation of a channel


def latent_coding(images: Images, name: str) -> "LatentCoding":
    """The coding of images by an autoencoder.

    Raises:
        InputError: those of `autoencoder` and of its `shape`.
    """
    found = autoencoder(name)
    latent = found.shape(images.shape)
    return LatentCoding(images.shape, images.top, found.name, found.digest, latent)


@dataclass(frozen=True)
class LatentCoding(ImageCoding):
    """Every image is its latents.

    Args:
        autoencoder: a folder, or a name of the hub.
        digest: of its configuration and weights.
        latent: channels, height and width of latents.
    """

    unit = "latent value"

    autoencoder: str
    digest: str
    latent: tuple[int, int, int]

    @property
    def values(self) -> int:
        """Latents of an image, C h w."""
        return math.prod(self.latent)

    def sizes(self, x: X) -> Tensor:
        """(n,) float64, C h w for each image."""
        return torch.full((len(as_images(x)),), float(self.values), dtype=torch.float64)

    def prepare(self, x: X, noise: ExampleNoise) -> TensorRows:
        """Latents, those that were made before by this autoencoder from the cache.

        Raises:
            InputError: those of `checked`, and of `opened`.
        """
        images = self.checked(x)
        C, H, W = self.shape
        folder = cache_folder() / "latents" / self.digest / f"{C}x{H}x{W}-{self.top}"

        def make(index: Tensor) -> Tensor:
            network, chosen = self.opened(), images.take(index)
            pixels = (part.cpu().float() / self.top for _, part in chosen.blocks())
            return torch.cat([network.encode(part) for part in pixels])

        return TensorRows(cached(folder, list(images.keys()), self.latent, make))

    def fit(self, rows: TensorRows, y: Tensor, K: int) -> "LatentEncoder":
        """m and s."""
        by_channel = rows.values.double().transpose(0, 1).flatten(1)  # (C, n h w)
        scale = by_channel.std(1, correction=0).clamp(min=LEAST)
        return LatentEncoder(self, tuple(by_channel.mean(1).tolist()), tuple(scale.tolist()))

    def opened(self) -> Autoencoder:
        """The autoencoder that it was planned with.

        Raises:
            InputError: it cannot be had, or is another by now.
        """
        found = autoencoder(self.autoencoder)
        if found.digest != self.digest:
            raise InputError(
                f"setting autoencoder: {self.autoencoder} is not the one that the models were "
                "trained with: its configuration or weights have changed"
            )
        return found


@dataclass(frozen=True)
class LatentEncoder(Encoder):
    """An affine map for each channel of latents."""

    latents: LatentCoding  # shapes, and the autoencoder
    mean: tuple[float, ...]  # (C,) m
    scale: tuple[float, ...]  # (C,) s

    @property
    def coding(self) -> LatentCoding:
        """The coding that it was fitted under."""
        return self.latents

    @property
    def sizes(self) -> Sizes:
        """What a model must know: the shape of latents, which are any numbers."""
        return {"shape": self.latents.latent}

    def encode(self, rows: TensorRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """Latents in standard units.

        Returns:
            z: (n, C h w) float32.
            log_det: (n,) `-(h w) sum_c log s_c`.
        """
        mean, scale = self._units()
        z = (rows.values.double() - mean) / scale
        places = math.prod(self.latents.latent[1:])
        log_det = torch.full((len(rows),), -places * float(scale.log().sum()), dtype=torch.float64)
        return z.flatten(1).float(), log_det

    def decode(self, z: Tensor) -> Images:
        """The decoder's images of z (n, C h w), in bytes."""
        mean, scale = self._units()
        latents = z.cpu().double().unflatten(-1, self.latents.latent) * scale + mean
        parts = [torch.empty(0, self.latents.coordinates), *self._decoded(latents)]
        return self.latents.as_pixels(torch.cat(parts) * self.latents.top + 0.5)

    def _decoded(self, latents: Tensor) -> Iterator[Tensor]:
        """Images (b, D) from 0 to 1, flat."""
        if len(latents):
            network = self.latents.opened()
            yield network.decode(latents, self.latents.shape[0]).flatten(1)

    def _units(self) -> tuple[Tensor, Tensor]:
        """(C, 1, 1) each, float64."""
        both = torch.tensor([self.mean, self.scale], dtype=torch.float64)
        mean, scale = both[..., None, None]
        return mean, scale

    def to_json(self) -> Document:
        """All of it as plain values; the autoencoder by its name and digest."""
        own, c = {"mean": list(self.mean), "scale": list(self.scale)}, self.latents
        shapes = {"shape": list(c.shape), "top": c.top, "latent": list(c.latent)}
        return {
            "kind": "latents",
            "autoencoder": c.autoencoder,
            "weights": c.digest,
            **shapes,
            **own,
        }

    @classmethod
    def from_json(cls, document: Document) -> "LatentEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        if not len(found.mean) == len(found.scale) == found.latent[0]:
            raise ValueError("means or scales are not those of the channels")
        coding = LatentCoding(
            found.shape, found.top, found.autoencoder, found.weights, found.latent
        )
        return cls(coding, found.mean, found.scale)


@dataclass(frozen=True)
class _Written:
    """The document of a `LatentEncoder`."""

    autoencoder: Annotated[str, Field(min_length=1, max_length=4096)]
    weights: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    shape: tuple[Size, Size, Size]
    top: Annotated[int, Field(ge=1, le=255)]
    latent: tuple[Size, Size, Size]
    mean: tuple[Real, ...]
    scale: tuple[Positive, ...]
