"""Arrays in .npz files, each checked by what it says of itself before any memory is spent."""

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from sourcewise.errors import InputError
from sourcewise.limits import LONGEST_NAME, MOST_BYTES, check_unpacked
from sourcewise.readers.files import reading, refuse_special

__all__ = ["load_arrays", "names_in"]

_BEST_RATIO = 1032  # that deflate can reach
_END = ".npy"


def names_in(path: Path) -> tuple[str, ...]:
    """The arrays that a file holds.

    Raises:
        InputError: it is no .npz file.
    """
    refuse_special(path)
    with _archive(path) as archive:
        return tuple(name.removesuffix(_END) for name in archive.namelist())


def load_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Some of the arrays of a file; nothing pickled is ever read.

    Raises:
        InputError: an array is damaged, encrypted, or larger than it can be.
    """
    found = {}
    with _archive(path) as archive:
        for name in names:
            item, where = archive.getinfo(name + _END), f"{path}: array {name!r}"
            _check_item(item, where)
            with archive.open(item) as file:
                _check_header(file, item.file_size, where)
            with archive.open(item) as file:
                found[name] = np.lib.format.read_array(file, allow_pickle=False)
    return found


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with reading(path):
        with path.open("rb"):  # which says why it cannot be opened
            pass
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path} is damaged or no .npz file")
        with zipfile.ZipFile(path) as archive:
            yield archive


def _check_item(item: zipfile.ZipInfo, where: str) -> None:
    """Raise by what the archive says of an array."""
    if item.flag_bits & 1:
        raise InputError(f"{where} is encrypted: write the file without a password")
    if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{where} is packed in a way that NumPy does not write")
    packed = item.compress_type == zipfile.ZIP_DEFLATED
    if item.file_size > item.compress_size * (_BEST_RATIO if packed else 1):
        raise InputError(f"{where} is damaged: it says that it is larger than it can be")
    if item.file_size > MOST_BYTES:
        size = f"{item.file_size / 2**30:.0f} GiB (at most {MOST_BYTES >> 30})"
        raise InputError(f"{where} takes {size}")
    remedy = "save it with numpy.savez, which packs nothing"
    check_unpacked(item.file_size, item.compress_size, where, remedy)


def _check_header(file: IO[bytes], size: int, where: str) -> None:
    """Raise by what an array says of itself.

    Args:
        file: at its beginning.
        size: bytes that it has.
        where: it stands, for messages.
    """
    version = np.lib.format.read_magic(file)
    form = np.lib.format
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise InputError(f"{where} holds pickled objects, which are never read")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise InputError(f"{where} is damaged: it does not hold as many values as it says")
    if dtype.kind == "U" and dtype.itemsize > 4 * LONGEST_NAME:
        longest = f"{dtype.itemsize // 4} characters (at most {LONGEST_NAME})"
        raise InputError(f"{where} holds text of {longest}")
