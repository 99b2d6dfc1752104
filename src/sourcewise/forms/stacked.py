"""The columns of a table of few rows in one matrix, for tensors of each take more than they hold.

Of 22 rows a column is 176 bytes; as a tensor of its own it takes five times as much.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["Stacked"]


class Stacked(Mapping[str, Tensor]):
    """Name to column (n,), float64 or int64; a tensor of it is made each time it is asked for.

    >>> columns = Stacked.empty(3, 2)
    >>> columns["a"], columns["b"] = torch.tensor([0.5, 1.5, 2.5]).double(), torch.arange(3)
    >>> part = columns.each(lambda rows: rows[..., 1:]).only(["b"])
    >>> {name: column.tolist() for name, column in part.items()}
    {'b': [1, 2]}
    """

    def __init__(self, bits: Tensor, places: dict[str, int], whole: set[str]) -> None:
        self._bits = bits  # (d, n) int64; of numbers the bits
        self._places = places  # the row of each name
        self._whole = whole  # the names of columns of int64

    @classmethod
    def empty(cls, n: int, d: int) -> "Stacked":
        """Room for d columns of n rows; each is set once."""
        return cls(torch.empty(d, n, dtype=torch.int64), {}, set())

    def __setitem__(self, name: str, column: Tensor) -> None:
        if name in self._places:
            raise ValueError(f"column {name!r} is set already")
        place = self._places[name] = len(self._places)
        if column.dtype == torch.int64:
            self._whole.add(name)
        self._bits[place] = column.view(torch.int64)

    def __getitem__(self, name: str) -> Tensor:
        column = self._bits[self._places[name]]
        return column if name in self._whole else column.view(torch.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def only(self, names: Iterable[str]) -> "Stacked":
        """Some columns; nothing is copied."""
        return Stacked(self._bits, {name: self._places[name] for name in names}, self._whole)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Stacked":
        """What becomes of all columns, by a change of rows or device of (d, n) int64."""
        places = {name: row for row, name in enumerate(self)}
        return Stacked(change(self._rows(self)).contiguous(), places, self._whole)

    def matrix(self, names: Sequence[str]) -> Tensor:
        """(n, d) float64 of some columns side by side; codes below 0 are gaps, NaN."""
        rows = self._rows(names).view(torch.float64).T
        out = rows.clone(memory_format=torch.contiguous_format)
        for j, name in enumerate(names):
            if name in self._whole:
                codes = self[name]
                out[:, j] = codes.double().masked_fill(codes < 0, torch.nan)
        return out

    def _rows(self, names: Iterable[str]) -> Tensor:
        """(d, n) the bits of some columns; of all as they lie, nothing is copied."""
        rows = [self._places[name] for name in names]
        return self._bits if rows == list(range(len(self._bits))) else self._bits[rows]
