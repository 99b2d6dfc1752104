"""Sequences of integers, of different lengths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

__all__ = ["Ragged"]


@dataclass(frozen=True)
class Ragged:
    """Sequences of integers, of different lengths: strings as code points, symbols as ids.

    >>> words = Ragged.of_strings(["no", "", "yes"])
    >>> words.lengths.tolist(), words.take(torch.tensor([2])).strings()
    ([2, 0, 3], ['yes'])
    >>> words.padded().tolist()
    [[110, 111, -1], [-1, -1, -1], [121, 101, 115]]

    Args:
        values: (total,) int64, one sequence after another, each entry >= 0.
        offsets: (n + 1,) int64: sequence i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int]]) -> "Ragged":
        """From sequences of integers."""
        parts = [torch.as_tensor(list(s), dtype=torch.int64) for s in sequences]
        ends = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
        return cls(torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64), ends)

    @classmethod
    def of_strings(cls, strings: Iterable[str]) -> "Ragged":
        """Strings as Unicode code points."""
        strings = list(strings)
        points = np.frombuffer("".join(strings).encode("utf-32-le", "surrogatepass"), "<u4")
        ends = torch.tensor([0, *map(len, strings)]).cumsum(0)
        return cls(torch.from_numpy(points.astype(np.int64)), ends)

    @classmethod
    def of_padded(cls, padded: Tensor) -> "Ragged":
        """The inverse of `padded`: (n, T), a sequence ends where the first negative entry is."""
        inside = (padded >= 0).cumprod(1).bool()
        ends = torch.cat([torch.zeros(1, dtype=torch.int64), inside.sum(1).cpu().cumsum(0)])
        return cls(padded[inside], ends)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """(n,) entries of each sequence."""
        return self.offsets.diff()

    def strings(self) -> list[str]:
        """The inverse of `of_strings`."""
        points = self.values.cpu().numpy().astype("<u4")
        text = points.tobytes().decode("utf-32-le", "surrogatepass")
        return [text[a:b] for a, b in pairwise(self.offsets.tolist())]

    def take(self, index: Tensor) -> "Ragged":
        """The sequences at `index` (integers or a mask)."""
        index = torch.arange(len(self))[index.cpu()]
        lengths = self.lengths[index]
        ends = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        within = torch.arange(int(ends[-1])) - ends[:-1].repeat_interleave(lengths)
        starts = self.offsets[index].repeat_interleave(lengths)
        return Ragged(self.values[(starts + within).to(self.values.device)], ends)

    def to(self, device: str | torch.device) -> "Ragged":
        """The same sequences with their values on another device; offsets stay on the CPU."""
        return Ragged(self.values.to(device), self.offsets)

    def padded(self, index: Tensor | None = None, fill: int = -1) -> Tensor:
        """(*index.shape, T) the sequences at `index` (all: (n, T)), `fill` after their ends."""
        rows = torch.arange(len(self))
        index = rows if index is None else rows[index.cpu()]
        lengths = self.lengths[index]
        at = torch.arange(int(lengths.max()) if lengths.numel() else 0)
        inside = at < lengths[..., None]
        where = torch.where(inside, self.offsets[index][..., None] + at, 0)
        if not len(self.values):
            return torch.full(where.shape, fill, device=self.values.device)
        device = self.values.device
        return torch.where(inside.to(device), self.values[where.to(device)], fill)

    def sums(self, entries: Tensor) -> Tensor:
        """(n,) float64 sums over each sequence of one number per entry, on the CPU.

        Args:
            entries: (total,) whole numbers or truth values.
        """
        total = torch.cat([torch.zeros(1, dtype=torch.int64), entries.long().cpu().cumsum(0)])
        return total[self.offsets].diff().double()
