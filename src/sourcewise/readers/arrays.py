"""NumPy and torch arrays, and .npz files, -> `Sources`."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sourcewise.errors import InputError, unknown
from sourcewise.sources import Sources

__all__ = ["from_arrays", "read_npz"]


def from_arrays(x: Any, y: Any, names: Sequence[str] | None = None, name: str = "data") -> Sources:
    """A pair of arrays.

    Args:
        x: (n, ...) numbers.
        y: (n,) the source of each row: integers or text.
        names: the sources' names, if y holds their indices; otherwise y's different values.
        name: what the data set is called.
    """
    x, y = _array(x, "x"), _array(y, "y", numbers=False)
    if x.ndim == 0 or y.shape != x.shape[:1]:
        raise InputError(f"x has shape {x.shape} and y {y.shape}: y needs one entry per row of x")
    _refuse_infinite(x)
    if names is not None:
        if y.dtype.kind not in "iu":
            raise InputError("y must hold integers where names are given")
        return Sources(torch.from_numpy(x), torch.from_numpy(y.astype(np.int64)), names, name=name)
    values, codes = np.unique(y, return_inverse=True)
    return Sources(torch.from_numpy(x), torch.from_numpy(codes), values.tolist(), name=name)


def _array(values: Any, what: str, numbers: bool = True) -> np.ndarray:
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    array = np.array(array)
    if array.dtype.kind == "O" or (numbers and array.dtype.kind not in "biuf"):
        raise InputError(f"{what} must be an array of numbers, not of {array.dtype}")
    if numbers and array.dtype.kind != "f":
        array = array.astype(np.uint8 if array.dtype == bool else array.dtype)
    if not numbers and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{what} holds NaN or infinity")
    return array


def _refuse_infinite(x: np.ndarray) -> None:
    if x.dtype.kind == "f" and np.isinf(x).any():
        row = int(np.isinf(x.reshape(len(x), -1)).any(1).argmax()) + 1
        raise InputError(f"x holds infinite values (first: row {row})")


def read_npz(path: Path, *, source: str | None = None, name: str = "data") -> Sources:
    """Read `x`, the source array (`y` unless named) and, if present, `names`; never a pickle."""
    source = source or "y"
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in ("x", source):
                if key not in archive.files:
                    raise unknown(f"array in {path}", key, archive.files)
            keys = [key for key in ("x", source, "names") if key in archive.files]
            arrays = {key: _load(archive, key, path) for key in keys}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged or no .npz file: {error}") from None
    names = arrays["names"].tolist() if "names" in arrays else None
    return from_arrays(arrays["x"], arrays[source], names, name)


def _load(archive: Any, key: str, path: Path) -> np.ndarray:
    try:
        return archive[key]
    except ValueError as error:
        if "pickle" in str(error).lower():
            message = f"{path}: array {key!r} holds pickled objects, which are never read"
            raise InputError(message) from None
        raise
