"""Given columns <-> tensors: what models are conditioned on beside the source, and never model.

Numbers and dates are standardised over the training rows of all sources. A category of L levels
is L - 1 coordinates, 0 or 1: the first of its levels is where all are 0.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from sourcewise.documents import Positive, Real, typed
from sourcewise.encoders.base import Document
from sourcewise.errors import InputError, listing
from sourcewise.forms import Column, Kind, Table, X, as_table
from sourcewise.randomness import ExampleNoise

__all__ = ["GivenColumn", "GivenEncoder", "GivenRows"]


@dataclass(frozen=True)
class GivenColumn:
    """How a given column is encoded.

    Args:
        name: the column.
        kind: number, category or date.
        levels: of a category.
        mean: of a number or date (seconds), over training rows.
        scale: likewise its standard deviation; 1 where it has none.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    mean: Real = 0.0
    scale: Positive = 1.0

    @property
    def width(self) -> int:
        """Its coordinates."""
        return len(self.levels) - 1 if self.kind == "category" else 1

    def decode(self, c: Tensor) -> Tensor:
        """The inverse of `encode`: (n,) values to about 12 digits, or codes of levels."""
        if self.kind != "category":
            digits = 12 - math.ceil(math.log10(max(abs(self.mean), self.scale)))
            return (c[:, 0] * self.scale + self.mean).round(decimals=digits)
        return torch.cat([1 - c.sum(1, keepdim=True), c], 1).argmax(1)

    def encode(self, table: Table) -> Tensor:
        """(n, width) float64."""
        values = table.columns[self.name]
        if self.kind != "category":
            return ((values.double() - self.mean) / self.scale)[:, None]
        number = {text: i for i, text in enumerate(self.levels)}
        found = next(column for column in table.schema if column.name == self.name)
        known = torch.tensor([number.get(text, -1) for text in found.categories])
        codes = known[values]
        if bool((codes < 0).any()):
            row = int((codes < 0).int().argmax())
            raise InputError(
                f"given column {self.name!r}: the models do not know "
                f"{found.categories[int(values[row])]!r} (known: {listing(self.levels, 12)})"
            )
        return torch.nn.functional.one_hot(codes, len(self.levels))[:, 1:].double()


@dataclass(frozen=True)
class GivenEncoder:
    """Fitted once per split on training rows of all sources, shared by all strategies."""

    columns: tuple[GivenColumn, ...]

    @property
    def width(self) -> int:
        """C, what models take for a row."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def kinds(self) -> dict[str, Kind]:
        """By column."""
        return {column.name: column.kind for column in self.columns}

    def encode(self, c: X) -> Tensor:
        """(n, C) float64.

        Raises:
            InputError: a column is missing, of another kind, without a value, or holds a category
                that no training row had.
        """
        table = as_table(c).select(self.names)
        for column, found in zip(self.columns, table.schema, strict=True):
            if found.kind != column.kind:
                raise InputError(
                    f"given column {found.name!r} is read as {found.kind}, but the models have it "
                    f"as {column.kind}"
                )
            if bool(table.missing(found.name).any()):
                row = int(table.missing(found.name).int().argmax())
                raise InputError(f"given column {found.name!r} has no value in {{row}}", row=row)
        return torch.cat([column.encode(table) for column in self.columns], 1)

    def strange(self, c: X) -> Iterator[tuple[str, str, Tensor]]:
        """Of columns the categories that no training row had, and their rows."""
        table = as_table(c).select(self.names)
        for column, found in zip(self.columns, table.schema, strict=True):
            if column.kind == found.kind == "category":
                for code in table.columns[found.name].unique().tolist():
                    if code >= 0 and found.categories[code] not in column.levels:
                        rows = (table.columns[found.name] == code).nonzero().squeeze(1)
                        yield found.name, found.categories[code], rows

    def decode(self, c: Tensor) -> Table:
        """The inverse of `encode`, but for rounding."""
        parts = c.split([column.width for column in self.columns], 1)
        pairs = zip(self.columns, parts, strict=True)
        values = {column.name: column.decode(part) for column, part in pairs}
        return Table(values, tuple(Column(c.name, c.kind, c.levels) for c in self.columns))

    def to_json(self) -> Document:
        """All of it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Document) -> "GivenEncoder":
        """The inverse of `to_json`."""
        return typed(cls, document)

    @classmethod
    def fit(cls, c: X) -> "GivenEncoder":
        """By the given columns of training rows of all sources."""
        table, columns = as_table(c), []
        for column in table.schema:
            if column.kind == "category":
                columns.append(GivenColumn(column.name, column.kind, column.categories))
                continue
            values = table.columns[column.name].double()
            mean, scale = float(values.mean()), float(values.std(correction=0))
            scale = scale if scale > 0 else 1.0
            columns.append(GivenColumn(column.name, column.kind, (), mean, scale))
        return cls(tuple(columns))


@dataclass(frozen=True)
class GivenRows:
    """Given columns of the training rows: what draws are given where nobody says.

    Args:
        y: (n,) the sources of the rows.
        c: (n, C) encoded.
    """

    y: Tensor
    c: Tensor

    def draw(self, y: Tensor, noise: ExampleNoise) -> Tensor:
        """(B, C) those of a training row of the same source, at random, for each entry of y."""
        order = torch.argsort(self.y, stable=True)
        counts = torch.bincount(self.y, minlength=int(y.max()) + 1)
        starts = counts.cumsum(0) - counts
        number = (noise.of("given").uniform(1)[:, 0] * counts[y]).long()
        return self.c[order[starts[y] + number]]
