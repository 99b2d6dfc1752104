"""Rows of a mixed table before anything is fitted: numbers dequantised, categories numbered."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.encoders.base import CodedColumn, TensorRows
from sourcewise.encoders.numeric import NumericCoding
from sourcewise.errors import InputError, unknown
from sourcewise.forms import Column, Kind, Table
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.recorded import NumericColumn

__all__ = ["MixedColumn", "MixedRows", "prepare_mixed"]


@dataclass(frozen=True)
class MixedColumn:
    """How a column is encoded.

    Args:
        name: the column's name.
        number: how its numbers were recorded; None for categories.
        categories: their names.
        missing: whether it has a code for missing.
    """

    name: str
    number: NumericColumn | None = None
    categories: tuple[str, ...] = ()
    missing: bool = False

    @property
    def kind(self) -> Kind:
        """number or category."""
        return "category" if self.number is None else "number"

    @property
    def schema(self) -> Column:
        """The column of the table."""
        return Column(self.name, self.kind, self.categories)

    @property
    def coded(self) -> CodedColumn:
        """The column as others know it."""
        number = self.number or NumericColumn(self.name)
        known = (number.log, number.resolution, self.missing)
        return CodedColumn(self.name, self.kind, self.categories, *known)


@dataclass(frozen=True)
class MixedRows(TensorRows):
    """Rows after all steps that need no fitting; NaN where missing.

    Args:
        values: (n, C) dequantised numbers (or their logarithms), or category codes.
        starts: (n, C) where the cell of a recorded number begins.
        stops: (n, C) where it ends; `starts` in columns without ties and of categories.
    """

    starts: Tensor
    stops: Tensor


def prepare_mixed(table: Table, columns: Sequence[MixedColumn], noise: ExampleNoise) -> MixedRows:
    """Dequantise numbers, and number categories as the schema does.

    Args:
        table: n rows with these columns.
        columns: how each is encoded.
        noise: one stream per row.

    Raises:
        InputError: a category that the schema does not name, a gap in a column that had none, or
            another kind of column.
    """
    for column in columns:
        _check(table, column)
    plans = tuple(column.number for column in columns if column.number is not None)
    numbers = NumericCoding(plans).prepare(table, noise).values if plans else torch.empty(0, 0)
    starts = table.select(c.name for c in columns).matrix()
    values, stops = starts.clone(), starts.clone()
    each = iter(numbers.T)
    for j, column in enumerate(columns):
        if column.number is None:
            values[:, j] = _numbered(table, column)
        else:
            values[:, j] = next(each)
            stops[:, j] += column.number.resolution or 0.0
            if column.number.log:
                starts[:, j], stops[:, j] = starts[:, j].log(), stops[:, j].log()
    return MixedRows(values, starts, stops)


def _check(table: Table, column: MixedColumn) -> None:
    """Refuse a column that cannot be encoded as planned."""
    name, found = column.name, {c.name: c for c in table.schema}
    if name not in found:
        raise unknown("column", name, table.names)
    gaps = table.missing(name)
    if bool(gaps.any()) and not column.missing:
        row = int(gaps.nonzero()[0]) + 1
        raise InputError(
            f"column {name!r} has a missing value (row {row}), but had none where the model comes "
            "from: no probability was learned for it"
        )
    if found[name].kind != column.schema.kind and not bool(gaps.all()):
        raise InputError(
            f"column {name!r} is read as {found[name].kind}, but the model has it as "
            f"{column.schema.kind}: read it with --types {name}={column.schema.kind}"
        )


def _numbered(table: Table, column: MixedColumn) -> Tensor:
    """(n,) the number of each category in the plan, NaN where missing."""
    values = table.columns[column.name]
    gaps = table.missing(column.name)
    out = torch.full((len(table),), torch.nan, dtype=torch.float64)
    if bool(gaps.all()):
        return out
    theirs = next(c.categories for c in table.schema if c.name == column.name)
    ours = {text: i for i, text in enumerate(column.categories)}
    numbers = torch.tensor([ours.get(text, -1) for text in theirs])[values[~gaps]]
    if bool((numbers < 0).any()):
        text = theirs[int(values[~gaps][numbers < 0][0])]
        raise InputError(f"column {column.name!r}: {unknown('category', text, column.categories)}")
    out[~gaps] = numbers.double()
    return out
