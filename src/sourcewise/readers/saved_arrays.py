""".npz files -> `Sources`: which of their arrays are the examples, their sources, their names."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from sourcewise.errors import InputError, unknown
from sourcewise.readers.arrays import from_arrays, labelled
from sourcewise.readers.npz import load_arrays, names_in
from sourcewise.readers.registry import ReadOptions
from sourcewise.sources import Sources

__all__ = ["array_names", "read_npz"]

_EXAMPLES = ("x", "images", "jpeg")
_LABELS = ("y", "label", "labels")
_OFFSETS = "offsets"


def read_npz(path: Path, options: ReadOptions, name: str) -> Sources:
    """Read the examples, the array of sources and, if present, the sources' names; never a pickle.

    Examples are `x`, `images`, or `jpeg`: the bytes of encoded images one after another, where
    image i is `jpeg[offsets[i]:offsets[i + 1]]`. Sources are `y`, `label` or `labels` unless
    named. An array that has an entry for each class, and not for each example, is looked up by
    the label. The names of sources that are integers are `names`, for the array `a` also
    `a_names`, and for labels `name`.
    """
    there = names_in(path)
    examples = next((key for key in _EXAMPLES if key in there), _EXAMPLES[0])
    source = options.source or next((key for key in _LABELS if key in there), _LABELS[0])
    for key in (examples, source):
        if key not in there:
            error = f"{path}: {unknown('array', key, there)}"
            hint = (
                ""
                if options.source is not None or key == examples
                else ("; --source NAME says where rows are from")
            )
            raise InputError(f"{error}{hint}")
    wanted = [examples, source, *(key for key in (_OFFSETS, *_LABELS) if key in there)]
    named = next((key for key in _names(source) if key in there), None)
    arrays = load_arrays(path, list(dict.fromkeys(wanted + ([named] if named else []))))
    x, y, names = arrays[examples], arrays[source], arrays.get(named or "")
    n = len(arrays.get(_OFFSETS, x)) - 1 if examples == "jpeg" else len(x) if x.ndim else 0
    if y.shape != (n,):
        y = _by_class(arrays, y, n)
    if names is not None and y.dtype.kind not in "iu" and named != "names":
        names = None
    if examples != "jpeg":
        return from_arrays(x, y, names, name)
    return _encoded(path, arrays, y, names, options, name)


def _names(source: str) -> tuple[str, ...]:
    """What the names of sources may be called."""
    return ("names", f"{source}_names", *(("name",) if source in _LABELS else ()))


def _by_class(arrays: dict[str, np.ndarray], values: np.ndarray, n: int) -> np.ndarray:
    """What belongs to each example, of values for each class; as they are if they are not that."""
    for key in _LABELS:
        label = arrays.get(key)
        if label is None or label.shape != (n,) or label.dtype.kind not in "iu" or not n:
            continue
        if values.ndim == 1 and label.min() >= 0 and label.max() < len(values):
            return values[label]
    return values


@dataclass(frozen=True)
class _Open:
    """The bytes of an image."""

    whole: np.ndarray
    start: int
    end: int

    def __call__(self) -> io.BytesIO:
        return io.BytesIO(self.whole[self.start : self.end].tobytes())


def _encoded(
    path: Path,
    arrays: dict[str, np.ndarray],
    y: np.ndarray,
    names: np.ndarray | None,
    options: ReadOptions,
    name: str,
) -> Sources:
    from sourcewise.readers.images.decode import Encoded
    from sourcewise.readers.images.sources import encoded_images

    whole, ends = arrays["jpeg"], _ends(path, arrays)
    if y.shape != (len(ends) - 1,):
        raise InputError(
            f"{path}: {len(ends) - 1} images, and sources of shape {y.shape}: each image needs one"
        )
    items = [
        Encoded(f"{path}: image {i + 1}", _Open(whole, start, end))
        for i, (start, end) in enumerate(pairwise(ends))
    ]
    codes, sources = labelled(y, names)
    return encoded_images(items, codes, sources, options, where=path, name=name)


def _ends(path: Path, arrays: dict[str, np.ndarray]) -> Sequence[int]:
    """Where each image begins and the last one ends.

    Raises:
        InputError: some lie outside of the bytes, or end before they begin.
    """
    whole, offsets = arrays["jpeg"], arrays.get(_OFFSETS)
    if whole.dtype != np.uint8 or whole.ndim != 1:
        raise InputError(f"{path}: array 'jpeg' must be bytes one after another, uint8 (total,)")
    if offsets is None:
        raise InputError(f"{path}: array 'jpeg' needs 'offsets' that say where each image begins")
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise InputError(f"{path}: array 'offsets' must be whole numbers (n + 1,)")
    ends = offsets.tolist()
    wrong = next((i for i in range(len(ends) - 1) if ends[i + 1] < ends[i]), None)
    if wrong is not None:
        raise InputError(f"{path}: array 'offsets' goes back after image {wrong + 1}")
    if ends[0] < 0 or ends[-1] > len(whole):
        raise InputError(f"{path}: array 'offsets' goes beyond the {len(whole)} bytes of 'jpeg'")
    return ends


def array_names(path: str | Path) -> tuple[str, ...]:
    """What an .npz file holds; nothing of one that cannot be read, which `read_npz` tells."""
    try:
        return names_in(Path(path))
    except InputError:
        return ()
