"""Rows of a mixed table before anything is fitted: numbers dequantised, categories numbered."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.documents import typed
from sourcewise.encoders.base import CodedColumn, Document, Strange, TensorRows, each_once
from sourcewise.encoders.numeric import NumericCoding
from sourcewise.errors import InputError, unknown
from sourcewise.forms import Column, Kind, Table
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.recorded import NumericColumn

__all__ = [
    "LEVELS",
    "Levels",
    "MixedColumn",
    "MixedRows",
    "prepare_mixed",
    "strange_categories",
]

LEVELS = 200  # codes of a column at most; a code needs rows to be learned from


@dataclass(frozen=True)
class MixedColumn:
    """How a column is encoded."""

    name: str  # the column's name
    number: NumericColumn | None = None  # how its numbers were recorded; None for categories
    categories: tuple[str, ...] = ()  # their names
    missing: bool = False  # whether it has a code for missing

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
        raise InputError(
            f"column {name!r} has a missing value ({{row}}), but had none where the model comes "
            "from: no probability was learned for it",
            int(gaps.nonzero()[0]),
        )
    if found[name].kind != column.schema.kind and not bool(gaps.all()):
        kind = column.schema.kind
        raise InputError(
            f"column {name!r} is read as {found[name].kind}, but the model has it as {kind}: read "
            f"it with {as_option('--types', f'{name}={kind}')}"
        )


def strange_categories(table: Table, columns: Sequence[MixedColumn]) -> list[Strange]:
    """The categories that the schema does not name, each once."""
    found = []
    for column in columns:
        if column.number is None:
            codes, theirs = table.columns[column.name], _categories(table, column.name)
            rows = (_numbers(table, column) == _STRANGE).nonzero().squeeze(1)
            each = each_once(codes[rows], rows)
            found += [Strange("category", column.name, theirs[code], at) for code, at in each]
    return found


def _numbered(table: Table, column: MixedColumn) -> Tensor:
    """(n,) the number of each category in the plan, NaN where missing."""
    numbers = _numbers(table, column)
    strange = (numbers == _STRANGE).nonzero().squeeze(1)
    if len(strange):
        text = _categories(table, column.name)[int(table.columns[column.name][strange[0]])]
        raise InputError(f"column {column.name!r}: {unknown('category', text, column.categories)}")
    return numbers.double().masked_fill(numbers == _GAP, torch.nan)


_GAP, _STRANGE = -1, -2


def _numbers(table: Table, column: MixedColumn) -> Tensor:
    """(n,) the number of each category in the plan, or that it is missing or strange."""
    gaps = table.missing(column.name)
    out = torch.full((len(table),), _GAP, dtype=torch.int64)
    if not bool(gaps.all()):
        ours = {text: i for i, text in enumerate(column.categories)}
        known = [ours.get(text, _STRANGE) for text in _categories(table, column.name)]
        out[~gaps] = torch.tensor(known)[table.columns[column.name][~gaps].long()]
    return out


def _categories(table: Table, name: str) -> tuple[str, ...]:
    return next(column.categories for column in table.schema if column.name == name)


@dataclass(frozen=True)
class Levels:
    """The code of each category."""

    own: tuple[int, ...]  # categories with a code of their own: `own[code]` is the category
    shared: tuple[int, ...] = ()  # categories that share the last code, in equal parts

    @classmethod
    def of(cls, v: Tensor, categories: int) -> "Levels":
        """All categories, or the most frequent of them, have a code of their own.

        Args:
            v: (n,) int64 categories of training rows.
            categories: how many there are; one without training rows counts too.
        """
        if categories <= LEVELS:
            return cls(tuple(range(categories)))
        counts = torch.bincount(v, minlength=categories)
        ranked = counts.argsort(descending=True, stable=True).tolist()
        return cls(tuple(sorted(ranked[: LEVELS - 1])), tuple(sorted(ranked[LEVELS - 1 :])))

    @property
    def count(self) -> int:
        """The number of codes."""
        return len(self.own) + bool(self.shared)

    def place(self, v: Tensor) -> Tensor:
        """(n,) code + u for categories v: in the middle of a category's part of its code."""
        table = torch.empty(len(self.own) + len(self.shared), dtype=torch.float64)
        parts = (torch.arange(len(self.shared), dtype=torch.float64) + 0.5) / max(
            1, len(self.shared)
        )
        table[list(self.own)] = torch.arange(len(self.own), dtype=torch.float64) + 0.5
        table[list(self.shared)] = len(self.own) + parts
        return table[v.long()] if len(table) else torch.zeros_like(v)

    def codes(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) int64 codes of categories, and (n,) the log probability given the code."""
        code = self.place(v).long()
        among = torch.tensor(float(max(1, len(self.shared))), dtype=torch.float64).log()
        return code, torch.where(code == len(self.own), -among, 0.0)

    def values(self, z: Tensor) -> Tensor:
        """(n,) the categories at code + u."""
        code = z.long()
        part = ((z - code) * len(self.shared)).long()
        table = torch.tensor([*self.own, *self.shared, 0])
        return table[torch.where(code == len(self.own), code + part, code)].double()

    def to_json(self) -> Document:
        """Plain values."""
        return {"own": list(self.own), "shared": list(self.shared)}

    @classmethod
    def from_json(cls, document: Document) -> "Levels":
        """The inverse of `to_json`."""
        return typed(cls, document)
