"""Rows of tables as points: numbers in standard deviations, categories as corners.

- A number (or its logarithm, where models take that) is divided by its standard deviation over
  the training rows of all sources.
- A category of L levels is L coordinates, all 0 but one of `1 / sqrt(2)`: two rows of different
  levels are 1 apart in it. This is how far two numbers one standard deviation apart are.
- A gap, where models have gaps too, is a level beside the others; its number counts as the mean.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sourcewise.documents import Positive, Real, typed
from sourcewise.encoders.base import CodedColumn, Coding
from sourcewise.errors import InputError, listing
from sourcewise.forms import Column, Table, X, as_table

__all__ = ["ColumnFeatures", "ColumnPoints"]

WIDEST = 10_000  # coordinates of a point
CORNER = 1 / math.sqrt(2)


@dataclass(frozen=True)
class ColumnPoints:
    """How a column becomes coordinates.

    Args:
        name: the column.
        levels: of a category; 0: a number.
        log: whether the number's logarithm is taken.
        mean: of the number, over training rows.
        scale: likewise its standard deviation; 1 where it has none.
        gaps: whether a gap is a level.
    """

    name: str
    levels: int
    log: bool
    mean: Real
    scale: Positive
    gaps: bool

    @property
    def width(self) -> int:
        """Its coordinates."""
        return (self.levels or 1) + self.gaps

    def of(self, values: Tensor) -> Tensor:
        """(n, width) of the column's values (n,)."""
        out = torch.zeros(len(values), self.width, dtype=torch.float64)
        if self.levels:
            gone = values < 0
            rows = (~gone).nonzero().squeeze(1)
            out[rows, values[rows]] = CORNER
        else:
            number = values.log() if self.log else values
            gone = number.isnan()
            out[:, 0] = ((number - self.mean) / self.scale).masked_fill(gone, 0.0)
        if self.gaps:
            out[gone, -1] = CORNER
        elif bool(gone.any()):
            raise InputError(f"column {self.name!r}: distances need values, and one is missing")
        return out


@dataclass(frozen=True)
class ColumnFeatures:
    """Points of the rows of a table."""

    columns: tuple[ColumnPoints, ...]

    def __call__(self, x: X) -> Tensor:
        """(n, D) float64."""
        table = as_table(x).to("cpu")
        return torch.cat([column.of(table.columns[column.name]) for column in self.columns], 1)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"kind": "columns", **asdict(self)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ColumnFeatures":
        """The inverse of `to_json`."""
        return typed(cls, {"columns": document["columns"]})

    @classmethod
    def fit(cls, x: X, coding: Coding) -> "ColumnFeatures":
        """By the training rows of all sources.

        Raises:
            InputError: gaps that models of this coding never draw, or too many categories.
        """
        table, coded = as_table(x), {column.name: column for column in coding.coded_columns}
        gaps = [name for name in table.names if bool(table.missing(name).any())]
        if gappy := [name for name in gaps if not coded[name].missing]:
            raise InputError(
                "distances need rows without gaps, and these columns have some: "
                f"{listing(map(repr, gappy), 5)}; --missing drop leaves such rows out"
            )
        columns = tuple(_fitted(table, column, coded[column.name]) for column in table.schema)
        if (width := sum(column.width for column in columns)) > WIDEST:
            raise InputError(
                f"these columns have {width} numbers and levels in all, and distances take at "
                f"most {WIDEST}: leave out categories of many levels"
            )
        return cls(columns)


def _fitted(table: Table, column: Column, coded: CodedColumn) -> ColumnPoints:
    if column.kind == "category":
        levels = len(column.categories)
        return ColumnPoints(column.name, levels, False, 0.0, 1.0, coded.missing)
    values = table.columns[column.name]
    number = values[~values.isnan()].double()
    number = number.log() if coded.log else number
    mean, scale = float(number.mean()), float(number.std(correction=0))
    scale = scale if scale > 0 else 1.0
    return ColumnPoints(column.name, 0, coded.log, mean, scale, coded.missing)
