"""A `Table` of named columns, each a tensor."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError, listing, unknown
from sourcewise.forms.stacked import Stacked
from sourcewise.forms.tensors import bytes_of

__all__ = ["Column", "Kind", "Table"]

BLOCK = 1 << 17  # cells


Kind = Literal["number", "category", "date"]


@dataclass(frozen=True, slots=True)
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
        if not isinstance(self.columns, Stacked):
            object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.schema else 0

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.schema)

    def take(self, index: Tensor) -> "Table":
        """The rows at `index` (integers or a mask)."""
        return self._each(lambda values: values[..., index])

    def to(self, device: str | torch.device) -> "Table":
        """The same table on another device."""
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Table":
        """What becomes of all columns."""
        if isinstance(self.columns, Stacked):
            return replace(self, columns=self.columns.each(change))
        return replace(self, columns={name: change(v) for name, v in self.columns.items()})

    def select(self, names: Iterable[str]) -> "Table":
        """Only these columns, in this order; an unknown name is an `InputError`."""
        by_name = {column.name: column for column in self.schema}
        wanted = list(names)
        for name in wanted:
            if name not in by_name:
                raise unknown("column", name, by_name)
        if len(set(wanted)) != len(wanted):
            raise InputError(f"duplicate column names: {_repeated(wanted)}")
        return self._of(tuple(by_name[name] for name in wanted))

    def _of(self, some: tuple[Column, ...]) -> "Table":
        """Some of the columns."""
        names = [column.name for column in some]
        if isinstance(self.columns, Stacked):
            return Table(self.columns.only(names), some)
        return Table({name: self.columns[name] for name in names}, some)

    def drop(self, names: Iterable[str]) -> "Table":
        """All columns but these; an unknown name is an `InputError`."""
        dropped = set(self.select(names).names)
        return self.select(name for name in self.names if name not in dropped)

    def missing(self, name: str) -> Tensor:
        """(n,) mask of the rows where a column has no value."""
        values = self.columns[name]
        return values.isnan() if values.is_floating_point() else values < 0

    def cells(self, name: str) -> np.ndarray:
        """(n,) a column as files show it: numbers, or texts of categories and dates, else None."""
        values = self.columns[name].cpu()
        column = next(column for column in self.schema if column.name == name)
        if column.kind == "date":
            return _iso(values)
        if values.is_floating_point():
            return values.numpy()
        texts = [column.categories[code] if code >= 0 else None for code in values.tolist()]
        return np.array(texts, dtype=object)

    def blocks(self, names: Iterable[str]) -> Iterator[tuple[list[str], Tensor]]:
        """Columns side by side, each time their names and `matrix`, (n, b).

        What is asked of every column is asked of as many at once as make up some cells: a wide
        table of few rows takes no longer than a narrow one of many.
        """
        chosen, many = self.select(names).schema, max(1, BLOCK // max(len(self), 1))
        for first in range(0, len(chosen), many):
            some = self._of(chosen[first : first + many])
            yield list(some.names), some.matrix()

    def content(self) -> Iterator[bytes]:
        """The bytes that identify it: names, kinds, categories and values."""
        for column in self.schema:
            yield repr((column.name, column.kind, column.categories)).encode()
            yield from bytes_of(self.columns[column.name])

    def matrix(self) -> Tensor:
        """(n, d) float64: numbers as they are, categories as codes (missing: NaN)."""
        if isinstance(self.columns, Stacked):
            return self.columns.matrix(self.names)
        first = next(iter(self.columns.values()), torch.empty(0))
        out = torch.empty(len(first), len(self.schema), dtype=torch.float64, device=first.device)
        for j, name in enumerate(self.names):
            values = self.columns[name]
            out[:, j] = values
            if not values.is_floating_point():
                out[:, j].masked_fill_(self.missing(name), torch.nan)
        return out


def _iso(seconds: Tensor) -> np.ndarray:
    """(n,) dates since 1970 as ISO 8601 writes them: to the day, second or microsecond.

    >>> _iso(torch.tensor([0.0, 43200.5, torch.nan])).tolist()
    ['1970-01-01', '1970-01-01T12:00:00.500000', None]
    """
    micro = (seconds.double() * 1e6).round().numpy()
    gaps = np.isnan(micro)
    dates = np.where(gaps, 0, micro).astype("int64").astype("datetime64[us]")
    out = np.empty(len(dates), object)
    for unit in ("us", "s", "D"):  # the coarsest that says all
        exact = dates.astype(f"datetime64[{unit}]") == dates
        out[exact] = np.datetime_as_string(dates[exact], unit=unit)
    out[gaps] = None
    return out


def _repeated(names: list[str]) -> str:
    return listing(repr(name) for name, count in sorted(Counter(names).items()) if count > 1)
