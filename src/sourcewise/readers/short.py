"""Texts that are stored as numbers: those of at most eight bytes, and those that are numbers.

Most cells of a table are that short. Eight bytes a row is what a column of numbers takes in the
end, and equal numbers are found three times sooner than equal texts.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "Short",
    "Streamed",
    "all_different",
    "as_text",
    "blank",
    "equal",
    "is_bare",
    "joined",
    "packed",
    "raw",
    "unpacked",
]

_MIX = np.uint64(0x9E3779B97F4A7C15)  # any odd number spreads what it multiplies


class Short(pa.ExtensionType):
    """Text in UTF-8, its first byte the lowest of a number; no NUL is in it."""

    def __init__(self) -> None:
        super().__init__(pa.uint64(), "sourcewise.short")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "Short":
        return cls()


class Streamed(pa.ExtensionType):
    """Numbers of a column of text, NaN where it has a gap; the text itself is gone.

    Every cell that is no gap is a number as programs write them, and some have decimals that no
    other notation reads: by the rule of `kinds`, nothing else can be decided.

    Args:
        example: the first of the texts.
    """

    def __init__(self, example: str) -> None:
        self.example = example
        super().__init__(pa.float64(), "sourcewise.streamed")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.example.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "Streamed":
        return cls(serialized.decode())


def packed(texts: pa.Array) -> pa.Array:
    """Texts as numbers, if all are short enough; otherwise as they are.

    >>> packed(pa.array(["7", ""])).storage.to_pylist(), packed(pa.array(["nine bytes"])).type
    ([55, 0], DataType(string))
    """
    if texts.null_count:
        return texts
    starts, chars = _padded(texts)
    lengths = np.diff(starts)
    if lengths.max(initial=0) > 8 or chars[8:-8].min(initial=1) == 0:
        return texts
    numbers = _last(chars, starts, lengths)
    return pa.ExtensionArray.from_storage(Short(), pa.array(numbers))


def unpacked(numbers: pa.Array) -> pa.Array:
    """The inverse of `packed`, of the numbers themselves.

    >>> unpacked(pa.array([55, 0], pa.uint64())).to_pylist()
    ['7', '']
    """
    return pa.array(numbers.to_numpy().view("S8"), pa.binary()).view(pa.string())


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column with its texts as Arrow has them, of numbers some; others are as they were."""
    if isinstance(column.type, Streamed):
        return column.cast(pa.float64()).cast(pa.string())
    if not isinstance(column.type, Short):
        return column
    return pa.chunked_array([unpacked(part.storage) for part in column.chunks], pa.string())


def joined(parts: list[pa.Array]) -> pa.ChunkedArray:
    """One column of parts: short if all of them are."""
    if parts and all(isinstance(part.type, Short) for part in parts):
        return pa.chunked_array(parts)
    texts = [unpacked(p.storage) if isinstance(p.type, Short) else p for p in parts]
    return pa.chunked_array(texts, pa.string())


def equal(column: pa.ChunkedArray, text: str) -> np.ndarray:
    """(n,) rows of a column of short texts that are a text."""
    wanted = packed(pa.array([text], pa.string()))
    if not isinstance(wanted.type, Short):
        return np.zeros(len(column), bool)
    number = np.uint64(wanted.storage[0].as_py())
    return _of_parts(part.storage.to_numpy() == number for part in column.chunks)


def blank(column: pa.ChunkedArray) -> np.ndarray:
    """(n,) rows of a column of short texts that are empty, or spaces only."""

    def found(part: pa.ExtensionArray) -> np.ndarray:
        first = part.storage.to_numpy().view(np.uint8)[::8]
        empty = (first <= 32) | (first >= 128)  # those that need to be looked at
        if empty.any():
            bare = pc.utf8_trim_whitespace(unpacked(part.storage.filter(pa.array(empty))))
            empty[empty] = pc.equal(bare, "").to_numpy(zero_copy_only=False)
        return empty

    return _of_parts(map(found, column.chunks))


def _of_parts(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, bool), *parts])


def is_bare(texts: pa.Array) -> bool:
    """Whether texts hold neither spaces nor anything beyond ASCII."""
    _, chars = raw(texts)
    return bool(chars.min(initial=126) > 32 and chars.max(initial=33) < 127)


def all_different(texts: pa.ChunkedArray) -> bool:
    """Whether texts surely differ from each other, by their first and last bytes and lengths.

    >>> all_different(pa.chunked_array([["one long text", "two long texts"]]))
    True
    """
    found: list[np.ndarray] = []
    for part in texts.chunks:
        if part.null_count:
            return False
        starts, chars = _padded(part)
        lengths = np.diff(starts)
        first = _words(chars)[starts[:-1] + 8] << _beyond(lengths)
        mixed = (_last(chars, starts, lengths) + lengths.astype(np.uint64)) * _MIX
        found.append(mixed ^ (mixed >> np.uint64(29)) ^ first)
        if len(found) == 1 and not _differ(found[0]):
            return False
    return _differ(np.concatenate(found or [np.empty(0)]))


def _differ(numbers: np.ndarray) -> bool:
    numbers = np.sort(numbers)
    return bool((numbers[1:] != numbers[:-1]).all())


def raw(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(n + 1,) where each text begins, and the bytes of all; nothing is copied.

    >>> starts, chars = raw(pa.array(["ab", "c"]))
    >>> starts.tolist(), bytes(chars)
    ([0, 2, 3], b'abc')
    """
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
    low, high = int(starts[0]), int(starts[-1])
    chars = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)[low:high]
    return (starts - low if low else starts), chars


def _padded(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The same with eight bytes more before and after all."""
    starts, chars = raw(texts)
    more = np.zeros(len(chars) + 16, np.uint8)
    more[8:-8] = chars
    return starts, more


def _words(chars: np.ndarray) -> np.ndarray:
    """The eight bytes from each place on, as numbers."""
    return np.ndarray(len(chars) - 7, "<u8", chars, strides=(1,))


def _beyond(lengths: np.ndarray) -> np.ndarray:
    """The bits of a number that shorter texts leave."""
    return (8 * (8 - np.minimum(lengths, 8))).astype(np.uint64)


def _last(chars: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The last eight bytes of each text; 0 for what shorter ones lack."""
    return _words(chars)[starts[1:]] >> _beyond(lengths)
