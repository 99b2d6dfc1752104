"""Images as rows of pixel values, each spread over its own cell.

A pixel is a whole number in {0, ..., top}. Uniform noise u on [0, 1), drawn once per pixel and
image and the same for all strategies, makes it a number of [0, top + 1), in the units that pixels
were recorded in: densities of such numbers compare between families and encodings. By Jensen's
inequality their expected logarithm is at most that of the probability of the pixels themselves,

    E_u log p(x + u) <= log P(x),   P(x) = integral of p over x + [0, 1)^D.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from sourcewise.encoders.base import Coding
from sourcewise.errors import InputError, Unsuited
from sourcewise.forms import Images, X
from sourcewise.randomness import ExampleNoise

__all__ = ["ImageCoding", "ImageRows", "SpreadImageCoding", "as_images"]

TOGETHER = 1 << 22  # draws of noise that are made at once
BELOW_1 = 1 - 2.0**-24  # the largest float32 below 1


@dataclass(frozen=True)
class ImageRows:
    """Images with the noise of their pixels.

    Args:
        images: n of them, where they lie.
        noise: (n, D) float32 in [0, 1), one axis for all channels and pixels.
    """

    images: Images
    noise: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: Tensor) -> Self:
        """The rows at `index`."""
        return type(self)(self.images.take(index), self.noise[index])

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """A few rows at a time: which they are (b,), and their values (b, D) float64."""
        for at, pixels in self.images.blocks():
            yield at, pixels.cpu().flatten(1).double() + self.noise[at]


@dataclass(frozen=True)
class ImageCoding(Coding):
    """Images of one shape; scores are per pixel value.

    Args:
        shape: channels, height and width.
        top: the largest value that a pixel can have.
    """

    unit = "pixel value"

    shape: tuple[int, int, int]
    top: int

    @property
    def coordinates(self) -> int:
        """D, the pixel values of an image."""
        return math.prod(self.shape)

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.shape

    def checked(self, x: X) -> Images:
        """The images as they are.

        Raises:
            InputError: no images, or of another shape or of larger values than those trained on.
        """
        images = as_images(x)
        if images.shape != self.shape:
            found, wanted = ("x".join(map(str, s)) for s in (images.shape, self.shape))
            sides = [] if images.shape[1:] == self.shape[1:] else [f"--size {self.shape[1]}"]
            grey = "grey" if self.shape[0] == 1 else "rgb"
            colours = [] if images.shape[0] == self.shape[0] else [f"--channels {grey}"]
            raise InputError(
                f"images of {found} (channels, height, width), the models are of {wanted}: "
                f"{' '.join([*sides, *colours])} makes {'square ' * bool(sides)}ones so"
            )
        if images.top != self.top:
            raise InputError(
                f"pixels from 0 to {images.top}, the models are of pixels from 0 to {self.top}"
            )
        return images

    def sizes(self, x: X) -> Tensor:
        """(n,) float64, D for each image."""
        return torch.full((len(as_images(x)),), float(self.coordinates), dtype=torch.float64)

    def as_pixels(self, values: Tensor) -> Images:
        """The images whose cells values (n, D) lie in; those beyond the ends go to the ends."""
        pixels = values.floor().clamp(0, self.top).to(torch.uint8)
        return Images.of(pixels.unflatten(-1, self.shape), self.top)


class SpreadImageCoding(ImageCoding):
    """Each pixel is spread over its own cell."""

    def prepare(self, x: X, noise: ExampleNoise) -> ImageRows:
        """The noise of each pixel; pixels themselves are not copied.

        Raises:
            InputError: those of `checked`.
        """
        images = self.checked(x)
        D = self.coordinates
        drawn = torch.empty(len(images), D)
        for part in torch.arange(len(images)).split(max(1, TOGETHER // D)):
            drawn[part] = noise.take(part).of("dequantise").uniform(D).float()
        return ImageRows(images, drawn.clamp_(max=BELOW_1))


def as_images(x: X) -> Images:
    """Images as they are; anything else is refused."""
    if not isinstance(x, Images):
        raise Unsuited("the examples are no images, and the models are of images")
    return x
