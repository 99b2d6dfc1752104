"""What a density on a box can use: numbers that fill their range, or the pixels of images.

A box is settled by the range of each column over the whole sample, so a few values far away make
it empty; a grid of cells on it, by the steps of the columns.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.errors import InputError, listing
from sourcewise.forms import Table, X
from sourcewise.screening import numeric
from sourcewise.screening.base import Image, Screened, handle_missing, refuse_infinite
from sourcewise.screening.options import USUAL, BoxOptions, Rules
from sourcewise.screening.recorded import NumericColumn, recorded_columns
from sourcewise.sources import Sources

__all__ = ["grid_cells", "pixels", "screen"]

CROWDED = 0.05  # of the range, that the middle 99 % of a column fill at least
SLOW = 1 << 15  # cells per update; about a tenth of a second on one core


def screen(data: Sources, rules: Rules = USUAL, options: BoxOptions | None = None) -> Screened:
    """Columns and rows for a density on a box; as `numeric.usable`, and `pixels` for images.

    Missing values are refused or dropped.

    Raises:
        InputError: those of `numeric.usable`, missing="impute" where values are missing, those of
            `grid_cells`.
    """
    options = options or BoxOptions()
    if options.image is not None:
        return pixels(data, options.image, rules)
    screened = numeric.usable(data, rules, imputes=False)
    numeric.point_out_misfits(screened, _point_out_outliers(screened))
    if options.nodes is not None:
        columns = recorded_columns(screened.table, screened.log)
        cells = grid_cells(screened.table, columns, options.nodes)
        _point_out_many_cells(screened, columns, cells)
    return screened


def grid_cells(
    table: Table, columns: tuple[NumericColumn, ...], nodes: int | Literal["auto"]
) -> int:
    """Cells along each axis of a grid: one per step of the column that has the most.

    Raises:
        InputError: fewer cells than steps; "auto" where a column has no lattice.
    """
    counts = {column: column.steps(table.columns[column.name]) for column in columns}
    for column, count in counts.items():
        if count is None and nodes == "auto":
            raise InputError(
                f"no grid: column {column.name!r} is on no lattice (its values hardly repeat, or "
                "it has --log): nodes=N cuts it into N cells"
            )
        if count is not None and nodes != "auto" and count > nodes:
            raise InputError(
                f"setting nodes: column {column.name!r} has {count} steps of {column.step:g} from "
                f"its lowest to its highest value, {nodes} cells are too few"
            )
    return max(count or 0 for count in counts.values()) if nodes == "auto" else nodes


def _point_out_outliers(screened: Screened) -> set[str]:
    """Warn of columns whose box is nearly empty: a few values settle how far it reaches.

    Of columns with spikes there is a line already.

    Returns:
        The columns that it warns of.
    """
    found = set()
    for name in screened.table.names:
        if name in screened.spikes:
            continue
        values, log = screened.table.columns[name].double(), name in screened.log
        share, row = _middle(values.log() if log else values)
        if share >= CROWDED:
            continue
        positive = not log and bool((values > 0).all())
        cured = positive and _middle(values.log())[0] >= CROWDED
        helps = f"{as_option('--log', name)}, or leave" if cured else "leave"
        found.add(name)
        screened.warnings.append(
            f"column {name!r}: {screened.data.places(row)}, of "
            f"{screened.data.names[int(screened.data.y[row])]!r}, holds {float(values[row]):.9g}; "
            f"the middle 99 % of the values fill {share:.2g} of the range that the box has to "
            f"hold, too little for a density to see its shape: {helps} such rows out"
        )
    return found


def _middle(values: Tensor) -> tuple[float, int]:
    """The share of the range (n,) that the middle 99 % fill, and the row farthest from them."""
    n, order = len(values), values.sort().values
    cut = min(max(1, n // 200), (n - 1) // 2)
    low, high = order[cut], order[n - 1 - cut]
    beyond = torch.maximum(low - values, values - high)
    return float((high - low) / (order[-1] - order[0])), int(beyond.argmax())


def _point_out_many_cells(
    screened: Screened, columns: tuple[NumericColumn, ...], cells: int
) -> None:
    """Warn of a grid that makes every update slow, and name the columns that make it large."""
    D = len(columns)
    if cells**D * screened.data.K <= SLOW:
        return
    table = screened.table
    wide = [c.name for c in columns if c.steps(table.columns[c.name]) == cells]
    why = f", for the range / step of {listing(map(repr, wide), 3)}" if wide else ""
    instead = "another rule is quicker" if D <= 3 else "columns recorded in larger steps help"
    screened.warnings.append(
        f"the grid has {cells}^{D} cells{why}, and every update takes them all for each source: "
        f"slow (--dry-run tells how long); {instead}"
    )


def pixels(data: Sources, image: tuple[int, ...], rules: Rules) -> Screened:
    """Rows whose columns are pixels, all of them kept, however constant.

    Args:
        data: the sample: an array (n, H, W) or (n, C, H, W), or columns channel by channel and
            row by row.
        image: channels, height and width, where the array does not tell.
        rules: rows with gaps are refused or dropped; logarithms cannot be taken.

    Raises:
        InputError: no shape of an image, a shape that does not fit, gaps, logarithms.
    """
    screened = Screened.columns_of(data)
    if rules.log or rules.missing == "impute":
        raise InputError("pixels: --log and --missing impute do not go with images")
    x, shape = data.x, _shape(data.x, image)
    array = tuple(x.shape[1:]) if isinstance(x, Tensor) and x.ndim > 2 else ()
    screened.image = Image(shape, array)
    refuse_infinite(screened)
    handle_missing(screened, rules.missing, imputes=False)
    columns = screened.table.columns
    if len(columns) != math.prod(shape):
        raise InputError(
            f"setting image: {','.join(map(str, shape))} are {math.prod(shape)} pixels, but there "
            f"are {len(columns)} columns"
        )
    low = min(float(values.min()) for values in columns.values())
    if all(bool((values == low).all()) for values in columns.values()):
        raise InputError(f"{data.name}: all pixels are {low:g}")
    return screened


def _shape(x: X, image: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width; a setting goes before the array's own axes."""
    if not image and isinstance(x, Tensor) and x.ndim in (3, 4):
        image = (1, *x.shape[1:]) if x.ndim == 3 else tuple(x.shape[1:])
    if len(image) != 3:
        raise InputError(
            "images are needed: --set image=CHANNELS,HEIGHT,WIDTH, or an array (n, H, W) or "
            "(n, C, H, W)"
        )
    return image[0], image[1], image[2]
