"""The box of a sample: how far it reaches, and the cells of a grid."""

import torch

from sourcewise.encoders.box import MARGIN, BoxCoding
from sourcewise.forms import Table
from sourcewise.screening.base import Image, Screened
from sourcewise.screening.box import grid_cells
from sourcewise.screening.options import BoxOptions
from sourcewise.screening.recorded import (
    NumericColumn,
    decimals,
    recorded_columns,
    resolution,
)

__all__ = ["plan"]


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
