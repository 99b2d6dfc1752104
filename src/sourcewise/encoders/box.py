"""Numeric columns <-> the cube [0,1]^D, with the Jacobian back to original units.

    x  --dequantise-->  x + r u  --log (chosen)-->  v  --box-->  z = (v - low) / (high - low)

The box is the range of each column over the whole sample, cells of ties included, widened by 5 %
of itself at both ends; of a grid it ends with the cells, and that of an image is the range of all
its pixels. It is settled before any row is split, it is the same for all strategies, and nothing
else is learnt from it: a box that held training rows only would leave test rows of density 0.
Strictly, then, scores hold for rows within the range of the sample at hand: new rows whose cells
do not lie in the box are refused, not scored.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Real, Size, typed
from sourcewise.encoders.base import CodedColumn, Coding, Document, Encoder, Sizes
from sourcewise.encoders.numeric import NumericCoding, NumericRows
from sourcewise.errors import InputError
from sourcewise.forms import Column, Table, X, as_table
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Image, Screened
from sourcewise.screening.box import grid_cells
from sourcewise.screening.options import BoxOptions
from sourcewise.screening.recorded import NumericColumn, decimals, recorded_columns, resolution

__all__ = ["MARGIN", "BoxCoding", "BoxEncoder", "plan"]

MARGIN = 0.05
ROUNDING = 1e-9  # of a side: ends of a box are sums and logarithms


@dataclass(frozen=True)
class BoxCoding(Coding):
    """Numbers by columns, each in its interval; scores are per row.

    Args:
        columns: how each was recorded, and whether its logarithm is taken.
        low: where each interval begins, in the units of prepared values.
        high: where it ends.
        shape: channels, height and width, if the columns are the pixels of an image.
        array: the axes of a row in the array that the data were, () if they were columns.
        cells: the box is cut into so many along each axis, as wide as the steps of a column.
    """

    columns: tuple[NumericColumn, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, int, int] | None = None
    cells: int | None = None
    array: tuple[int, ...] = ()

    @property
    def coded_columns(self) -> tuple[CodedColumn, ...]:
        """The columns, all of numbers."""
        return NumericCoding(self.columns).coded_columns

    def prepare(self, x: X, noise: ExampleNoise) -> NumericRows:
        """See `NumericCoding.prepare`.

        Raises:
            InputError: a value is missing or outside the box.
        """
        table = as_table(x)
        self._check(table)
        return NumericCoding(self.columns).prepare(table, noise)

    def _check(self, table: Table) -> None:
        """Values as they are recorded, whose cells must lie in the box whatever the draws."""
        values = table.select(column.name for column in self.columns).matrix()
        low, high = self.recorded_range
        slack = ROUNDING * (high - low)
        bad = ~((values >= low - slack) & (values <= high + slack))
        if not bool(bad.any()):
            return
        row, j = bad.nonzero()[0].tolist()
        told, value = f"column {self.columns[j].name!r}: ", float(values[row, j])
        if value != value:
            told += "a missing value, which this family cannot score: --missing drop"
            raise InputError(told)
        raise InputError(
            f"{told}{value:.9g} lies outside [{float(low[j]):.9g}, {float(high[j]):.9g}], "
            f"{self._why(j)} (rows outside: {int(bad.any(1).sum())}); leave such rows out, or "
            f"train on data that hold such values{self._else(j, above=value > float(high[j]))}"
        )

    @property
    def recorded_range(self) -> tuple[Tensor, Tensor]:
        """(D,) the smallest and the largest value that can be recorded, in original units."""
        ends = torch.tensor([self.low, self.high], dtype=torch.float64)
        logs = torch.tensor([column.log for column in self.columns])
        steps = [column.resolution or 0.0 for column in self.columns]
        low, high = torch.where(logs, ends.exp(), ends)
        return low, high - torch.tensor(steps, dtype=torch.float64)

    def _on_grid(self, j: int) -> bool:
        return self.cells is not None and self.columns[j].step is not None

    def _why(self, j: int) -> str:
        """What the range of a column is."""
        if self._on_grid(j):
            return "the values that the grid made cells for"
        made = "the range of the sample that the models were made for"
        widened = self.cells is None and self.shape is None
        return made + (f", widened by {100 * MARGIN:g} %" if widened else "")

    def _else(self, j: int, above: bool) -> str:
        """What else training can do, to let a few such values in."""
        if self.cells is None:
            return ""
        more = ", or with nodes=N, which adds cells above" if self._on_grid(j) and above else ""
        wider = f", or with another rule, whose box is wider by {100 * MARGIN:g} %"
        rule = wider if self.variables <= 3 else ""
        return more + rule

    def fit(self, rows: NumericRows, y: Tensor, K: int) -> "BoxEncoder":
        """Spreads are those of the rows; nothing else is fitted."""
        encoder = BoxEncoder(self, ())
        z, _ = encoder.encode(rows, y)
        counts = torch.bincount(y, minlength=K).clamp(min=1).double()[:, None]
        means = torch.zeros(K, z.shape[1], dtype=z.dtype).index_add_(0, y, z) / counts
        spread = (z - means[y]).square().mean(0).sqrt()
        return replace(encoder, spread=tuple(spread.tolist()))


@dataclass(frozen=True)
class BoxEncoder(Encoder):
    """The affine map of the box onto the cube."""

    box: BoxCoding  # where each column lies
    spread: tuple[float, ...]  # (D,) standard deviations within sources, of training rows

    @property
    def coding(self) -> BoxCoding:
        """The coding that it was fitted under."""
        return self.box

    @property
    def sizes(self) -> Sizes:
        """What a model must know: D, spreads; of images their shape, of a grid its cells."""
        more = {"shape": self.box.shape, "cells": self.box.cells}
        given = {name: value for name, value in more.items() if value is not None}
        return {"D": self.box.variables, "spread": self.spread, **given}

    @property
    def low(self) -> Tensor:
        """(D,) where the box begins."""
        return torch.tensor(self.box.low, dtype=torch.float64)

    @property
    def width(self) -> Tensor:
        """(D,) its sides."""
        return torch.tensor(self.box.high, dtype=torch.float64) - self.low

    def encode(self, rows: NumericRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows in the cube.

        Returns:
            z: (n, D).
            log_det: (n,) the log of |dz/dx|, to be added to log p(z).
        """
        v = rows.values
        z = ((v - self.low) / self.width).clamp(0, 1)  # `prepare` saw to it, but for rounding
        logs = [j for j, column in enumerate(self.box.columns) if column.log]
        return z, -self.width.log().sum() - v[:, logs].sum(1)

    def decode(self, z: Tensor) -> X:
        """Back to original units, each column with the decimals or on the lattice recorded.

        Never outside the values that `BoxCoding.prepare` takes; images as the array they were.
        """
        v = z * self.width + self.low
        low, high = (ends.tolist() for ends in self.box.recorded_range)
        columns = {
            column.name: column.recorded_within(v[:, j], low[j], high[j])
            for j, column in enumerate(self.box.columns)
        }
        if self.box.array:
            return torch.stack([*columns.values()], 1).reshape(-1, *self.box.array)
        return Table(columns, tuple(Column(name) for name in columns))

    def to_json(self) -> Document:
        """All of it as plain values; floats survive exactly."""
        return {
            "kind": "box",
            "columns": [vars(column) for column in self.box.columns],
            "low": list(self.box.low),
            "high": list(self.box.high),
            "shape": self.box.shape and list(self.box.shape),
            "cells": self.box.cells,
            "array": list(self.box.array),
            "spread": list(self.spread),
        }

    @classmethod
    def from_json(cls, document: Document) -> "BoxEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        D, box = len(found.columns), (found.low, found.high)
        if not D == len(found.spread) == len(found.low) == len(found.high):
            raise ValueError(f"there are {D} columns, and not as many numbers")
        if any(not low < high for low, high in zip(*box, strict=True)):
            raise ValueError("the box is empty")
        if any(math.prod(sides) != D for sides in (found.shape, found.array) if sides):
            raise ValueError(f"the image has not {D} pixels")
        coding = BoxCoding(
            found.columns, *box, shape=found.shape, cells=found.cells, array=found.array
        )
        return cls(coding, found.spread)


