"""What users choose images to be as points: a name, or a network's file or folder."""

from pathlib import Path

from torch import Tensor

from sourcewise.encoders.base import Coding
from sourcewise.errors import InputError, unknown
from sourcewise.forms import X
from sourcewise.metrics.features import registry
from sourcewise.metrics.features.base import Features
from sourcewise.metrics.features.classified import ClassifierFeatures
from sourcewise.metrics.features.pretrained import PretrainedFeatures
from sourcewise.metrics.features.principal import PrincipalFeatures
from sourcewise.metrics.features.script import ScriptFeatures
from sourcewise.randomness import Noise

__all__ = ["NAMES", "features_of", "refuse_unknown"]

NAMES = ("auto", "principal", "classifier")


def features_of(
    choice: str,
    x: X,
    coding: Coding,
    y: Tensor | None = None,
    noise: Noise | None = None,
    cache: Path | None = None,
) -> Features:
    """Features by a name or a path.

    - `auto`: those of the form of x: columns of tables, pixels of images.
    - `principal`: principal components of pixels.
    - `classifier`: the hidden layer of a classifier of the training images by their sources.
    - a file: a network in TorchScript; a folder: a network of transformers. `PATH@SHA256` is
      checked.

    Args:
        choice: see above.
        x: training rows of all sources.
        coding: of the data.
        y: (n,) their sources, for `classifier`.
        noise: of the classifier; seed 0 if None.
        cache: a folder that keeps classifiers; None: none does.

    Raises:
        InputError: no such name, file or folder, or rows that are no points.
    """
    if choice == "auto":
        return registry.fit(x, coding)
    if choice == "principal":
        return PrincipalFeatures.fit(x, coding)
    if choice == "classifier":
        return _classifier(x, y, noise or Noise(0), cache)
    path, _, wanted = choice.partition("@")
    if Path(path).is_dir():
        return PretrainedFeatures.open(Path(path), wanted or None)
    if Path(path).is_file():
        return ScriptFeatures.open(Path(path), wanted or None)
    raise _unknown(choice)


def refuse_unknown(choice: str) -> None:
    """Before rows are read: raise for what is no name, and not there as a file or folder.

    Raises:
        InputError: what is allowed.
    """
    if choice not in NAMES and not Path(choice.partition("@")[0]).exists():
        raise _unknown(choice)


def _unknown(choice: str) -> InputError:
    return unknown("features", choice, (*NAMES, "a TorchScript file", "a folder of transformers"))


def _classifier(x: X, y: Tensor | None, noise: Noise, cache: Path | None) -> Features:
    if y is None:
        raise InputError("features by a classifier need the sources of the training images")
    if cache is None:
        return ClassifierFeatures.fit(x, y, noise)
    return ClassifierFeatures.cached(x, y, noise, cache)
