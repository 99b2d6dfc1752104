"""How a column of numbers was recorded: on which lattice, with how many decimals.

A column with ties has a resolution r, its smallest gap: a value stands for its cell `[x, x + r)`.
*Prepared* values are those that encoders fit to: spread over their cells, logarithms if chosen.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Positive, Real
from sourcewise.forms import Table

__all__ = ["TIED", "NumericColumn", "decimals", "recorded_columns", "resolution"]

TIED = 0.9
EXACT = 1e-6  # of a step: what rounding of floats makes of whole numbers of steps
MOST_DECIMALS = 9


@dataclass(frozen=True)
class NumericColumn:
    """How a column is encoded: its logarithm or itself; if it has ties, its lattice."""

    name: str  # the column's name
    log: bool = False  # take its logarithm
    resolution: Positive | None = None  # r, the step between recorded values, or None
    origin: Real = 0.0  # a recorded value: the lattice is `origin + r Z`
    # of all recorded values, ties or not; None: no fixed number
    decimals: Annotated[int, Field(ge=0, le=MOST_DECIMALS)] | None = None

    @property
    def step(self) -> float | None:
        """Between prepared values, or None: logarithms of recorded ones lie on no lattice."""
        return None if self.log else self.resolution

    def reach(self, values: Tensor) -> tuple[float, float]:
        """Smallest and largest prepared value, whatever the draws inside cells of ties.

        Args:
            values: (n,) in original units, none missing.
        """
        ends = torch.stack([values.min(), values.max() + (self.resolution or 0.0)]).double()
        low, high = (ends.log() if self.log else ends).tolist()
        return low, high

    def steps(self, values: Tensor) -> int | None:
        """Steps from the lowest to the highest value and over it: range / step, or None."""
        if self.step is None:
            return None
        low, high = self.reach(values)
        return round((high - low) / self.step)

    def recorded(self, v: Tensor) -> Tensor:
        """(n,) prepared values in original units, on the lattice of recorded values."""
        x = v.exp() if self.log else v
        if self.resolution is not None:
            steps = torch.floor((x - self.origin) / self.resolution + EXACT)
            x = self.origin + steps * self.resolution
        return self.rounded(x)

    def recorded_within(self, v: Tensor, low: float, high: float) -> Tensor:
        """(n,) see `recorded`; of recorded values the nearest from `low` to `high`.

        Values near a wall can leave it when they are rounded, or have a cell that the wall cuts.

        Args:
            v: (n,) prepared values.
            low: the smallest value that can be recorded, in original units.
            high: the largest.
        """
        x = self.recorded(v)
        unit = self.resolution or (None if self.decimals is None else 10.0**-self.decimals)
        if unit is None:
            return x.clamp(low, high)
        start = self.origin if self.resolution else 0.0
        first = math.ceil((low - start) / unit - EXACT)
        last = math.floor((high - start) / unit + EXACT)
        ends = start + unit * torch.tensor([first, last], dtype=x.dtype, device=x.device)
        return torch.maximum(torch.minimum(x, self.rounded(ends[1])), self.rounded(ends[0]))

    def rounded(self, x: Tensor) -> Tensor:
        """(n,) values with the recorded decimals; those of a logarithm stay above 0."""
        if self.decimals is None:
            return x
        x = _rounded(x, self.decimals)
        return x.clamp(min=10.0**-self.decimals) if self.log else x


def resolution(values: Tensor) -> float | None:
    """The smallest gap between different values, if fewer than 90 % of the values differ.

    >>> resolution(torch.tensor([1.0, 1.5, 1.0, 4.0])), resolution(torch.tensor([1.0, 1.1]))
    (0.5, None)
    """
    return _resolutions(values[:, None])[0]


def _resolutions(values: Tensor) -> list[float | None]:
    """Of each column (n, d)."""
    some = np.sort(values.numpy(), axis=0)  # gaps come last
    with np.errstate(invalid="ignore"):
        steps = np.diff(some, axis=0)
    present, largest = (~np.isnan(some)).sum(0), np.fmax.reduce(abs(some), 0)
    distinct = (steps > 0).sum(0) + 1
    # Smaller gaps are rounding errors of the file, such as 0.3 beside 0.1 + 0.2.
    real = np.where(steps > 1e-9 * largest, steps, np.inf)
    least = real.min(0, initial=np.inf)
    tied = (distinct > 1) & (distinct < TIED * present) & np.isfinite(least)
    found = zip(tied.tolist(), least.tolist(), strict=True)
    return [float(f"{step:.9g}") if lattice else None for lattice, step in found]


def decimals(values: Tensor) -> int | None:
    """The fewest decimals with which every value can be written; None if more than nine.

    >>> decimals(torch.tensor([37.03, 1.5], dtype=torch.float64)), decimals(torch.tensor([3.0]))
    (2, 0)
    """
    return _decimals(values[:, None])[0]


def _decimals(values: Tensor) -> list[int | None]:
    """Of each column (n, d)."""
    found: list[int | None] = [None] * values.shape[1]
    left = torch.arange(values.shape[1])
    for k in range(MOST_DECIMALS + 1):
        some = values[:, left]
        fits = ((_rounded(some, k) == some) | some.isnan()).all(0)
        for j in left[fits].tolist():
            found[j] = k
        left = left[~fits]
    return found


def _rounded(x: Tensor, k: int) -> Tensor:
    """To k decimals, each the float that a file with k decimals is read as."""
    return (x * 10.0**k).round() / 10.0**k


def recorded_columns(table: Table, log: Collection[str]) -> tuple[NumericColumn, ...]:
    """How each column of a table of numbers was recorded, and whether its logarithm is taken."""
    columns = []
    for names, values in table.blocks(table.names):
        lowest: list[float] = np.fmin.reduce(values.numpy(), 0).tolist()
        facts = zip(names, _resolutions(values), lowest, _decimals(values), strict=True)
        columns += [
            NumericColumn(name, name in log, step, low, places)
            for name, step, low, places in facts
        ]
    return tuple(columns)
