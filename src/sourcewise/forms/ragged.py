"""Sequences of integers of different lengths, held in the fewest bytes that tell them apart.

Text of a few hundred different characters takes a byte for each, whatever the characters are: an
entry is kept as its number in an alphabet. Work on all entries goes block by block, so that no
more than one block is widened at a time; what is asked of an entry is asked of the alphabet.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sourcewise.forms.tensors import bytes_of
from sourcewise.forms.whole import Whole, numbered

__all__ = ["Ragged", "Strings"]

_BLOCK = 1 << 18  # entries that are widened at once
_TOGETHER = 64  # strings that are added at once
_ROWS = 1 << 16  # sequences whose places are listed at once


@dataclass(frozen=True)
class Ragged(Whole):
    """Sequences of integers, of different lengths: strings as code points, symbols as ids.

    Some of the sequences, or pieces of them, share their codes with the whole.

    >>> words = Ragged.of_strings(["no", "", "yes"])
    >>> words.lengths.tolist(), words.take(torch.tensor([2])).strings()
    ([2, 0, 3], ['yes'])
    >>> words.padded().tolist()
    [[110, 111, -1], [-1, -1, -1], [121, 101, 115]]

    Args:
        codes: entries as numbers in the alphabet, in a small type.
        starts: (n,) int64: sequence i is `codes[starts[i]:starts[i] + lengths[i]]`.
        lengths: (n,) int64 entries of each sequence.
        alphabet: (M,) int64 >= 0, what each code stands for.
    """

    what: ClassVar[str] = "text"
    codes: Tensor
    starts: Tensor
    lengths: Tensor
    alphabet: Tensor

    @classmethod
    def of_values(cls, values: Tensor, lengths: Tensor) -> "Ragged":
        """From (total,) entries, one sequence after another, and (n,) lengths."""
        alphabet, codes = values.long().unique(return_inverse=True)
        lengths = lengths.long().cpu()
        return cls(codes.to(_narrow(len(alphabet))), _ends(lengths)[:-1], lengths, alphabet)

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int]]) -> "Ragged":
        """From sequences of integers."""
        parts = [torch.as_tensor(list(s), dtype=torch.int64) for s in sequences]
        values = torch.cat(parts) if parts else torch.empty(0)
        return cls.of_values(values, torch.tensor([len(part) for part in parts]))

    @classmethod
    def of_strings(cls, strings: Iterable[str]) -> "Ragged":
        """Strings as Unicode code points."""
        found, every = Strings(), iter(strings)
        while some := list(islice(every, _TOGETHER)):
            found.add(some)
        return found.done()

    @classmethod
    def of_padded(cls, padded: Tensor) -> "Ragged":
        """The inverse of `padded`: (n, T), a sequence ends where the first negative entry is."""
        inside = (padded >= 0).cumprod(1).bool()
        return cls.of_values(padded[inside], inside.sum(1))

    @classmethod
    def joined(cls, parts: Sequence["Ragged"]) -> "Ragged":
        """The sequences of all parts, one part after another."""
        lengths = torch.cat([part.lengths for part in parts])
        every = torch.cat([part.alphabet for part in parts])
        alphabet, number = every.unique(return_inverse=True)
        number = number.to(_narrow(len(alphabet))).split([len(part.alphabet) for part in parts])
        codes = [
            new[codes]
            for part, new in zip(parts, number, strict=True)
            for _, codes in part.blocks()
        ]
        return cls(torch.cat([every[:0].byte(), *codes]), _ends(lengths)[:-1], lengths, alphabet)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where the entries are; starts and lengths stay on the CPU."""
        return self.codes.device

    @property
    def offsets(self) -> Tensor:
        """(n + 1,) where each sequence begins and ends among `values`."""
        return _ends(self.lengths)

    @property
    def values(self) -> Tensor:
        """(total,) int64, one sequence after another: eight bytes for each entry."""
        return torch.cat([self.alphabet[:0], *(self.alphabet[c] for _, c in self.blocks())])

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Some sequences after another: which they are, and the codes of all their entries."""
        ends, first = self.offsets, 0
        while first < len(self):
            last = int(torch.searchsorted(ends, ends[first] + _BLOCK, right=True)) - 1
            rows = slice(first, max(last, first + 1))
            yield rows, self._codes(rows)
            first = rows.stop

    def _codes(self, rows: slice) -> Tensor:
        """(entries,) int64 codes of some sequences."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        ends = _ends(lengths)
        if torch.equal(starts[1:], starts[:-1] + lengths[:-1]):
            return self.codes[int(starts[0]) : int(starts[0] + ends[-1])].long()
        where = (starts - ends[:-1]).repeat_interleave(lengths) + torch.arange(int(ends[-1]))
        return self.codes[where.to(self.device)].long()

    def strings(self) -> list[str]:
        """The inverse of `of_strings`."""
        return list(self.texts())

    def texts(self) -> Iterator[str]:
        """The same one by one."""
        for rows, codes in self.blocks():
            points = self.alphabet[codes].cpu().numpy().astype("<u4")
            text = points.tobytes().decode("utf-32-le", "surrogatepass")
            yield from (text[a:b] for a, b in pairwise(_ends(self.lengths[rows]).tolist()))

    def take(self, index: Tensor) -> "Ragged":
        """The sequences at `index` (integers or a mask)."""
        index = index.cpu()
        return replace(self, starts=self.starts[index], lengths=self.lengths[index])

    def to(self, device: str | torch.device) -> "Ragged":
        """The same sequences with their entries on another device: these alone, no others."""
        if torch.device(device) == self.device:
            return self
        alone = Ragged.joined([self])
        return replace(alone, codes=alone.codes.to(device), alphabet=alone.alphabet.to(device))

    def padded(self, index: Tensor | None = None, fill: int = -1) -> Tensor:
        """(*index.shape, T) the sequences at `index` (all: (n, T)), `fill` after their ends."""
        rows = torch.arange(len(self))
        index = rows if index is None else rows[index.cpu()]
        lengths = self.lengths[index]
        at = torch.arange(int(lengths.max()) if lengths.numel() else 0)
        inside = at < lengths[..., None]
        where = torch.where(inside, self.starts[index][..., None] + at, 0).to(self.device)
        if not len(self.codes):
            return torch.full(where.shape, fill, device=self.device)
        return torch.where(inside.to(self.device), self.alphabet[self.codes[where].long()], fill)

    def counts(self) -> Tensor:
        """(M,) how often each code occurs."""
        out = torch.zeros_like(self.alphabet)
        for _, codes in self.blocks():
            out += torch.bincount(codes, minlength=len(out))
        return out

    def content(self) -> Iterator[bytes]:
        """The bytes that identify them: where each begins, and all entries."""
        yield from bytes_of(self.offsets)
        yield repr(((int(self.lengths.sum()),), "torch.int64")).encode()
        yield from (self.alphabet[codes].cpu().numpy().tobytes() for _, codes in self.blocks())

    def sums(self, worth: Tensor) -> Tensor:
        """(n,) float64 sums over each sequence of what its entries are worth, on the CPU.

        Args:
            worth: (M,) whole numbers or truth values, of each code.
        """
        out = torch.zeros(len(self), dtype=torch.float64)
        for rows, codes in self.blocks() if bool(worth.any()) else ():
            upto = _ends(worth.long()[codes].cpu())
            out[rows] = upto[_ends(self.lengths[rows])].diff().double()
        return out

    def first(self, wanted: Tensor) -> tuple[int, int] | None:
        """The first sequence with an entry that is wanted, (M,) truth values, and that entry."""
        rows = self.sums(wanted).nonzero()[:1, 0]
        if not len(rows):
            return None
        codes = self._codes(slice(int(rows), int(rows) + 1))
        return int(rows), int(self.alphabet[codes[wanted[codes]][0]])

    def same(self) -> Tensor:
        """(n,) the same number for identical sequences, in order of first appearance.

        One hash for each sequence takes little room; sequences may share one.
        """
        if len(self.alphabet.unique()) < len(self.alphabet):  # two codes stand for one entry
            return Ragged.joined([self]).same()
        hashes = np.fromiter(map(hash, self._raw()), np.int64, len(self))
        return numbered(hashes, self._equal, self._raw)

    def keys(self) -> Iterator[str]:
        """The texts."""
        return self.texts()

    def counts_by_place(self) -> Iterator[Tensor] | None:
        """How often each code stands in each place, of sequences of one length.

        Of other texts none repeat by chance: a word of two languages is one unit.
        """
        if len(self.lengths.unique()) > 1:
            return None
        places = range(int(self.lengths[0])) if len(self) else ()
        codes, M = self.codes, len(self.alphabet)
        return (torch.bincount(codes[self.starts + j].long(), minlength=M) for j in places)

    def _raw(self) -> Iterator[bytes]:
        """The bytes of the codes of each sequence."""
        codes = self.codes.cpu().numpy()
        raw, wide = codes.view(np.uint8).data, codes.itemsize
        for starts, lengths in zip(
            self.starts.split(_ROWS), self.lengths.split(_ROWS), strict=True
        ):
            places = (wide * starts).tolist(), (wide * (starts + lengths)).tolist()
            yield from (raw[a:b].tobytes() for a, b in zip(*places, strict=True))

    def _equal(self, rows: Tensor, others: Tensor) -> bool:
        """Whether sequences equal those at other places."""
        a, b = self.take(rows), self.take(others)
        if not torch.equal(a.lengths, b.lengths):
            return False
        return all(
            torch.equal(p, q) for (_, p), (_, q) in zip(a.blocks(), b.blocks(), strict=True)
        )


