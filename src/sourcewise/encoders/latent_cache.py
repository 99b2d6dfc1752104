"""Latents that were made once, on disk: all strategies and runs share them.

The folder is `SOURCEWISE_CACHE`, otherwise the one where the system keeps what can be made again.
For each autoencoder, shape and range of images it holds a folder of files, each of up to a
thousand images: their keys and latents. Files are written once and atomically; one that is damaged
is removed, and its latents are made again.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.errors import Damaged
from sourcewise.files import read_tensors, write_tensors

__all__ = ["cache_folder", "cached"]

VARIABLE = "SOURCEWISE_CACHE"
TOGETHER = 1024  # images of a file
ENDING = ".safetensors"


def cache_folder() -> Path:
    """Where things are kept that can be made again."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    home = Path("~").expanduser()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "sourcewise"


def cached(
    folder: Path, keys: Sequence[bytes], shape: Sequence[int], make: Callable[[Tensor], Tensor]
) -> Tensor:
    """(n, *shape) float32, of each key what was kept of it, or is made now.

    Args:
        folder: of what is made in the same way.
        keys: of n things, 16 bytes each; things with the same key are the same.
        shape: of what is kept of a thing.
        make: gives (m, *shape) of the things at an index (m,); each is asked for once.
    """
    values, places = torch.empty(len(keys), *shape), _places(keys)
    for path in sorted(folder.glob(f"*{ENDING}")):
        if not places:
            break
        _take(path, values, places)
    wanted = list(places.items())
    for start in range(0, len(wanted), TOGETHER):
        part = wanted[start : start + TOGETHER]
        made = make(torch.tensor([rows[0] for _, rows in part])).float()
        for (_, rows), value in zip(part, made, strict=True):
            values[rows] = value
        _keep(folder, [key for key, _ in part], made)
    return values


def _places(keys: Sequence[bytes]) -> dict[bytes, list[int]]:
    """The rows of each key."""
    found: dict[bytes, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found


def _take(path: Path, values: Tensor, places: dict[bytes, list[int]]) -> None:
    """Fill in what a file holds, and take it off the list of what is missing."""
    try:
        held = read_tensors(path)
        keys, kept = held["keys"], held["values"]
        if keys.shape != (len(kept), 16) or kept.shape[1:] != values.shape[1:]:
            raise Damaged(f"{path} is damaged: other shapes")
    except (Damaged, KeyError):
        with contextlib.suppress(OSError):  # whoever may not remove it makes its values each time
            path.unlink()
        return
    for key, value in zip(map(bytes, keys.numpy()), kept, strict=True):
        if rows := places.pop(key, None):
            values[rows] = value


def _keep(folder: Path, keys: Sequence[bytes], values: Tensor) -> None:
    """Write a file; where that cannot be done, values are made again next time."""
    name = blake2b(b"".join(keys), digest_size=16).hexdigest()
    held = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(-1, 16)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / f"{name}{ENDING}", {"keys": held, "values": values})
