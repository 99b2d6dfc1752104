"""Images as points by a network in a TorchScript file, such as the Inception network of FID.

The file is one that `torch.jit.load` opens, on this machine; nothing is fetched. It is known by
its SHA-256: a run remembers that of the file it was made with, and refuses another. A network
whose `forward` takes `return_features` is asked for features by it, as the Inception file of
StyleGAN (`inception-2015-12-05.pt`) is: pixels from 0 to 255, three channels, of any size.

A TorchScript file is a program. Open none from people you do not trust.
"""

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.documents import typed
from sourcewise.encoders.base import Document
from sourcewise.errors import InputError
from sourcewise.forms import X
from sourcewise.metrics.features.foreign import (
    ImageInput,
    Sha256,
    checksum,
    last_line,
    points_of,
)

__all__ = ["ScriptFeatures"]

FLAG = "return_features"


@dataclass(frozen=True)
class ScriptFeatures:
    """Points of images.

    Args:
        path: of the file.
        sha256: of its bytes.
        input: how it wants images.
    """

    path: str
    sha256: Sha256
    input: ImageInput

    @classmethod
    def open(
        cls, path: Path, sha256: str | None = None, input: ImageInput | None = None
    ) -> "ScriptFeatures":
        """Of a file, whose SHA-256 is checked if it is given.

        Raises:
            InputError: no such file, another file, or no TorchScript.
        """
        found = checksum(path)
        _refuse_other(path, sha256 or found, found)
        features = cls(str(path.absolute()), found, input or ImageInput())
        _network(features.path, found)
        return features

    def __call__(self, x: X) -> Tensor:
        """(n, D) float64."""
        run = _network(self.path, self.sha256)
        return points_of(x, self.input, run, self.path)

    def to_json(self) -> Document:
        """All of it as plain values; the file stays where it is."""
        return {"kind": "torchscript", **asdict(self)}

    @classmethod
    def from_json(cls, document: Document) -> "ScriptFeatures":
        """The inverse of `to_json`; the file is opened when points are asked for."""
        return typed(cls, {key: value for key, value in document.items() if key != "kind"})


@lru_cache(maxsize=2)
def _network(path: str, wanted: str) -> Callable[[Tensor], Tensor]:
    """The network of a file."""
    _refuse_other(Path(path), wanted, checksum(Path(path)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the format, which has no heir
            network = torch.jit.load(path, map_location="cpu").eval()
    except RuntimeError as error:
        raise InputError(f"{path} is no TorchScript file: {last_line(error)}") from None
    flags = [argument.name for argument in network.forward.schema.arguments]
    return lambda x: network(x, **{FLAG: True}) if FLAG in flags else network(x)


def _refuse_other(path: Path, wanted: str, found: str) -> None:
    if wanted.lower() != found:
        raise InputError(f"{path} has SHA-256 {found}, and should have {wanted}: another file")