class Strings:
    """Strings that are added some at a time, then become `Ragged` code points."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._size = 0  # characters that wait
        self._lengths = array("q")
        self._codes, self._type = bytearray(), _narrow(0)  # of characters that do not wait
        self._code = np.empty(0, np.int32)  # of each code point, -1: none yet
        self._alphabet: list[int] = []

    def add(self, texts: Sequence[str]) -> None:
        """Some more."""
        lengths = list(map(len, texts))
        self._lengths.extend(lengths)
        self._waiting += texts
        self._size += sum(lengths)
        if self._size >= _BLOCK:
            self._settle()

    def done(self) -> Ragged:
        """All of them."""
        self._settle()
        codes = torch.frombuffer(self._codes or bytearray(1), dtype=self._type)
        lengths = torch.from_numpy(np.array(self._lengths))
        alphabet = torch.tensor(self._alphabet, dtype=torch.int64)
        return Ragged(codes, lengths.cumsum(0) - lengths, lengths, alphabet)

    def _settle(self) -> None:
        """Number the characters that wait."""
        raw = "".join(self._waiting).encode("utf-32-le", "surrogatepass")
        self._waiting, self._size, points = [], 0, np.frombuffer(raw, "<u4")
        if not len(points):
            return
        more = max(int(points.max()) + 1 - len(self._code), 0)
        self._code = np.pad(self._code, (0, more), constant_values=-1)
        codes = self._code[points]
        new = np.unique(points[codes < 0])
        if len(new):
            self._code[new] = len(self._alphabet) + np.arange(len(new))
            self._alphabet += new.tolist()
            codes = self._code[points]
        self._widen(_narrow(len(self._alphabet)))
        self._codes += torch.from_numpy(codes).to(self._type).numpy().tobytes()

    def _widen(self, dtype: torch.dtype) -> None:
        """Hold codes in another type."""
        if dtype != self._type and self._codes:
            codes = torch.frombuffer(self._codes, dtype=self._type).to(dtype)
            self._codes = bytearray(codes.numpy().data)
        self._type = dtype


def _narrow(M: int) -> torch.dtype:
    """The smallest type that holds M codes; torch computes little with uint16."""
    return torch.uint8 if M <= 1 << 8 else torch.int16 if M <= 1 << 15 else torch.int32


def _ends(lengths: Tensor) -> Tensor:
    """(n + 1,) zero, and where each of n sequences ends."""
    return torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
