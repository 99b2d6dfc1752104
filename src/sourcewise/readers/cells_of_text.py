"""Texts of a column: a few as Python has them, many as Arrow does.

A call of Arrow takes as long as a hundred texts or more one by one: in tables of few rows and many
columns these calls would be all that reading does. Both ways give the same: patterns are such as
RE2 and `re` take alike.
"""

import re
from collections.abc import Callable, Collection
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sourcewise.limits import LONGEST_CELL
from sourcewise.readers.short import is_bare

__all__ = [
    "FEW",
    "Cells",
    "all_match",
    "among",
    "any_match",
    "ascii_only",
    "floats",
    "kept",
    "listed",
    "longest",
    "matching",
    "replaced",
    "stripped",
    "text_cells",
]

Cells = list[str] | pa.Array
FEW = 256  # texts that Python handles
HEAD = 30  # of many texts, those that are asked first


def text_cells(values: pa.Array) -> Cells:
    """Texts in the way that suits their number."""
    return values.to_pylist() if len(values) <= FEW else values


def listed(cells: Cells) -> list[str]:
    """All of them as Python has them."""
    return cells if isinstance(cells, list) else cells.to_pylist()


def matching(cells: Cells, pattern: str) -> np.ndarray:
    """(n,) whether each has a match.

    >>> matching(["012", "a"], "^0[0-9]+$").tolist()
    [True, False]
    """
    if isinstance(cells, list):
        return np.fromiter((m is not None for m in map(_search(pattern), cells)), bool)
    return pc.match_substring_regex(cells, pattern=pattern).to_numpy(zero_copy_only=False)


def all_match(cells: Cells, pattern: str) -> bool:
    """Whether all match; the first few are asked first, since most patterns fail at once."""
    search = _search(pattern)
    if isinstance(cells, list):
        return all(map(search, cells))
    if not all(map(search, cells.slice(0, HEAD).to_pylist())):
        return False
    return bool(pc.all(pc.match_substring_regex(cells, pattern=pattern), min_count=0).as_py())


def any_match(cells: Cells, pattern: str) -> bool:
    """Whether some match."""
    if isinstance(cells, list):
        return any(map(_search(pattern), cells))
    if any(map(_search(pattern), cells.slice(0, HEAD).to_pylist())):
        return True
    return bool(pc.any(pc.match_substring_regex(cells, pattern=pattern)).as_py())


def ascii_only(cells: Cells) -> bool:
    """Whether all are of ASCII characters."""
    if isinstance(cells, list):
        return all(map(str.isascii, cells))
    return is_bare(cells) or bool(pc.all(pc.string_is_ascii(cells), min_count=0).as_py())


@cache
def _search(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Of a pattern as Arrow reads it, where $ is the end and not before a last line end."""
    return re.compile(re.sub(r"\$$", r"\\Z", pattern)).search


@cache
def _replace(pattern: str) -> Callable[[str, str], str]:
    return re.compile(re.sub(r"\$$", r"\\Z", pattern)).sub


def replaced(cells: Cells, pattern: str, by: str) -> Cells:
    """With every match replaced; `\\1` stands for the first group.

    >>> replaced(["1 200", "7"], "[ ]", "")
    ['1200', '7']
    """
    if isinstance(cells, list):
        sub = _replace(pattern)
        return [sub(by, text) for text in cells]
    return pc.replace_substring_regex(cells, pattern=pattern, replacement=by)


def stripped(cells: Cells) -> Cells:
    """Without spaces around."""
    if isinstance(cells, list):
        return [text.strip() for text in cells]
    return cells if is_bare(cells) else pc.utf8_trim_whitespace(cells)


def longest(cells: Cells) -> int:
    """The most characters that one of them has, or more, up to what is allowed."""
    if isinstance(cells, list):
        return max(map(len, cells), default=0)
    # Bytes are counted many times faster than characters, and none has fewer.
    most = pc.max(pc.binary_length(cells)).as_py()
    return most if most <= LONGEST_CELL else pc.max(pc.utf8_length(cells)).as_py()


def among(cells: Cells, some: Collection[str]) -> np.ndarray:
    """(n,) whether each is one of some texts."""
    if isinstance(cells, list):
        return np.fromiter((text in some for text in cells), bool)
    found = pc.is_in(cells, value_set=pa.array([*some], pa.string()))
    return found.to_numpy(zero_copy_only=False)


def kept(cells: Cells, keep: np.ndarray) -> Cells:
    """Those that a mask (n,) keeps."""
    if isinstance(cells, list):
        return [text for text, stays in zip(cells, keep.tolist(), strict=True) if stays]
    return text_cells(cells.filter(pa.array(keep)))


def floats(cells: Cells, fits: np.ndarray) -> np.ndarray:
    """(n,) float64 of those that are numbers (n,), NaN of the others.

    >>> floats(["+1.5", "a", "1e400"], np.array([True, False, True])).tolist()
    [1.5, nan, inf]
    """
    if isinstance(cells, list):
        found = zip(cells, fits.tolist(), strict=True)
        return np.array([float(text) if fit else np.nan for text, fit in found], np.float64)
    bare = pc.replace_substring_regex(cells, pattern="^\\+", replacement="")
    bare = pc.if_else(pa.array(fits), bare, pa.scalar(None, bare.type))
    return bare.cast(pa.float64()).to_numpy(zero_copy_only=False)
