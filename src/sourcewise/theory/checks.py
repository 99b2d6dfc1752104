"""Checks of arguments: a bad one is an `InputError` that names the argument and its range."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.errors import InputError

__all__ = [
    "Floats",
    "above",
    "blocks",
    "confidence",
    "counts",
    "dimensions",
    "number",
    "numbers",
    "plain",
    "positive",
    "shares",
    "weights",
    "whole",
    "wholes",
]

Floats = NDArray[np.float64]


def number(name: str, value: float, low: float, high: float = math.inf) -> float:
    """The value itself if `low <= value <= high` and finite."""
    if not low <= value <= high or math.isinf(value):
        raise InputError(f"{name} must be in [{low:g}, {high:g}], got {value!r}")
    return value


def positive(name: str, value: float) -> float:
    """The value itself if it is above 0 and finite."""
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be above 0 and finite, got {value!r}")
    return value


def whole(name: str, value: float, low: int, high: int | None = None) -> int:
    """The value as an int if it is a whole number from low to high."""
    finite = math.isfinite(value)
    if not finite or value != int(value) or value < low or (high is not None and value > high):
        upper = "" if high is None else f" and at most {high}"
        raise InputError(f"{name} must be a whole number, at least {low}{upper}, got {value!r}")
    return int(value)


def numbers(name: str, values: ArrayLike, low: float, high: float = math.inf) -> Floats:
    """The values as floats if each is in [low, high] and finite."""
    array = np.asarray(values, dtype=np.float64)
    bad = ~((array >= low) & (array <= high)) | np.isinf(array)
    return _refused(array, bad, f"{name} must be in [{low:g}, {high:g}]")


def above(name: str, values: ArrayLike) -> Floats:
    """The values as floats if each is above 0 and finite."""
    array = np.asarray(values, dtype=np.float64)
    return _refused(
        array, ~((array > 0) & (array < math.inf)), f"{name} must be above 0 and finite"
    )


def wholes(name: str, values: ArrayLike, low: int, high: ArrayLike | None = None) -> Floats:
    """The values as floats if each is a whole number from low to high (broadcast)."""
    array = np.asarray(values, dtype=np.float64)
    bad = ~((array >= low) & (array == np.round(array)) & np.isfinite(array))
    _refused(array, bad, f"{name} must be a whole number, at least {low}")
    if high is not None:
        each, top = np.broadcast_arrays(array, np.asarray(high, dtype=np.float64))
        for value in each[each > top][:1]:
            raise InputError(f"{name} must be at most {np.min(top):g}, got {value:g}")
    return array


def confidence(delta: ArrayLike) -> Floats:
    """The error probabilities as floats if each is inside (0, 1)."""
    array = np.asarray(delta, dtype=np.float64)
    return _refused(array, ~((array > 0) & (array < 1)), "delta must be above 0 and below 1")


def _refused(array: Floats, bad: NDArray[np.bool_], text: str) -> Floats:
    """The array, unless something is bad: the first such number is told."""
    for value in array[bad].ravel()[:1].tolist():
        raise InputError(f"{text}, got {value!r}")
    return array


def dimensions(d: int, d1: int) -> None:
    """Pass if `d >= 1` coordinates, of which `0 <= d1 <= d` are source-specific."""
    whole("d1", d1, 0, whole("d", d, 1))


def shares(p: ArrayLike | Sequence[Any]) -> Floats:
    """The shares as an array if all are positive and they sum to 1."""
    array = np.asarray(p, dtype=np.float64)
    if array.ndim != 1 or not np.all(array > 0) or abs(array.sum() - 1) > 1e-9:
        raise InputError("p must be a list of positive shares that sum to 1")
    return array


def weights(p: ArrayLike | None, K: int) -> Floats:
    """p, or equal shares if None; K of them."""
    array = np.full(K, 1 / K) if p is None else shares(p)
    if len(array) != K:
        raise InputError(f"p must have one entry for each of {K} counts, got {len(array)}")
    return array


def counts(n_k: ArrayLike, least: int) -> Floats:
    """Examples per source as an array if each is a whole number, at least `least`."""
    array = np.asarray(n_k, dtype=np.float64)
    bad = array.ndim != 1 or not len(array) or not np.all(np.isfinite(array))
    if bad or np.any(array != np.round(array)) or np.any(array < least) or array.sum() < 1:
        raise InputError(f"counts must be a list of whole numbers, each at least {least}")
    return array


def blocks(given: Sequence[Sequence[int]] | None, K: int) -> list[list[int]]:
    """The blocks as lists if they hold each of K sources once; one block of all if None."""
    found = [list(range(K))] if given is None else [list(block) for block in given]
    if sorted(k for block in found for k in block) != list(range(K)) or not all(found):
        raise InputError(f"blocks must hold each of the sources 0..{K - 1} exactly once")
    return found


def plain(values: Any) -> Any:
    """One number as a float, many as the array they are."""
    return float(values) if np.ndim(values) == 0 else values
