"""The forms of x: a plain tensor, a `Table` of named columns, or `Ragged` sequences.

All forms have a length, `take(index)`, `to(device)` and bytes for a fingerprint.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError, Unsuited, listing, unknown
from sourcewise.ragged import Ragged

__all__ = ["Column", "Kind", "Ragged", "Table", "X", "as_table", "content", "take"]

BLOCK = 1 << 17  # cells


Kind = Literal["number", "category", "date"]


@dataclass(frozen=True)
class Column:
    """Name and kind of a column; `categories[code]` is the text of a category."""

    name: str
    kind: Kind = "number"
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Named columns of one length.

    Args:
        columns: name to (n,) tensor: float64 for numbers and dates (seconds since 1970), NaN where
            missing; int64 codes for categories, -1 where missing.
        schema: the columns in order.
    """

    columns: Mapping[str, Tensor]
    schema: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.schema]
        if len(set(names)) != len(names):
            raise InputError(f"duplicate column names: {_repeated(names)}")
        if set(names) != set(self.columns):
            raise ValueError("schema and columns name different columns")
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.schema else 0

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.schema)

    def take(self, index: Tensor) -> "Table":
        """The rows at `index` (integers or a mask)."""
        return replace(self, columns={name: v[index] for name, v in self.columns.items()})

    def to(self, device: str | torch.device) -> "Table":
        """The same table on another device."""
        return replace(self, columns={name: v.to(device) for name, v in self.columns.items()})

    def select(self, names: Iterable[str]) -> "Table":
        """Only these columns, in this order; an unknown name is an `InputError`."""
        by_name = {column.name: column for column in self.schema}
        wanted = list(names)
        for name in wanted:
            if name not in by_name:
                raise unknown("column", name, by_name)
        if len(set(wanted)) != len(wanted):
            raise InputError(f"duplicate column names: {_repeated(wanted)}")
        return Table({n: self.columns[n] for n in wanted}, tuple(by_name[n] for n in wanted))

    def drop(self, names: Iterable[str]) -> "Table":
        """All columns but these; an unknown name is an `InputError`."""
        dropped = set(self.select(names).names)
        return self.select(name for name in self.names if name not in dropped)

    def missing(self, name: str) -> Tensor:
        """(n,) mask of the rows where a column has no value."""
        values = self.columns[name]
        return values.isnan() if values.is_floating_point() else values < 0

    def cells(self, name: str) -> np.ndarray:
        """(n,) a column as files show it: numbers, or the texts of categories (missing: None)."""
        values = self.columns[name].cpu()
        if values.is_floating_point():
            return values.numpy()
        column = next(column for column in self.schema if column.name == name)
        texts = [column.categories[code] if code >= 0 else None for code in values.tolist()]
        return np.array(texts, dtype=object)

    def blocks(self, names: Iterable[str]) -> Iterator[tuple[list[str], Tensor]]:
        """Columns side by side, each time their names and `matrix`, (n, b).

        What is asked of every column is asked of as many at once as make up some cells: a wide
        table of few rows takes no longer than a narrow one of many.
        """
        chosen, many = self.select(names).schema, max(1, BLOCK // max(len(self), 1))
        for first in range(0, len(chosen), many):
            some = chosen[first : first + many]
            columns = {column.name: self.columns[column.name] for column in some}
            yield list(columns), Table(columns, some).matrix()

    def matrix(self) -> Tensor:
        """(n, d) float64: numbers as they are, categories as codes (missing: NaN)."""
        first = next(iter(self.columns.values()), torch.empty(0))
        out = torch.empty(len(first), len(self.schema), dtype=torch.float64, device=first.device)
        for j, name in enumerate(self.names):
            values = self.columns[name]
            out[:, j] = values
            if not values.is_floating_point():
                out[:, j].masked_fill_(self.missing(name), torch.nan)
        return out


def as_table(x: Tensor | Table | Ragged) -> Table:
    """A table as it is; a matrix (n, d) with its columns named x1, ..., xd.

    >>> as_table(Tensor([[1, 2, 3]])).names
    ('x1', 'x2', 'x3')
    """
    if isinstance(x, Table):
        return x
    if isinstance(x, Ragged):
        raise Unsuited("text and sequences have no columns: this needs a table")
    flat = x.reshape(len(x), -1).double()
    names = [f"x{j + 1}" for j in range(flat.shape[1])]
    return Table(dict(zip(names, flat.T, strict=True)), tuple(Column(name) for name in names))


def _repeated(names: list[str]) -> str:
    return listing(repr(name) for name, count in sorted(Counter(names).items()) if count > 1)


X = Tensor | Table | Ragged


F = TypeVar("F", bound=X)


def take(x: F, index: Tensor) -> F:
    """Some of the examples, in whatever form."""
    return cast(F, x[index] if isinstance(x, Tensor) else x.take(index))


def content(x: X) -> Iterator[bytes]:
    """The bytes that identify x: names, kinds, categories, shapes and values."""
    if isinstance(x, Ragged):
        yield from content(x.offsets)
        yield repr(((int(x.lengths.sum()),), "torch.int64")).encode()
        yield from (x.alphabet[codes].cpu().numpy().tobytes() for _, codes in x.blocks())
    elif isinstance(x, Table):
        for column in x.schema:
            yield repr((column.name, column.kind, column.categories)).encode()
            yield from content(x.columns[column.name])
    else:
        yield repr((tuple(x.shape), str(x.dtype))).encode()
        yield x.detach().cpu().contiguous().numpy().tobytes()