@dataclass(frozen=True)
class _Written:
    """The document of a `BoxEncoder`."""

    columns: tuple[NumericColumn, ...]
    low: tuple[Real, ...]
    high: tuple[Real, ...]
    cells: Size | None
    spread: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    shape: tuple[Size, Size, Size] | None = None
    array: tuple[Size, ...] = ()


def plan(screened: Screened, options: BoxOptions | None = None) -> BoxCoding:
    """The coding of a sample of numbers, or of pixels."""
    table = screened.table
    if screened.image is not None:
        return _of_image(table, screened.image)
    columns = recorded_columns(table, screened.log)
    if options is None or options.nodes is None:
        return _widened(table, columns)
    return _of_grid(table, columns, grid_cells(table, columns, options.nodes))


def _widened(table: Table, columns: tuple[NumericColumn, ...]) -> BoxCoding:
    """The range of each prepared column, widened by 5 % at both ends."""
    ends = [column.reach(table.columns[column.name]) for column in columns]
    margins = [MARGIN * (high - low) for low, high in ends]
    lows = tuple(low - margin for (low, _), margin in zip(ends, margins, strict=True))
    highs = tuple(high + margin for (_, high), margin in zip(ends, margins, strict=True))
    return BoxCoding(columns, lows, highs)


def _of_grid(table: Table, columns: tuple[NumericColumn, ...], cells: int) -> BoxCoding:
    """A box that ends with its cells.

    A column on a lattice starts at its lowest value and has one cell per step, so that no cell
    holds parts of two values; values in between that never occur have theirs too.
    """
    ends = [_aligned(column, table, cells) for column in columns]
    lows, highs = zip(*ends, strict=True)
    return BoxCoding(columns, tuple(lows), tuple(highs), cells=cells)


def _aligned(column: NumericColumn, table: Table, cells: int) -> tuple[float, float]:
    """Where cells of the lattice end; without one, those of the range, a little wider."""
    low, high = column.reach(table.columns[column.name])
    if column.step is not None:
        return low, low + cells * column.step
    margin = 1e-6 * (high - low)
    return low - margin, high + margin


def _of_image(table: Table, image: Image) -> BoxCoding:
    """Pixels have one lattice and one box, those of all pixels together."""
    every = torch.cat([values.double() for values in table.columns.values()])
    low, step, places = float(every.min()), resolution(every), decimals(every)
    columns = tuple(NumericColumn(name, False, step, low, places) for name in table.names)
    high, D = float(every.max()) + (step or 0.0), len(columns)
    return BoxCoding(columns, (low,) * D, (high,) * D, shape=image.shape, array=image.array)
