"""Strings with their sources -> `Sources` of code points: limits, and long texts cut in chunks."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.forms.ragged import Ragged, Strings
from sourcewise.places import Place, Places
from sourcewise.readers.spelling import ways_of_texts
from sourcewise.sources import Sources
from sourcewise.splits import identical

__all__ = ["LONGEST", "Examples", "check_chunk", "cut", "text_sources"]

LONGEST = 100_000
_TOGETHER = 64  # examples that are added at once


@dataclass
class _Where:
    """Where examples stand; it outlives their texts."""

    files: list[Path] = field(default_factory=list)
    first: list[int] = field(default_factory=list)  # the first example of each file
    lines: array = field(default_factory=lambda: array("I"))

    def begin(self, file: Path) -> None:
        """What is added comes from a file."""
        if not self.files or self.files[-1] is not file:
            self.files.append(file)
            self.first.append(len(self.lines))

    def __call__(self, i: int) -> str:
        file, line = self.files[bisect_right(self.first, i) - 1], self.lines[i]
        return f"{file}, line {line}" if line else f"{file}"


class Examples:
    """Texts that each know their source and place; line 0 stands for the whole file."""

    def __init__(self) -> None:
        self._strings = Strings()
        self._y, self._where = array("q"), _Where()

    def add(self, source: int, file: Path, numbered: Iterable[tuple[int, str]]) -> None:
        """More examples of a source: the line and text of each."""
        self._where.begin(file)
        every = iter(numbered)
        while some := list(islice(every, _TOGETHER)):
            lines, texts = zip(*some, strict=True)
            self._where.lines.extend(lines)
            self._y.extend([source] * len(lines))
            self._strings.add(texts)

    def sources(
        self, names: Sequence[str], *, name: str, chunk: int | None, notes: tuple[str, ...] = ()
    ) -> Sources:
        """All of them; the texts are let go."""
        y = torch.from_numpy(np.array(self._y))
        how = {"name": name, "place": self._where, "chunk": chunk, "notes": notes}
        return text_sources(self._strings.done(), y, names, **how)


def text_sources(
    x: Ragged,
    y: Tensor,
    names: Sequence[str],
    *,
    name: str,
    place: Place,
    chunk: int | None = None,
    group: Tensor | None = None,
    group_by: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Sources:
    """A sample of texts.

    With `chunk`, the pieces of one text form a group, unless there are groups already; so do the
    pieces of identical texts.

    With `place` a message says where an example stands; `chunk` cuts longer ones into pieces.
    """
    _refuse_surrogates(x, place)
    notes = (*notes, *ways_of_texts(x, y, names))
    if chunk is None:
        _refuse_long(x, place)
        return Sources(x, y, names, group, group_by, name, notes=notes, places=Places(place))
    check_chunk(chunk)
    pieces, row = cut(x, chunk)
    if group is None:
        group, group_by = identical(x), ("document",)
    places = Places(place, row)
    return Sources(pieces, y[row], names, group[row], group_by, name, notes=notes, places=places)


def cut(x: Ragged, chunk: int) -> tuple[Ragged, Tensor]:
    """Cut sequences into pieces of `chunk` entries, the last of each as long as is left.

    >>> pieces, row = cut(Ragged.of_strings(["abcde", "", "fg"]), 2)
    >>> pieces.strings(), row.tolist()
    (['ab', 'cd', 'e', '', 'fg'], [0, 0, 0, 1, 2])

    Returns:
        the pieces, and (pieces,) the sequence that each is of.
    """
    counts = ((x.lengths + chunk - 1) // chunk).clamp(min=1)
    row = torch.arange(len(x)).repeat_interleave(counts)
    before = chunk * (torch.arange(len(row)) - (counts.cumsum(0) - counts)[row])
    lengths = (x.lengths[row] - before).clamp(max=chunk)
    return replace(x, starts=x.starts[row] + before, lengths=lengths), row


def check_chunk(chunk: int) -> None:
    """Raise unless a piece may be so long."""
    if isinstance(chunk, bool) or not isinstance(chunk, int) or not 1 <= chunk <= LONGEST:
        raise InputError(f"chunk is {chunk!r}, not a whole number from 1 to {LONGEST}")


def _refuse_long(x: Ragged, place: Place) -> None:
    long = (x.lengths > LONGEST).nonzero().squeeze(1)
    if len(long):
        i = int(long[0])
        more = f" (and {len(long) - 1} more such)" if len(long) > 1 else ""
        raise InputError(
            f"{place(i)} is one example of {int(x.lengths[i])} characters{more}, at most "
            f"{LONGEST} are read: --chunk 1000 cuts longer ones into examples of 1000 characters"
        )


def _refuse_surrogates(x: Ragged, place: Place) -> None:
    """Half a surrogate pair, which JSON can write, is no character."""
    if bad := x.first((x.alphabet >= 0xD800) & (x.alphabet <= 0xDFFF)):
        i, half = bad
        raise InputError(f"{place(i)} holds half a surrogate pair (\\u{half:04x}): no character")
