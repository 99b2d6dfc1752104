"""Classifiers that accuracy scores are measured by: fitted to examples by their labels.

- `linear_discriminant`: normal laws with one covariance; it looks at means alone, and is blind to
  draws that vary too little.
- `logistic`: a linear boundary, points standardised, with the usual penalty of weight 1.
- `image_network`: a small convolutional network (`image_classifier`).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.forms import Images, take
from sourcewise.metrics.image_classifier import ImageRecipe, train_images
from sourcewise.randomness import Noise

__all__ = ["Classifier", "Labelled", "Predict", "image_network", "linear_discriminant", "logistic"]

MOST_STEPS = 1000


@dataclass(frozen=True)
class Labelled:
    """Examples with their labels.

    Args:
        x: (n, D) points, or n images.
        y: (n,) in {0, ..., K - 1}.
    """

    x: Tensor | Images
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: Tensor) -> "Labelled":
        """Those at index (integers or a mask)."""
        return Labelled(take(self.x, index), self.y[index])

    def joined(self, other: "Labelled") -> "Labelled":
        """Those of both.

        Raises:
            InputError: points and images.
        """
        y = torch.cat([self.y, other.y])
        if isinstance(self.x, Images) and isinstance(other.x, Images):
            return Labelled(
                Images.of(torch.cat([self.x.pixels(), other.x.pixels()]), self.x.top), y
            )
        if isinstance(self.x, Tensor) and isinstance(other.x, Tensor):
            return Labelled(torch.cat([self.x, other.x]), y)
        raise InputError("points and images are not joined: give examples of one form")


Predict = Callable[[Tensor | Images], Tensor]  # n examples -> (n,) labels


class Classifier(Protocol):
    """How a classifier is fitted."""

    def __call__(self, sample: Labelled, labels: int, noise: Noise) -> Predict:
        """Fitted to examples of `labels` labels; what is random is drawn from the noise."""
        ...


def linear_discriminant(sample: Labelled, labels: int, noise: Noise) -> Predict:
    """Linear discriminant analysis of points, labels equally likely; it draws nothing."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    present = len(sample.y.unique())
    return _points(LinearDiscriminantAnalysis(priors=[1 / present] * present), sample)


def logistic(sample: Labelled, labels: int, noise: Noise) -> Predict:
    """Logistic regression of points in standard deviations; it draws nothing."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return _points(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_STEPS)), sample
    )


def _points(model: Any, sample: Labelled) -> Predict:
    """A scikit-learn model, fitted; of one label alone it is that label."""
    values = _matrix(sample.x)
    if len(only := sample.y.unique()) == 1:
        return lambda x: only.expand(len(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of collinear columns, and of steps that did not suffice
        model.fit(values, sample.y.numpy())
    return lambda x: torch.from_numpy(model.predict(_matrix(x)))


def _matrix(x: Tensor | Images) -> np.ndarray:
    if isinstance(x, Images):
        raise InputError("this classifier is of points: make images points by features first")
    return x.double().numpy()


def image_network(recipe: ImageRecipe | None = None) -> Classifier:
    """The small network of `image_classifier`, trained by a recipe."""

    def fit(sample: Labelled, labels: int, noise: Noise) -> Predict:
        return train_images(sample.x, sample.y, labels, noise, recipe).labels_of

    return fit
