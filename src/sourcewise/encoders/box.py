"""Numeric columns <-> the cube [0,1]^D, with the Jacobian back to original units.

    x  --dequantise-->  x + r u  --log (chosen)-->  v  --box-->  z = (v - low) / (high - low)

The box is the range of each column over the whole sample, cells of ties included, widened by 5 %
of itself at both ends; under `rule=grid` it ends with the cells. It is settled before any row is
split, it is the same for all arms, and nothing else is learnt from it: a box that held training
rows only would leave test rows of density 0. Strictly, then, scores hold for rows within the range
of the sample at hand; new rows whose cells do not lie in the box are refused, not scored.

Pixels (`network=convolutional`) have one lattice and one box, those of all pixels together; none
is left out, however constant.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from sourcewise.encoders import screening
from sourcewise.encoders.numeric import (
    Lifted,
    NumericColumn,
    decimals,
    lift,
    plan_columns,
    resolution,
)
from sourcewise.encoders.screening import Missing, Screened, handle_missing, refuse_infinite
from sourcewise.errors import InputError, listing
from sourcewise.forms import Column, Table, X, as_table
from sourcewise.randomness import ExampleNoise
from sourcewise.sources import Sources

__all__ = ["BoxCoding", "BoxEncoder", "pixels", "plan_box", "screen"]

MARGIN = 0.05
SLOW = 1 << 15  # energies per update; about a tenth of a second on one core
ROUNDING = 1e-9  # of a side: ends of a box are sums and logarithms


@dataclass(frozen=True)
class BoxCoding:
    """Numbers by columns, each in its interval; scores are per row.

    Args:
        columns: how each is lifted.
        low: where each interval begins, in lifted units.
        high: where it ends.
        unit: what a score is divided by.
        shape: channels, height and width, if the columns are the pixels of an image.
        cells: the box is cut into so many along each axis, as wide as the steps of a column.
    """

    columns: tuple[NumericColumn, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str = "row"
    shape: tuple[int, int, int] | None = None
    cells: int | None = None

    @property
    def variables(self) -> int:
        """The number of columns, D."""
        return len(self.columns)

    def lift(self, x: X, noise: ExampleNoise) -> Lifted:
        """See `numeric.lift`.

        Raises:
            InputError: a value is missing or outside the box.
        """
        table = as_table(x)
        self._check(table)
        return lift(table, self.columns, noise)

    def _check(self, table: Table) -> None:
        """Values as they are recorded, whose cells must lie in the box whatever the draws."""
        values = table.select(column.name for column in self.columns).matrix()
        low, high = self._recorded_range()
        slack = ROUNDING * (high - low)
        bad = ~((values >= low - slack) & (values <= high + slack))
        if not bool(bad.any()):
            return
        row, j = bad.nonzero()[0].tolist()
        told, value = f"column {self.columns[j].name!r}: ", float(values[row, j])
        if value != value:
            told += "a missing value, which the energy family cannot score: --missing drop"
            raise InputError(told)
        raise InputError(
            f"{told}{value:.9g} lies outside [{float(low[j]):.9g}, {float(high[j]):.9g}], "
            f"{self._why(j)} (rows outside: {int(bad.any(1).sum())}); leave such rows out, or "
            f"train on data that hold such values{self._else(j, above=value > float(high[j]))}"
        )

    def _recorded_range(self) -> tuple[Tensor, Tensor]:
        """(D,) the smallest and the largest value that can be recorded, in original units."""
        ends = torch.tensor([self.low, self.high], dtype=torch.float64)
        logs = torch.tensor([column.log for column in self.columns])
        steps = [column.resolution or 0.0 for column in self.columns]
        low, high = torch.where(logs, ends.exp(), ends)
        return low, high - torch.tensor(steps, dtype=torch.float64)

    def _on_grid(self, j: int) -> bool:
        return self.cells is not None and _on_lattice(self.columns[j])

    def _why(self, j: int) -> str:
        """What the range of a column is."""
        if self._on_grid(j):
            return "the values that rule=grid made cells for"
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

    def fit(self, rows: Lifted, y: Tensor, K: int) -> "BoxEncoder":
        """Spreads are those of the rows; nothing else is fitted."""
        encoder = BoxEncoder(self, ())
        z, _ = encoder.encode(rows, y)
        return replace(encoder, spread=tuple(_spread(z, y, K).tolist()))

    def sizes(self, x: X) -> Tensor:
        """(n,) ones."""
        return torch.ones(len(x), dtype=torch.float64)


@dataclass(frozen=True)
class BoxEncoder:
    """The affine map of the box onto the cube.

    Args:
        coding: the box.
        spread: (D,) standard deviations of the coordinates within the sources of the training
            rows: one scale for all arms.
    """

    coding: BoxCoding
    spread: tuple[float, ...]

    @property
    def sizes(self) -> dict[str, Any]:
        """What a model must know: D, spreads; of images their shape, of a grid its cells."""
        more = {"shape": self.coding.shape, "cells": self.coding.cells}
        given = {name: value for name, value in more.items() if value is not None}
        return {"D": self.coding.variables, "spread": self.spread, **given}

    @property
    def low(self) -> Tensor:
        """(D,) where the box begins."""
        return torch.tensor(self.coding.low, dtype=torch.float64)

    @property
    def width(self) -> Tensor:
        """(D,) its sides."""
        return torch.tensor(self.coding.high, dtype=torch.float64) - self.low

    def encode(self, rows: Lifted, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows in the cube.

        Returns:
            z: (n, D).
            log_det: (n,) the log of |dz/dx|, to be added to log p(z).
        """
        v = rows.values
        z = ((v - self.low) / self.width).clamp(0, 1)  # `lift` saw to it, but for rounding
        logs = [j for j, column in enumerate(self.coding.columns) if column.log]
        return z, -self.width.log().sum() - v[:, logs].sum(1)

    def fill(self, z: Tensor, rows: Lifted, y: Tensor) -> Tensor:
        """z itself: it has no gaps."""
        return z

    def decode(self, z: Tensor) -> Table:
        """Back to original units, each column with the decimals or on the lattice recorded."""
        v = z * self.width + self.low
        columns = {
            column.name: column.recorded(v[:, j]) for j, column in enumerate(self.coding.columns)
        }
        return Table(columns, tuple(Column(name) for name in columns))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values; floats survive exactly."""
        return {
            "kind": "box",
            "columns": [vars(column) for column in self.coding.columns],
            "low": list(self.coding.low),
            "high": list(self.coding.high),
            "shape": self.coding.shape and list(self.coding.shape),
            "cells": self.coding.cells,
            "spread": list(self.spread),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "BoxEncoder":
        """The inverse of `to_json`."""
        columns = tuple(NumericColumn(**column) for column in document["columns"])
        shape = document.get("shape")
        ends = tuple(document["low"]), tuple(document["high"])
        coding = BoxCoding(columns, *ends, shape=shape and tuple(shape), cells=document["cells"])
        return cls(coding, tuple(document["spread"]))


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


def _on_lattice(column: NumericColumn) -> bool:
    return column.resolution is not None and not column.log


def _steps(column: NumericColumn, low: float, high: float) -> int | None:
    """Cells of a column on a lattice, from its lowest to its highest value: range / step."""
    if column.resolution is None or column.log:
        return None
    return round((high - low) / column.resolution)


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
                f"{column.resolution:g} from its lowest to its highest value, {cells} cells are "
                "too few"
            )
    return max(count or 0 for count in counts) if cells == "auto" else cells


def _aligned(column: NumericColumn, low: float, high: float, cells: int) -> tuple[float, float]:
    """A box whose cells are those of the lattice; without one, of the range, a little wider."""
    if column.resolution is not None and not column.log:
        return low, low + cells * column.resolution
    margin = 1e-6 * (high - low)
    return low - margin, high + margin


def _spread(z: Tensor, y: Tensor, K: int) -> Tensor:
    """(D,) standard deviations within sources."""
    counts = torch.bincount(y, minlength=K).clamp(min=1).double()[:, None]
    means = torch.zeros(K, z.shape[1], dtype=z.dtype).index_add_(0, y, z) / counts
    return (z - means[y]).square().mean(0).sqrt()


def _range(values: Tensor, column: NumericColumn) -> tuple[float, float]:
    """Smallest and largest value that a lifted column can take, whatever the draws."""
    ends = torch.stack([values.min(), values.max() + (column.resolution or 0.0)]).double()
    low, high = (ends.log() if column.log else ends).tolist()
    return low, high


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
    cells = settings.nodes if settings.rule == "grid" else None
    screened.coding = plan_box(screened.table, columns, cells)
    _point_out_many_cells(screened, screened.coding)
    return screened


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


def pixels(
    data: Sources,
    image: tuple[int, ...] = (),
    *,
    min_rows: int = 10,
    missing: Missing = "refuse",
    log: Sequence[str] = (),
) -> Screened:
    """Images as rows of a density on a box.

    Args:
        data: the sample: an array (n, H, W) or (n, C, H, W), or columns channel by channel and
            row by row.
        image: channels, height and width, where the array does not tell.
        min_rows: not used.
        missing: rows with gaps are refused or dropped.
        log: none can be taken.

    Raises:
        InputError: no shape of an image, a shape that does not fit, gaps, logarithms.
    """
    screened = Screened(replace(data, x=as_table(data.x)))
    if log or missing == "impute":
        raise InputError("pixels: --log and --missing impute do not go with images")
    shape = _shape(data.x, image)
    refuse_infinite(screened)
    handle_missing(screened, missing, imputes=False)
    table = screened.table
    if len(table.names) != math.prod(shape):
        raise InputError(
            f"setting image: {','.join(map(str, shape))} are {math.prod(shape)} pixels, but there "
            f"are {len(table.names)} columns"
        )
    every = torch.cat([values.double() for values in table.columns.values()])
    low, step, places = float(every.min()), resolution(every), decimals(every)
    columns = tuple(NumericColumn(name, False, step, low, places) for name in table.names)
    high, D = float(every.max()) + (step or 0.0), len(columns)
    if high == low:
        raise InputError(f"{data.name}: all pixels are {low:g}")
    screened.coding = BoxCoding(columns, (low,) * D, (high,) * D, shape=shape)
    return screened


def _shape(x: X, image: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width; a setting goes before the array's own axes."""
    if not image and isinstance(x, Tensor) and x.ndim in (3, 4):
        image = (1, *x.shape[1:]) if x.ndim == 3 else tuple(x.shape[1:])
    if len(image) != 3:
        raise InputError(
            "network=convolutional needs images: --set image=CHANNELS,HEIGHT,WIDTH, or an array "
            "(n, H, W) or (n, C, H, W)"
        )
    return image[0], image[1], image[2]
