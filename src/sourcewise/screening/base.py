"""A screened sample: what of it is used, and what the user should know."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sourcewise.errors import InputError, listing
from sourcewise.forms import Table, as_table
from sourcewise.sources import Sources

__all__ = ["Image", "LeftOut", "Screened", "per_source", "tested_sources"]


@dataclass(frozen=True)
class LeftOut:
    """A column that is not modelled, and why."""

    column: str
    reason: str


@dataclass(frozen=True)
class Image:
    """The image whose pixels the columns are.

    Args:
        shape: channels, height and width.
        array: the axes of a row in the array that the data were, () if they were columns.
    """

    shape: tuple[int, int, int]
    array: tuple[int, ...] = ()


@dataclass
class Screened:
    """A sample that a density can use.

    Args:
        data: the sample with usable columns only (and without dropped rows).
        log: the columns to take logarithms of.
        left_out: the columns left out.
        warnings: what the user should know, one line each.
        dropped: rows dropped for missing values.
        imputed: missing cells that will be filled in.
        image: what image the columns are, if they are pixels.
    """

    data: Sources
    log: frozenset[str] = frozenset()
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    dropped: int = 0
    imputed: int = 0
    image: Image | None = None

    @classmethod
    def columns_of(cls, data: Sources) -> "Screened":
        """A sample as a table, all of it still in use."""
        return cls(replace(data, x=as_table(data.x)))

    @property
    def table(self) -> Table:
        """The columns in use."""
        return as_table(self.data.x)

    def leave_out(self, column: str, reason: str) -> None:
        """Take a column out of the table and note it; the last one is an `InputError`."""
        self.left_out.append(LeftOut(column, reason))
        if len(self.table.names) == 1:
            reasons = listing(f"{item.column}: {item.reason}" for item in self.left_out)
            raise InputError(f"{self.data.name}: no usable column left ({reasons})")
        self.data = replace(self.data, x=self.table.drop([column]))


def tested_sources(screened: Screened, min_rows: int) -> list[int]:
    """Sources with enough rows to be looked at."""
    return (screened.data.counts >= max(min_rows, 2)).nonzero().squeeze(1).tolist()


def per_source(values: Tensor, y: Tensor, present: Tensor, K: int, reduce: str) -> Tensor:
    """(K,) "amin" or "amax" of the values present in each source, NaN where there are none."""
    out = torch.full((K,), torch.nan, dtype=torch.float64)
    rows = present.nonzero().squeeze(1)
    return out.scatter_reduce(0, y[rows], values[rows], reduce, include_self=False)
