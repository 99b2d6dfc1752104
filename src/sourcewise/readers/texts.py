"""Strings with their sources -> `Sources` of code points: limits, and long texts cut in chunks."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.forms import Ragged
from sourcewise.places import Place, Places
from sourcewise.readers.spelling import ways_of_texts
from sourcewise.sources import Sources
from sourcewise.splits import identical

__all__ = ["LONGEST", "Examples", "check_chunk", "cut", "text_sources"]

LONGEST = 100_000


@dataclass
class _Where:
    """Where examples stand; it outlives their texts."""

    files: list[Path] = field(default_factory=list)
    file: array = field(default_factory=lambda: array("q"))
    lines: array = field(default_factory=lambda: array("q"))

    def add(self, file: Path, line: int) -> None:
        if not self.files or self.files[-1] is not file:
            self.files.append(file)
        self.file.append(len(self.files) - 1)
        self.lines.append(line)

    def __call__(self, i: int) -> str:
        file, line = self.files[self.file[i]], self.lines[i]
        return f"{file}, line {line}" if line else f"{file}"


class Examples:
    """Texts that each know their source and place; line 0 stands for the whole file."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.y, self.place = array("q"), _Where()

    def add(self, source: int, file: Path, line: int, text: str) -> None:
        """One more example."""
        self.texts.append(text)
        self.y.append(source)
        self.place.add(file, line)

    def sources(
        self, names: Sequence[str], *, name: str, chunk: int | None, notes: tuple[str, ...] = ()
    ) -> Sources:
        """All of them."""
        y = torch.tensor(self.y, dtype=torch.int64)
        how = {"name": name, "place": self.place, "chunk": chunk, "notes": notes}
        return text_sources(self.texts, y, names, **how)


def text_sources(
    texts: Sequence[str],
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
    """Strings as `Ragged` code points.

    With `chunk`, the pieces of one text form a group, unless there are groups already; so do the
    pieces of identical texts.

    With `place` a message says where an example stands; `chunk` cuts longer ones into pieces.
    """
    x = Ragged.of_strings(texts)
    _refuse_surrogates(x, place)
    notes = (*notes, *ways_of_texts(texts, y.tolist(), names))
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
    before = (counts.cumsum(0) - counts)[row]
    starts = x.offsets[:-1][row] + chunk * (torch.arange(len(row)) - before)
    return Ragged(x.values, torch.cat([starts, x.offsets[-1:]])), row


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
    bad = ((x.values >= 0xD800) & (x.values <= 0xDFFF)).nonzero()
    if len(bad):
        i = int(torch.searchsorted(x.offsets, bad[0], right=True)) - 1
        half = int(x.values[bad[0]])
        raise InputError(f"{place(i)} holds half a surrogate pair (\\u{half:04x}): no character")
