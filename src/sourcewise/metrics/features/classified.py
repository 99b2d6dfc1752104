"""Images as points by a small classifier of the real training images.

    phi(x) = (h(x) - m) / s,   s^2 = mean variance of the coordinates

h(x) are the values of the hidden layer of a network that was trained to tell the sources apart
(`metrics.image_classifier`), m and s over the training images of all sources. It is trained once
per split on real rows alone, so that it is the same for all strategies. A network that sees what
tells sources apart is blind to what they share.
"""

from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.documents import Positive, typed
from sourcewise.encoders.base import Document
from sourcewise.encoders.images import as_images
from sourcewise.errors import InputError
from sourcewise.files import read_json, write_json
from sourcewise.forms import X
from sourcewise.metrics.image_classifier import ImageRecipe, TrainedImages, train_images
from sourcewise.metrics.tensor_text import from_text, to_text
from sourcewise.randomness import Noise

__all__ = ["ClassifierFeatures"]


@dataclass(frozen=True)
class ClassifierFeatures:
    """Points of images of one shape.

    Args:
        classifier: h.
        center: m, (hidden,) float64.
        scale: s.
    """

    classifier: TrainedImages
    center: Tensor
    scale: Positive

    def __call__(self, x: X) -> Tensor:
        """(n, hidden) float64."""
        return (self.classifier.features(x) - self.center) / self.scale

    @classmethod
    def fit(
        cls, x: X, y: Tensor, noise: Noise, recipe: ImageRecipe | None = None
    ) -> "ClassifierFeatures":
        """Train it on the training images of all sources.

        Args:
            x: n images.
            y: (n,) their sources.
            noise: of the network.
            recipe: None: the usual one.

        Raises:
            InputError: images of one source, which are nothing to tell apart.
        """
        images = as_images(x)
        if len(y.unique()) < 2:
            raise InputError("a classifier needs images of two sources at least, and there is one")
        trained = train_images(images, y, 1 + int(y.max()), noise, recipe)
        values = trained.features(images)
        spread = float(values.var(0, correction=0).mean().sqrt()) or 1.0
        return cls(trained, values.mean(0), spread)

    @classmethod
    def cached(
        cls, x: X, y: Tensor, noise: Noise, folder: Path, recipe: ImageRecipe | None = None
    ) -> "ClassifierFeatures":
        """As `fit`, but read from the folder where it is there for these images, by their digest.

        Raises:
            InputError: those of `fit`, or a damaged file.
        """
        place = folder / f"classifier-{_key(x, y, noise, recipe or ImageRecipe())}.json"
        if place.exists():
            return cls.from_json(read_json(place))
        features = cls.fit(x, y, noise, recipe)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(place, features.to_json())
        return features

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that change with any of its numbers."""
        return blake2b(repr(self.to_json()).encode(), digest_size=16).hexdigest()

    def to_json(self) -> Document:
        """All of it as plain values."""
        return {
            "kind": "classifier",
            "classifier": self.classifier.to_json(),
            "center": to_text(self.center),
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, document: Document) -> "ClassifierFeatures":
        """The inverse of `to_json`."""
        classifier = TrainedImages.from_json(document["classifier"])
        center = from_text(document["center"], (classifier.hidden,), torch.float64)
        return cls(classifier, center, typed(_Scale, {"scale": document["scale"]}).scale)


@dataclass(frozen=True)
class _Scale:
    """A scale that a document tells."""

    scale: Positive


def _key(x: X, y: Tensor, noise: Noise, recipe: ImageRecipe) -> str:
    """A digest of all that the network depends on."""
    digest = blake2b(repr((replace(recipe), noise)).encode(), digest_size=16)
    for part in as_images(x).content():
        digest.update(part)
    digest.update(y.cpu().numpy().tobytes())
    return digest.hexdigest()
