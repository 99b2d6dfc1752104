"""NumPy and torch arrays -> `Sources`."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from sourcewise.errors import InputError, counted, listing
from sourcewise.forms import Images
from sourcewise.limits import MOST_BYTES, MOST_SOURCES, check_columns
from sourcewise.readers.distinct import level, recorded_decimals
from sourcewise.readers.kinds import EXACT
from sourcewise.sources import Sources

__all__ = ["from_arrays", "images_of", "labelled", "top_of"]

_WORDS = {
    "c": "complex numbers",
    "M": "dates",
    "m": "durations",
    "S": "bytes",
    "U": "text",
    "T": "text",
    "V": "named fields",
}
_TOPS = (1, 16, 255)  # the largest value of a pixel: ink or none, counts in blocks of 4 x 4, bytes
_TABLE = "or bring a table with a column that names the source"


def from_arrays(
    x: Any, y: Any, names: Sequence[str] | np.ndarray | None = None, name: str = "data"
) -> Sources:
    """A pair of arrays.

    Args:
        x: (n, ...) numbers: floats become float64 with the decimals that they were recorded with
            (images stay float32), others uint8 or int64; masked values and gaps become NaN. Bytes
            (n, H, W), (n, H, W, C) or (n, C, H, W) become `Images`, see `images_of`.
        y: (n,) or (n, 1) the source of each row: numbers or text.
        names: the sources' names, if y holds their indices; otherwise y's different values.
        name: what the data set is called.
    """
    x, y = _numbers(_array(x, "x")), _array(y, "y")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if x.ndim == 0 or y.shape != x.shape[:1]:
        raise InputError(f"x has shape {x.shape} and y {y.shape}: y needs one entry per row of x")
    if x.ndim == 2:
        check_columns(x.shape[1], name)
    if len(x) and not x.size:
        raise InputError(f"x has shape {x.shape}: its rows hold no values")
    if x.dtype.kind == "f" and np.isinf(x).any():
        row = int(np.isinf(x.reshape(len(x), -1)).any(1).argmax()) + 1
        raise InputError(f"x holds infinite values (first: row {row})")
    codes, texts = labelled(y, names)
    return Sources(_form(x), torch.from_numpy(codes), texts, name=name, notes=_columns_told(x))


def labelled(
    y: np.ndarray, names: Sequence[str] | np.ndarray | None = None
) -> tuple[np.ndarray, list[str]]:
    """(n,) the number of each row's source, and the names of all sources.

    >>> labelled(np.array(["b", "a", "b"]))
    (array([1, 0, 1]), ['a', 'b'])

    Args:
        y: (n,) the source of each row: numbers or text.
        names: the sources' names, if y holds their indices; otherwise y's different values.
    """
    y = _labels(y)
    if names is not None:
        if y.dtype.kind not in "iu":
            raise InputError("y must hold integers where names are given")
        y = y.astype(np.int64)
        return y, _texts(names, y)
    values, codes = np.unique(y, return_inverse=True)
    return codes, [str(value) for value in values.tolist()]


def images_of(x: np.ndarray) -> Images:
    """Bytes as `Images`.

    An array (n, H, W) is grey. Of four axes the last is the channels if it is 1 or 3 long, as
    files have it; otherwise the second must be, as torch has it. The largest value that a pixel
    can have is 1, 16 or 255: the smallest of them that none exceeds.

    >>> images_of(np.zeros((5, 8, 9, 3), np.uint8)).shape
    (3, 8, 9)

    Raises:
        InputError: there is no such axis.
    """
    if x.ndim == 3:
        x = x[:, None]
    elif x.shape[3] in (1, 3):
        x = np.moveaxis(x, 3, 1)
    elif x.shape[1] not in (1, 3):
        raise InputError(
            f"x has shape {x.shape}: images are (n, H, W), (n, H, W, C) or (n, C, H, W), with "
            "C = 1 (grey) or 3 (RGB) channels"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that what is mapped may not be written to
        return Images.of(torch.from_numpy(x), top_of(x))


def top_of(pixels: np.ndarray) -> int:
    """The largest value that a pixel can have, by those that there are."""
    highest = int(pixels.max(initial=0))
    return next(value for value in _TOPS if highest <= value)


def _form(x: np.ndarray) -> torch.Tensor | Images:
    """Images, or numbers as they are."""
    return images_of(x) if _are_images(x) else torch.from_numpy(x)


def _are_images(x: np.ndarray) -> bool:
    return x.dtype == np.uint8 and x.ndim in (3, 4)


def _columns_told(x: np.ndarray) -> tuple[str, ...]:
    """A note of an array of several axes whose values become columns, since they are no bytes."""
    if x.ndim < 3 or _are_images(x):
        return ()
    read = f"x has shape {x.shape} and is read as {math.prod(x.shape[1:])} columns of numbers"
    if x.ndim > 4:
        return (read,)
    share = x.dtype.kind == "f" and bool((x >= 0).all() and (x <= 1).all())
    made = "(255 * x).round().astype('uint8')" if share else "x.astype('uint8')"
    lost = "" if share else ", if its values are whole numbers from 0 to 255"
    return (f"{read}, not as images, which are bytes: {made} makes them so{lost}",)


def _array(values: Any, what: str) -> np.ndarray:
    """A copy of the values; of objects where some are missing, or are no longer exact."""
    if isinstance(values, torch.Tensor):
        values = _of_torch(values, what)
    if hasattr(values, "toarray"):
        size = np.prod(values.shape, dtype=float) * 8
        if size > MOST_BYTES:
            raise InputError(
                f"{what} is sparse and takes {size / 2**30:.0f} GiB when it is filled (at most "
                f"{MOST_BYTES >> 30})"
            )
        values = values.toarray()
    if isinstance(values, np.memmap) and values.dtype == np.uint8:
        return values  # images on disk stay there
    try:
        array = np.array(values)
        untyped = not hasattr(values, "dtype") and array.dtype.kind == "f"
        if untyped and np.abs(array).max(initial=0) > EXACT:  # perhaps of whole numbers
            array = np.array(values, dtype=object)
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{what} is no array: its rows differ in shape") from None
    if isinstance(values, np.ma.MaskedArray) and array.dtype.names is None:
        masked = np.ma.getmaskarray(values)
        if masked.any():
            array = array.astype(object)
            array[masked] = None
    return array


def _of_torch(values: torch.Tensor, what: str) -> np.ndarray:
    try:
        values = values.to_dense() if values.layout != torch.strided else values
        # NumPy has no bfloat16.
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy(force=True)
    except (RuntimeError, TypeError, NotImplementedError):
        raise InputError(f"{what} is a tensor that NumPy does not know: {values.dtype}") from None


def _numbers(x: np.ndarray) -> np.ndarray:
    """As the nearest of the types that torch fully supports, in native byte order."""
    x = _of_objects(x) if x.dtype.kind == "O" else x
    kind, size = x.dtype.kind, x.dtype.itemsize
    if kind not in "biuf":
        words = _WORDS.get(kind, str(x.dtype))
        raise InputError(f"x must be an array of numbers, not of {words}: make it so, {_TABLE}")
    if kind == "f":
        if size <= 4 and x.ndim <= 2:
            return recorded_decimals(x)
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            return x.astype(np.float32 if size <= 4 else np.float64, copy=False)
    if kind in "iu" and x.size and (x.max() > EXACT or x.min() < -EXACT):
        row = (
            int(((x > EXACT) | (x < -EXACT)).reshape(len(x), -1).any(1).argmax()) if x.ndim else 0
        )
        raise _too_large(row)
    return x.astype(np.uint8 if kind in "bu" and size == 1 else np.int64, copy=False)


def _of_objects(x: np.ndarray) -> np.ndarray:
    """Python's numbers as an array, with NaN for gaps."""
    gap = np.asarray(pd.isna(x))
    present = x[~gap].tolist()
    kinds = {type(value) for value in present}
    others = [kind for kind in kinds if not issubclass(kind, int | float | np.bool | np.number)]
    if others or any(issubclass(kind, complex | np.complexfloating) for kind in kinds):
        words = listing(sorted(kind.__name__ for kind in kinds))
        raise InputError(
            f"x must be an array of numbers, not of objects ({words}): make it so, {_TABLE}"
        )
    whole = [isinstance(v, int | np.integer) and abs(int(v)) > EXACT for v in present]
    if any(whole):
        first = np.flatnonzero(~gap.ravel())[whole.index(True)]
        raise _too_large(int(np.unravel_index(first, x.shape)[0]) if x.ndim else 0)
    if not gap.any() and all(issubclass(kind, int | np.integer | np.bool) for kind in kinds):
        return x.astype(np.int64)
    out = np.full(x.shape, np.nan)
    out[~gap] = np.array(present, dtype=np.float64)
    return out


