"""A folder of idx files (MNIST's format) -> `Sources`.

An idx file is two zero bytes, the type of its values (8: bytes), the number of axes, the length of
each as 32 bits, high byte first, then the values (LeCun, Cortes and Burges, "The MNIST database").
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO

import numpy as np
import torch

from sourcewise.errors import InputError, listing
from sourcewise.forms import Images
from sourcewise.limits import MOST_BYTES, check_unpacked
from sourcewise.places import Places
from sourcewise.readers.arrays import top_of
from sourcewise.readers.files import is_no_data, natural, open_file, reading
from sourcewise.readers.images.marks import IDX
from sourcewise.readers.images.room import room_for
from sourcewise.readers.registry import ReadOptions
from sourcewise.sources import Sources

__all__ = ["read_idx"]

_BYTES = 8
_PART = 1 << 20
_AXES = {"images": 3, "labels": 1}


@dataclass(frozen=True)
class _Pair:
    """Images and their labels."""

    images: Path
    labels: Path


@dataclass(frozen=True)
class _Where:
    """Where images stand: which of a file."""

    files: Sequence[Path]
    ends: Sequence[int]

    def __call__(self, i: int) -> str:
        part = int(np.searchsorted(self.ends, i, side="right"))
        return f"{self.files[part]}, image {i - (0, *self.ends)[part] + 1}"


def read_idx(path: Path, options: ReadOptions, name: str) -> Sources:
    """All pairs of images and labels, which their names tell: train-images and train-labels.

    The sources are the labels, as numbers; several pairs (train, t10k) are one sample. Of a file
    of images or labels, with its other half beside it, these alone are read, whatever else the
    folder holds.
    """
    out: list[str] = []
    pairs = list(_pairs(_entries(path) if path.is_dir() else _halves(path), out))
    shapes = [_shape(pair.images) for pair in pairs]
    if len({shape[1:] for shape in shapes}) > 1:
        raise InputError(
            f"{path}: images of different sizes: "
            + listing(
                f"{w} x {h} ({pair.images.name})"
                for pair, (_, h, w) in zip(pairs, shapes, strict=True)
            )
        )
    counts = [n for n, _, _ in shapes]
    pixels = room_for(sum(counts), (1, *shapes[0][1:]))
    y = np.empty(sum(counts), np.uint8)
    ends = list(accumulate(counts))
    for pair, end, n in zip(pairs, ends, counts, strict=True):
        _check_labels(pair, n)
        _read_values(pair.images, pixels.numpy()[end - n : end])
        _read_values(pair.labels, y[end - n : end])
    labels, codes = np.unique(y, return_inverse=True)
    images = Images.of(pixels, top_of(pixels.numpy()))
    notes = [f"left out, as no data: {listing(sorted(out))}"] if out else []
    return Sources(
        images,
        torch.from_numpy(codes),
        labels.tolist(),
        name=name,
        notes=tuple(notes),
        places=Places(_Where([pair.images for pair in pairs], ends)),
    )


def _entries(folder: Path) -> list[Path]:
    """All that a folder holds, in natural order."""
    with reading(folder):
        return sorted(folder.iterdir(), key=lambda entry: natural(entry.name))


def _halves(path: Path) -> list[Path]:
    """A file of images or labels, and the files beside it that may be its other half."""
    own = IDX.fullmatch(path.name)
    assert own is not None  # or it would not be read here
    found = [path]
    for entry in _entries(path.parent):
        match = IDX.fullmatch(entry.name)
        if match and match[1].lower() == own[1].lower() and match[2].lower() != own[2].lower():
            found.append(entry)
    return found


def _pairs(entries: Sequence[Path], out: list[str]) -> Iterator[_Pair]:
    """Each file of images with the file of its labels; what is no data is added to `out`."""
    found: dict[str, dict[str, Path]] = {}
    for entry in entries:
        match = IDX.fullmatch(entry.name)
        if is_no_data(entry.name):
            out.append(entry.name)
        elif match is None:
            raise InputError(f"{entry.parent} holds idx files and {entry.name}: move it elsewhere")
        else:
            other = found.setdefault(match[1].lower(), {}).setdefault(match[2].lower(), entry)
            if other is not entry:
                raise InputError(f"{entry.parent} holds {other.name} and {entry.name}: remove one")
    for part in found.values():
        if len(part) == 1:
            what, file = next(iter(part.items()))
            other = "labels" if what == "images" else "images"
            raise InputError(
                f"{file} has no {other}: bring the file of the same name with {other} for {what}"
            )
        yield _Pair(part["images"], part["labels"])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """A file at its first value, and the lengths of its axes.

    Raises:
        InputError: it is no idx file of bytes, or says that it holds more than it can.
    """
    with reading(path), open_file(path) as file:
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or not head[3]:
            raise InputError(f"{path} is damaged or no idx file")
        if head[2] != _BYTES:
            raise InputError(f"{path} holds values of type {head[2]}: bytes ({_BYTES}) are read")
        axes = file.read(4 * head[3])
        if len(axes) != 4 * head[3]:
            raise InputError(f"{path} is damaged: it ends within its head")
        yield file, tuple(np.frombuffer(axes, ">u4").tolist())


def _shape(path: Path) -> tuple[int, int, int]:
    """Number, height and width of the images in a file."""
    with _opened(path) as (_, lengths):
        if len(lengths) != _AXES["images"]:
            raise InputError(f"{path} holds {len(lengths)} axes: images have 3 (n, H, W)")
        _check_size(path, lengths)
        n, H, W = lengths
        return n, H, W


def _check_labels(pair: _Pair, n: int) -> None:
    with _opened(pair.labels) as (_, lengths):
        if len(lengths) != _AXES["labels"]:
            raise InputError(f"{pair.labels} holds {len(lengths)} axes: labels have one")
        if lengths[0] != n:
            raise InputError(
                f"{pair.labels} holds {lengths[0]} labels, {pair.images.name} {n} images"
            )


def _check_size(path: Path, lengths: Sequence[int]) -> None:
    """Raise for images without pixels, or more of them than the file can hold."""
    if 0 in lengths:
        raise InputError(f"{path} holds no pixels: its axes are {listing(lengths)} long")
    size, packed = math.prod(lengths), path.stat().st_size
    if path.suffix.lower() != ".gz" and size > packed:
        raise _wrong_size(path)
    if size > MOST_BYTES:
        raise InputError(f"{path} takes {size / 2**30:.0f} GiB (at most {MOST_BYTES >> 30})")
    check_unpacked(size, packed, path, "unpack it first")


def _read_values(path: Path, out: np.ndarray) -> None:
    """All values of a file, into their place."""
    with _opened(path) as (file, _):
        left = out.reshape(-1)
        while part := file.read(min(_PART, max(len(left), 1))):  # a byte more than there is room
            if len(part) > len(left):
                raise _wrong_size(path)
            left[: len(part)] = np.frombuffer(part, np.uint8)
            left = left[len(part) :]
        if len(left):
            raise _wrong_size(path)


def _wrong_size(path: Path) -> InputError:
    return InputError(f"{path} is damaged: it does not hold as many values as it says")
