"""Images as points by a network in a folder as transformers saves them, such as DINOv2.

The folder holds `config.json` and `model.safetensors` (or several of these), and, for how images
are scaled, `preprocessor_config.json`; nothing is fetched. It is known by the SHA-256 of network
and configuration: a run remembers that, and refuses another. The package transformers is needed
only here.

A point is what the network pools of an image, or else the first vector of its last layer. Images
are made square at the size that the folder names, without cutting.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.documents import reading, typed
from sourcewise.encoders.base import Document
from sourcewise.errors import InputError
from sourcewise.forms import X
from sourcewise.metrics.features.foreign import ImageInput, Sha256, checksum, points_of

__all__ = ["PretrainedFeatures"]

PREPROCESSOR = "preprocessor_config.json"
MEAN, SCALE, SIDE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224  # of ImageNet, of DINOv2


@dataclass(frozen=True)
class PretrainedFeatures:
    """Points of images.

    Args:
        folder: where the network is.
        sha256: of its configuration and numbers.
        input: how it wants images.
    """

    folder: str
    sha256: Sha256
    input: ImageInput

    @classmethod
    def open(cls, folder: Path, sha256: str | None = None) -> "PretrainedFeatures":
        """Of a folder, whose SHA-256 is checked if it is given.

        Raises:
            InputError: no such network, another one, or no package transformers.
        """
        found = _digest(folder)
        features = cls(str(folder.absolute()), (sha256 or found).lower(), _input(folder))
        _network(features.folder, features.sha256)
        return features

    def __call__(self, x: X) -> Tensor:
        """(n, D) float64."""
        return points_of(x, self.input, _network(self.folder, self.sha256), self.folder)

    def to_json(self) -> Document:
        """All of it as plain values; the folder stays where it is."""
        return {"kind": "transformers", **asdict(self)}

    @classmethod
    def from_json(cls, document: Document) -> "PretrainedFeatures":
        """The inverse of `to_json`; the folder is opened when points are asked for."""
        return typed(cls, {key: value for key, value in document.items() if key != "kind"})


def _digest(folder: Path) -> str:
    """SHA-256 of configuration and numbers.

    Raises:
        InputError: they are not there.
    """
    numbers = sorted(folder.glob("*.safetensors"))
    if not numbers or not (folder / "config.json").is_file():
        raise InputError(f"{folder} holds no network: it needs config.json and model.safetensors")
    return checksum(folder / "config.json", *numbers)


def _input(folder: Path) -> ImageInput:
    """How the folder says that images are scaled; without a word of it, as for DINOv2."""
    path, told = folder / PREPROCESSOR, {}
    with reading(path):
        if path.is_file():
            told = dict(json.loads(path.read_text()))
        size = told.get("crop_size") or told.get("size") or SIDE
        values = {
            "side": min(size.values()) if isinstance(size, dict) else size,
            "low": 0.0,
            "high": 1.0,
            "mean": told.get("image_mean", MEAN),
            "scale": told.get("image_std", SCALE),
        }
        return typed(ImageInput, values)


@lru_cache(maxsize=2)
def _network(folder: str, wanted: str) -> Callable[[Tensor], Tensor]:
    """The network of a folder."""
    if (found := _digest(Path(folder))) != wanted:
        raise InputError(
            f"{folder} has SHA-256 {found}, and should have {wanted}: another network"
        )
    try:
        AutoModel = import_module("transformers").AutoModel
    except ImportError:
        raise InputError(
            f"{folder} is a network of transformers, which is not installed: "
            "pip install transformers"
        ) from None
    with reading(folder), torch.random.fork_rng(devices=()):  # numbers are drawn, then read
        network = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    network.eval()

    def run(x: Tensor) -> Tensor:
        out = network(pixel_values=x)
        pooled = getattr(out, "pooler_output", None)
        return out.last_hidden_state[:, 0] if pooled is None else pooled

    return run
