"""Room for the pixels of all images: in memory if they are few, otherwise in a nameless file.

The file lies in the folder for temporary files (`TMPDIR`), is mapped into memory, and goes with
the process, however that ends: the system writes to it and reads from it as memory gets scarce.
Its room on the disk is taken at once, so that a full disk is told before an hour is spent.
"""

import math
import mmap
import os
import tempfile
from errno import EINVAL, ENOSPC, EOPNOTSUPP

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError

__all__ = ["room_for"]

_IN_MEMORY = 1 << 22  # bytes
_PART = 1 << 20


def room_for(n: int, shape: tuple[int, int, int]) -> Tensor:
    """(n, C, H, W) uint8 zeros.

    >>> room_for(2, (1, 3, 4)).shape
    torch.Size([2, 1, 3, 4])

    Raises:
        InputError: the disk has no room for them.
    """
    size = n * math.prod(shape)
    if size <= _IN_MEMORY:
        return torch.zeros((n, *shape), dtype=torch.uint8)
    try:
        with tempfile.TemporaryFile(prefix="sourcewise-") as file:
            _take(file.fileno(), size)
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        full = "too little room" if error.errno == ENOSPC else error.strerror or str(error)
        raise InputError(
            f"{size / 2**20:.0f} MiB of pixels go to a temporary file in {_folder()}: {full} "
            "(TMPDIR names another folder, --size makes images smaller)"
        ) from None
    return torch.from_numpy(np.frombuffer(mapped, np.uint8).reshape(n, *shape))


def _take(handle: int, size: int) -> None:
    """Take room on the disk: writing to a map of a file that has none would kill the process."""
    try:
        os.posix_fallocate(handle, 0, size)
    except AttributeError:  # not on every system
        _fill(handle, size)
    except OSError as error:
        if error.errno not in (EINVAL, EOPNOTSUPP):
            raise
        _fill(handle, size)


def _fill(handle: int, size: int) -> None:
    for start in range(0, size, _PART):
        os.write(handle, bytes(min(_PART, size - start)))


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "no folder at all"
