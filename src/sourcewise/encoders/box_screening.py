"""The box of a sample: how far it reaches, and the cells of a grid.

The box is the range of each column over the whole sample, cells of ties included, widened by 5 %
of itself at both ends; under `rule=grid` it ends with the cells. It is settled before any row is
split, it is the same for all arms, and nothing else is learnt from it: a box that held training
rows only would leave test rows of density 0. Strictly, then, scores hold for rows within the range
of the sample at hand.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from sourcewise.encoders import screening
from sourcewise.encoders.box import MARGIN, BoxCoding
from sourcewise.encoders.numeric import NumericColumn, plan_columns
from sourcewise.encoders.pixels import pixels
from sourcewise.encoders.screening import Screened
from sourcewise.errors import InputError, listing
from sourcewise.forms import Table
from sourcewise.sources import Sources

__all__ = ["plan_box", "screen"]

CROWDED = 0.05  # of the range, that the middle 99 % of a column fill at least
SLOW = 1 << 15  # energies per update; about a tenth of a second on one core


def screen(data: Sources, *, settings: Any, **options: Any) -> Screened:
    """Columns and rows for a density on a box; as `screening.screen`, and `pixels` for images.

    Args:
        data: the sample.
        settings: of the family: are the columns pixels?
        **options: those of `screening.screen`; missing values are refused or dropped.

    Raises:
        InputError: those of `screening.screen`, missing="impute" where values are missing.
    """
    if settings.network == "convolutional":
        return pixels(data, settings.image, **options)
    screened = screening.screen(data, settings=settings, imputes=False, **options)
    columns = plan_columns(screened.table, screened.log)
    _point_out_outliers(screened, columns)
    cells = settings.nodes if settings.rule == "grid" else None
    screened.coding = plan_box(screened.table, columns, cells)
    _point_out_many_cells(screened, screened.coding)
    return screened


def _point_out_outliers(screened: Screened, columns: Sequence[NumericColumn]) -> None:
    """Warn of columns whose box is nearly empty: a few values settle how far it reaches."""
    for column in columns:
        values = screened.table.columns[column.name].double()
        share, row = _middle(values.log() if column.log else values)
        if share >= CROWDED:
            continue
        positive = not column.log and bool((values > 0).all())
        cured = positive and _middle(values.log())[0] >= CROWDED
        helps = f"--log {column.name}, or leave" if cured else "leave"
        screened.warnings.append(
            f"column {column.name!r}: row {row + 1} of those used, of "
            f"{screened.data.names[int(screened.data.y[row])]!r}, holds {float(values[row]):.9g}; "
            f"the middle 99 % of the values fill {share:.2g} of the range that the box has to "
            f"hold, too little for a density to see its shape: {helps} such rows out"
        )


def _middle(values: Tensor) -> tuple[float, int]:
    """The share of the range (n,) that the middle 99 % fill, and the row farthest from them."""
    n, order = len(values), values.sort().values
    cut = min(max(1, n // 200), (n - 1) // 2)
    low, high = order[cut], order[n - 1 - cut]
    beyond = torch.maximum(low - values, values - high)
    return float((high - low) / (order[-1] - order[0])), int(beyond.argmax())


def _point_out_many_cells(screened: Screened, box: BoxCoding) -> None:
    """Warn of a grid that makes every update slow, and name the columns that make it large."""
    cells = (box.cells or 0) ** box.variables
    if cells * screened.data.K <= SLOW:
        return
    wide = [
        column.name
        for column in box.columns
        if _steps(column, *_range(screened.table.columns[column.name], column)) == box.cells
    ]
    why = f", for the range / step of {listing(map(repr, wide), 3)}" if wide else ""
    instead = (
        "another rule is quicker"
        if box.variables <= 3
        else "columns recorded in larger steps help"
    )
    screened.warnings.append(
        f"rule=grid has {box.cells}^{box.variables} cells{why}, and every update takes them all "
        f"for each source: slow (--dry-run tells how long); {instead}"
    )


def plan_box(
    table: Table, columns: tuple[NumericColumn, ...], cells: int | Literal["auto"] | None = None
) -> BoxCoding:
    """The box of a table: the range of each lifted column, widened by 5 % at both ends.

    With cells, a column on a lattice starts at its lowest value and has one cell per step, so
    that no cell holds parts of two values; values in between that never occur have theirs too.

    Args:
        table: the sample's columns.
        columns: how each is lifted.
        cells: along each axis, of a finite grid; "auto": the most steps that a column has.

    Raises:
        InputError: fewer cells than steps; "auto" where a column has no lattice.
    """
    ends = [_range(table.columns[column.name], column) for column in columns]
    if cells is not None:
        counts = [_steps(column, *end) for column, end in zip(columns, ends, strict=True)]
        cells = _cells(columns, counts, cells)
        pairs = zip(columns, ends, strict=True)
        ends = [_aligned(column, low, high, cells) for column, (low, high) in pairs]
    else:
        margins = [MARGIN * (high - low) for low, high in ends]
        pairs = zip(ends, margins, strict=True)
        ends = [(low - margin, high + margin) for (low, high), margin in pairs]
    lows, highs = zip(*ends, strict=True)
    return BoxCoding(columns, tuple(lows), tuple(highs), cells=cells)


def _steps(column: NumericColumn, low: float, high: float) -> int | None:
    """Cells of a column on a lattice, from its lowest to its highest value: range / step."""
    return None if column.step is None else round((high - low) / column.step)


def _cells(
    columns: Sequence[NumericColumn], counts: list[int | None], cells: int | Literal["auto"]
) -> int:
    for column, count in zip(columns, counts, strict=True):
        if count is None and cells == "auto":
            raise InputError(
                f"rule=grid: column {column.name!r} is on no lattice (its values hardly repeat, "
                "or it has --log): nodes=N cuts it into N cells"
            )
        if count is not None and cells != "auto" and count > cells:
            raise InputError(
                f"setting nodes: column {column.name!r} has {count} steps of "
                f"{column.step:g} from its lowest to its highest value, {cells} cells are "
                "too few"
            )
    return max(count or 0 for count in counts) if cells == "auto" else cells


def _aligned(column: NumericColumn, low: float, high: float, cells: int) -> tuple[float, float]:
    """A box whose cells are those of the lattice; without one, of the range, a little wider."""
    if column.step is not None:
        return low, low + cells * column.step
    margin = 1e-6 * (high - low)
    return low - margin, high + margin


def _range(values: Tensor, column: NumericColumn) -> tuple[float, float]:
    """Smallest and largest value that a lifted column can take, whatever the draws."""
    ends = torch.stack([values.min(), values.max() + (column.resolution or 0.0)]).double()
    low, high = (ends.log() if column.log else ends).tolist()
    return low, high
