"""Tables: named columns of numbers, categories and dates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError, Unsuited, unknown
from sourcewise.forms.ragged import Ragged

__all__ = ["Column", "Kind", "Table", "as_table"]

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
        column = next(column for column in self.schema if column.name == name)
        values = self.columns[name].cpu()
        if column.kind != "category":
            return values.numpy()
        texts = [column.categories[code] if code >= 0 else None for code in values.tolist()]
        return np.array(texts, dtype=object)

    def matrix(self) -> Tensor:
        """(n, d) float64: numbers as they are, categories as codes (missing: NaN)."""
        if not self.schema:
            return torch.empty(0, 0, dtype=torch.float64)
        cells = [
            self.columns[name].double().masked_fill(self.missing(name), torch.nan)
            for name in self.names
        ]
        return torch.stack(cells, 1)


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
    return ", ".join(sorted({repr(name) for name in names if names.count(name) > 1}))