def _too_large(row: int) -> InputError:
    return InputError(
        f"x holds whole numbers above 2^53 (first: row {row + 1}), which floats do not tell "
        "apart: bring a table with a column that names the source, where they are a category"
    )


def _labels(y: np.ndarray) -> np.ndarray:
    """Sources as numbers or text."""
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise InputError("y holds NaN or infinity")
    if y.dtype.kind == "O":
        gap = np.asarray(pd.isna(y))
        if gap.any():
            told = counted(int(gap.sum()), "row")
            raise InputError(f"y is empty in {told} (first: row {int(gap.argmax()) + 1})")
        return _texts_of_objects(y)
    if y.dtype.kind not in "biufUT":
        words = _WORDS.get(y.dtype.kind, str(y.dtype))
        raise InputError(f"y must be an array of numbers or text, not of {words}: y.astype(str)")
    return y


def _texts_of_objects(y: np.ndarray) -> np.ndarray:
    """Labels of any types as text, or whole numbers; no two may be one text."""
    if all(type(value) is int and abs(value) < 2**63 for value in y):
        return y.astype(np.int64)
    kept: dict[str, object] = {}
    for value in y:
        if not isinstance(value, str | int | float | np.bool | np.number):
            raise InputError(
                f"y must be an array of numbers or text, not of objects ({type(value).__name__})"
            )
        other = kept.setdefault(level(value), value)
        if type(other) is not type(value):
            raise InputError(f"y holds {other!r} and {value!r}: are they one? make it one type")
    return np.array([level(value) for value in y])


def _texts(names: Any, y: np.ndarray) -> list[str]:
    """The sources' names, if they are texts and enough for the indices in y."""
    texts = list(names) if np.iterable(names) and not isinstance(names, str) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError("names must be a one-dimensional array of text")
    if len(texts) > MOST_SOURCES:
        raise InputError(f"{len(texts)} names (at most {MOST_SOURCES})")
    if y.size and y.max() >= len(texts):
        raise InputError(f"{len(texts)} names, but y goes up to {y.max()}: name each source")
    return texts
