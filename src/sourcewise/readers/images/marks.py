"""What a folder holds, by names and the first bytes of files; this imports no Pillow."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from sourcewise.readers.files import is_no_data

__all__ = ["IDX", "is_idx", "is_image_folder"]

# Names of idx files: train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte.
IDX = re.compile(r"(.*?)[-_.]?(images|labels)[-_.]idx([0-9])[-_.]ubyte(\.gz)?", re.IGNORECASE)
_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".webp", ".avif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
_TEXT = (".txt", ".fasta", ".fa", ".fna", ".faa", ".gz")
_MARKS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
)


def is_idx(path: Path) -> bool:
    """Whether a path is an idx file, or a folder that holds some."""
    if path.is_dir():
        return any(IDX.fullmatch(entry.name) for entry in _files(path))
    return IDX.fullmatch(path.name) is not None


def is_image_folder(folder: Path) -> bool:
    """Whether a folder, or one in it, holds a file that is an image or called like one."""
    return any(_is_image(entry) for entry in _files(folder, deep=True))


def _files(folder: Path, deep: bool = False) -> Iterator[os.DirEntry[str]]:
    """The files in a folder; of what may not be looked at, none."""
    inner = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_no_data(entry.name):
                    continue
                if entry.is_dir():
                    inner.append(entry)
                elif entry.is_file():
                    yield entry
    except OSError:
        return
    for entry in inner if deep else ():
        yield from _files(Path(entry.path))


def _is_image(entry: os.DirEntry[str]) -> bool:
    """By its ending, or, unless that is one of text, by its first bytes."""
    name = entry.name.lower()
    if name.endswith((*_ENDINGS, *_TEXT)):
        return not name.endswith(_TEXT)
    try:
        with open(entry.path, "rb") as file:
            first = file.read(12)
    except OSError:
        return False
    return first.startswith(_MARKS) or (first[:4] == b"RIFF" and first[8:] == b"WEBP")
