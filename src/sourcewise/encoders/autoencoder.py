"""A pretrained autoencoder of images, in a folder or on the hub: latents by its two networks.

It is an `AutoencoderKL` as diffusers saves it (Rombach et al., "High-resolution image synthesis
with latent diffusion models", 2022): a folder with `config.json` and
`diffusion_pytorch_model.safetensors`, by itself or as the folder `vae` of a pipeline. Images of
H x W pixels become latents (C, H / f, W / f), the means of their posteriors; pixels go in and come
out from -1 to 1. diffusers takes seconds to import, and is imported when a network is needed.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from sourcewise.documents import Size, reading, typed
from sourcewise.errors import InputError

__all__ = ["Autoencoder", "autoencoder"]

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
HUB = re.compile(r"[\w.-]+/[\w.-]+")  # the name of a repository
MOST_BYTES = 1 << 20  # of a configuration
PART = 1 << 24  # bytes of a file that are read at once


@dataclass(frozen=True)
class Autoencoder:
    """What an autoencoder takes and gives; its networks are loaded when they are first used."""

    name: str  # a folder, from the root, or a name of the hub
    folder: Path  # where its files are
    digest: str  # of configuration and weights
    colours: int  # channels of images
    channels: int  # of latents, C
    factor: int  # pixels per side of a latent, f

    def shape(self, image: tuple[int, int, int]) -> tuple[int, int, int]:
        """(C, H / f, W / f) of images (channels, H, W).

        Raises:
            InputError: H or W is no multiple of f, or colours are neither grey nor its own.
        """
        colours, H, W = image
        f = self.factor
        if H % f or W % f:
            raise InputError(
                f"setting autoencoder: {self.name} takes images whose sides are multiples of {f} "
                f"pixels, not {H} x {W}: --size {max(f, min(H, W) // f * f)} makes them so"
            )
        if colours not in (1, self.colours):
            raise InputError(
                f"setting autoencoder: {self.name} takes images of {self.colours} channels, not "
                f"{colours}"
            )
        return self.channels, H // f, W // f

    def encode(self, images: Tensor) -> Tensor:
        """(b, C, h, w) float32 means of images (b, channels, H, W) from 0 to 1.

        One at a time: then the numbers of an image do not depend on those beside it.
        """
        network, latents = _network(self.folder, self.digest), []
        for image in (2 * images - 1).expand(-1, self.colours, -1, -1).split(1):
            latents.append(network.encode(image).latent_dist.mean.float())
        return torch.cat(latents)

    def decode(self, latents: Tensor, colours: int) -> Tensor:
        """(b, colours, H, W) float32 images from 0 to 1, of latents (b, C, h, w)."""
        network, images = _network(self.folder, self.digest), []
        for z in latents.float().split(1):
            image = (network.decode(z).sample.float() + 1) / 2
            images.append(image.mean(1, keepdim=True) if colours == 1 else image)
        return torch.cat(images).clamp(0, 1)


def autoencoder(name: str) -> Autoencoder:
    """The autoencoder of a name; no network is loaded.

    Args:
        name: a folder, or OWNER/NAME of the hub, which is asked only for what is not here yet.

    Raises:
        InputError: it is none, or cannot be had.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        folder = folder.resolve()
        name = str(folder)
    else:
        folder = _from_hub(name)
    folder = next((f for f in (folder, folder / "vae") if (f / CONFIG).is_file()), folder)
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise InputError(
                f"setting autoencoder: {name} holds no file {file}: a folder as `save_pretrained` "
                "of an AutoencoderKL leaves it is allowed"
            )
    with reading(folder / CONFIG):
        raw = _bytes(folder / CONFIG)
        written = json.loads(raw)
        found = typed(_Config, {**written, "kind": written["_class_name"]})
    digest = blake2b(raw + _digest_of(folder / WEIGHTS), digest_size=16).hexdigest()
    factor = 2 ** (len(found.block_out_channels) - 1)
    return Autoencoder(name, folder, digest, found.in_channels, found.latent_channels, factor)


@dataclass(frozen=True)
class _Config:
    """What is needed of a configuration."""

    kind: Literal["AutoencoderKL"]
    in_channels: Size
    latent_channels: Size
    block_out_channels: tuple[Size, ...]


def _from_hub(name: str) -> Path:
    """The folder of a repository's files; those that are here are not asked for again."""
    if not HUB.fullmatch(name):
        raise InputError(
            f"setting autoencoder: no folder {name!r}, and no name of the hub (OWNER/NAME)"
        )
    _installed()
    from huggingface_hub import (  # pyright: ignore[reportMissingImports]
        snapshot_download,
    )

    files = [f"{place}{file}" for place in ("", "vae/") for file in (CONFIG, WEIGHTS)]
    try:
        return Path(snapshot_download(name, allow_patterns=files, local_files_only=True))
    except Exception:  # of many kinds: it is not here
        return _downloaded(name, files)


def _downloaded(name: str, files: list[str]) -> Path:
    from huggingface_hub import (  # pyright: ignore[reportMissingImports]
        snapshot_download,
    )

    try:
        return Path(snapshot_download(name, allow_patterns=files))
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(
            f"setting autoencoder: no folder {name!r}, and the hub does not give it ({told})"
        ) from None


def _installed() -> None:
    if find_spec("diffusers") is None:
        raise InputError(
            "setting autoencoder: it needs diffusers: pip install 'sourcewise[latents]'"
        )


@lru_cache(maxsize=1)
def _network(folder: Path, digest: str) -> Any:
    """The network of diffusers, without gradients; the digest tells others apart."""
    _installed()
    from diffusers.models.autoencoders.autoencoder_kl import (  # pyright: ignore[reportMissingImports]
        AutoencoderKL,
    )

    with torch.random.fork_rng(devices=()):  # layers of torch draw as they are made
        network = AutoencoderKL.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
    return network.eval().requires_grad_(False)


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes")
    return path.read_bytes()


def _digest_of(path: Path) -> bytes:
    """Of a file; it is read again only if it has changed."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> bytes:
    found = blake2b(digest_size=16)
    with open(path, "rb") as file:
        while part := file.read(PART):
            found.update(part)
    return found.digest()
