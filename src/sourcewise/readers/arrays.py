"""NumPy and torch arrays, and .npz files, -> `Sources`."""

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sourcewise.errors import InputError, unknown
from sourcewise.limits import LONGEST_NAME, MOST_BYTES, MOST_SOURCES, check_columns
from sourcewise.readers.registry import ReadOptions
from sourcewise.sources import Sources

__all__ = ["array_names", "from_arrays", "read_npz"]


def from_arrays(
    x: Any, y: Any, names: Sequence[str] | np.ndarray | None = None, name: str = "data"
) -> Sources:
    """A pair of arrays.

    Args:
        x: (n, ...) numbers; kept as float32, float64, uint8 or int64.
        y: (n,) the source of each row: numbers or text.
        names: the sources' names, if y holds their indices; otherwise y's different values.
        name: what the data set is called.
    """
    x, y = _native(_array(x, "x", "biuf")), _array(y, "y", "biufUT")
    if x.ndim == 0 or y.shape != x.shape[:1]:
        raise InputError(f"x has shape {x.shape} and y {y.shape}: y needs one entry per row of x")
    if x.ndim == 2:
        check_columns(x.shape[1], name)
    if len(x) and not x.size:
        raise InputError(f"x has shape {x.shape}: its rows hold no values")
    if x.dtype.kind == "f" and np.isinf(x).any():
        row = int(np.isinf(x.reshape(len(x), -1)).any(1).argmax()) + 1
        raise InputError(f"x holds infinite values (first: row {row})")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise InputError("y holds NaN or infinity")
    if names is not None:
        if y.dtype.kind not in "iu":
            raise InputError("y must hold integers where names are given")
        y = y.astype(np.int64)
        return Sources(torch.from_numpy(x), torch.from_numpy(y), _texts(names, y), name=name)
    values, codes = np.unique(y, return_inverse=True)
    return Sources(torch.from_numpy(x), torch.from_numpy(codes), values.tolist(), name=name)


def _array(values: Any, what: str, kinds: str) -> np.ndarray:
    """A copy of the values, whose dtype must be of one of NumPy's `kinds`."""
    if isinstance(values, torch.Tensor):  # NumPy has no bfloat16
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy(force=True)
    try:
        array = np.array(values)
    except ValueError:
        raise InputError(f"{what} is no array: its rows differ in shape") from None
    if "U" in kinds and array.dtype.kind == "O" and all(isinstance(v, str) for v in array.flat):
        array = array.astype(str)  # labels as pandas keeps them
    if array.dtype.kind not in kinds:
        allowed = "numbers or text" if "U" in kinds else "numbers"
        raise InputError(f"{what} must be an array of {allowed}, not of {array.dtype}")
    return array


def _native(x: np.ndarray) -> np.ndarray:
    """Numbers as the nearest of the types that torch fully supports, in native byte order."""
    kind, size = x.dtype.kind, x.dtype.itemsize
    if kind == "f":
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            return x.astype(np.float32 if size <= 4 else np.float64, copy=False)
    if kind == "u" and x.size and x.max() > np.iinfo(np.int64).max:
        raise InputError(f"x holds whole numbers above {np.iinfo(np.int64).max}")
    return x.astype(np.uint8 if kind in "bu" and size == 1 else np.int64, copy=False)


def _texts(names: Any, y: np.ndarray) -> list[str]:
    """The sources' names, if they are texts and enough for the indices in y."""
    texts = list(names) if np.iterable(names) and not isinstance(names, str) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError("names must be a one-dimensional array of text")
    if y.size and y.max() >= len(texts):
        raise InputError(f"{len(texts)} names, but y goes up to {y.max()}: name each source")
    return texts


def read_npz(path: Path, options: ReadOptions, name: str) -> Sources:
    """Read `x`, the source array (`y` unless named) and, if present, `names`; never a pickle."""
    named, source = options.source is not None, options.source or "y"
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in ("x", source):
                if key not in archive.files:
                    error = unknown(f"array in {path}", key, archive.files)
                    hint = (
                        "" if named or key == "x" else "; --source NAME says where rows are from"
                    )
                    raise InputError(f"{error}{hint}")
            keys = [key for key in ("x", source, "names") if key in archive.files]
            arrays = {key: _load(archive, key, path) for key in keys}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged or no .npz file: {error}") from None
    return from_arrays(arrays["x"], arrays[source], arrays.get("names"), name)


def array_names(path: str | Path) -> tuple[str, ...]:
    """What an .npz file holds; nothing of one that cannot be read, which `read_npz` tells."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return tuple(archive.files)
    except (OSError, zipfile.BadZipFile, EOFError, ValueError):
        return ()


def _refuse_large(archive: Any, key: str, path: Path) -> None:
    """Raise by what the header says of an array, before any of it is unpacked."""
    member = f"{key}.npy" if f"{key}.npy" in archive.zip.namelist() else key
    with archive.zip.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = "read_array_header_1_0" if version == (1, 0) else "read_array_header_2_0"
        shape, _, kind = getattr(np.lib.format, read)(file)
    where = f"{path}: array {key!r}"
    if kind.kind == "U" and kind.itemsize > 4 * LONGEST_NAME:
        longest = f"{kind.itemsize // 4} characters (at most {LONGEST_NAME})"
        raise InputError(f"{where} holds names of {longest}")
    if key == "names" and math.prod(shape) > MOST_SOURCES:
        raise InputError(f"{where} holds {math.prod(shape)} names (at most {MOST_SOURCES})")
    if math.prod(shape) * kind.itemsize > MOST_BYTES:
        size = f"{math.prod(shape) * kind.itemsize >> 30} GiB (at most {MOST_BYTES >> 30})"
        raise InputError(f"{where} takes {size}")


def _load(archive: Any, key: str, path: Path) -> np.ndarray:
    try:
        _refuse_large(archive, key, path)
        return archive[key]
    except ValueError as error:
        if "pickle" in str(error).lower():
            message = f"{path}: array {key!r} holds pickled objects, which are never read"
            raise InputError(message) from None
        raise
