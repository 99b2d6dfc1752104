"""Numeric columns <-> standardised tensors, with the Jacobian back to original units.

    x  --dequantise-->  x + r u  --log (chosen columns)-->  v  --standardise-->  z = (v - m) / s

- *Dequantise*: a column with ties was recorded at a resolution r (its smallest gap). Uniform noise
  u on [0, 1) spreads each value over its own cell, so that ties are no spikes of density. It is
  drawn once per row and is the same for all arms.
- *Fill in*: a missing value becomes a normal draw with the mean and standard deviation of the
  observed training values of its source (of all sources, if that source has fewer than two): a
  constant would be a spike that a density can feed on.
- *Standardise*: m and s over the training rows of all sources, the same for all arms.

`log p(x) = log p(z) - sum_j log s_j - sum_{j in log} v_j`: likelihoods are in original units.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sourcewise.forms import Column, Table
from sourcewise.randomness import ExampleNoise

__all__ = ["Lifted", "NumericColumn", "NumericEncoder", "lift", "plan", "resolution"]

TIED = 0.9


@dataclass(frozen=True)
class NumericColumn:
    """How a column is encoded: its logarithm or itself; if it has ties, its lattice.

    Args:
        name: the column's name.
        log: take its logarithm.
        resolution: r, the step between recorded values, or None.
        origin: a recorded value: the lattice is `origin + r Z`.
    """

    name: str
    log: bool = False
    resolution: float | None = None
    origin: float = 0.0


@dataclass(frozen=True)
class Lifted:
    """Rows after all steps that need no fitting.

    Args:
        values: (n, d) dequantised and, where chosen, logarithms; NaN where missing.
        fill: (n, d) standard normal draws to fill in with, or None if nothing is missing.
    """

    values: Tensor
    fill: Tensor | None = None

    def take(self, index: Tensor) -> "Lifted":
        """The rows at `index`."""
        return Lifted(self.values[index], None if self.fill is None else self.fill[index])


def resolution(values: Tensor) -> float | None:
    """The smallest gap between different values, if fewer than 90 % of the values differ.

    >>> resolution(torch.tensor([1.0, 1.5, 1.0, 4.0])), resolution(torch.tensor([1.0, 1.1]))
    (0.5, None)
    """
    present = values[~values.isnan()]
    distinct = present.unique()
    if len(distinct) < 2 or len(distinct) >= TIED * len(present):
        return None
    gaps = distinct.diff()
    # Smaller gaps are rounding errors of the file, such as 0.3 beside 0.1 + 0.2.
    real = gaps[gaps > 1e-9 * float(distinct.abs().max())]
    return float(f"{float(real.min()):.9g}") if len(real) else None


def plan(table: Table, log: Collection[str]) -> tuple[NumericColumn, ...]:
    """How each column of a table will be encoded."""
    columns = []
    for name in table.names:
        values = table.columns[name]
        lowest = float(values[~values.isnan()].min())
        columns.append(NumericColumn(name, name in log, resolution(values), lowest))
    return tuple(columns)


def lift(table: Table, columns: tuple[NumericColumn, ...], noise: ExampleNoise) -> Lifted:
    """Dequantise and take logarithms: all that needs no fitting.

    Args:
        table: n rows with these columns.
        columns: how each is encoded.
        noise: one stream per row.
    """
    values = table.select(column.name for column in columns).matrix()
    tied = [j for j, column in enumerate(columns) if column.resolution is not None]
    if tied:
        steps = torch.tensor([columns[j].resolution for j in tied], dtype=torch.float64)
        values[:, tied] += steps * noise.of("dequantise").uniform(len(tied))
    logs = [j for j, column in enumerate(columns) if column.log]
    values[:, logs] = values[:, logs].log()
    missing = bool(values.isnan().any())
    return Lifted(values, noise.of("fill").normal(len(columns)) if missing else None)


@dataclass(frozen=True)
class NumericEncoder:
    """Standardises, and fills in missing values; fitted on training rows of all sources.

    Args:
        columns: how each column is encoded.
        mean: m, (d,).
        scale: s, (d,).
        fill_mean: (K, d) of each source, or None if nothing was missing.
        fill_scale: (K, d), likewise.
    """

    columns: tuple[NumericColumn, ...]
    mean: Tensor
    scale: Tensor
    fill_mean: Tensor | None = None
    fill_scale: Tensor | None = None

    @classmethod
    def fit(
        cls, columns: tuple[NumericColumn, ...], rows: Lifted, y: Tensor, K: int
    ) -> "NumericEncoder":
        """Fit on training rows.

        Args:
            columns: how each column is encoded.
            rows: the training rows of all sources.
            y: (n,) their sources.
            K: number of sources.
        """
        v = rows.values
        if rows.fill is None:
            return cls(columns, v.mean(0), _positive(v.std(0, correction=0)))
        mean, scale = _observed_moments(v)
        fills = [_observed_moments(v[y == k], (mean, scale)) for k in range(K)]
        fill_mean, fill_scale = (torch.stack(part) for part in zip(*fills, strict=True))
        return cls(columns, mean, _positive(scale), fill_mean, fill_scale)

    def encode(self, rows: Lifted, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as a model sees them.

        Returns:
            z: (n, d).
            log_det: (n,) the log of |dz/dx|, to be added to log p(z).
        """
        v = rows.values
        if rows.fill is not None and self.fill_mean is not None and self.fill_scale is not None:
            drawn = self.fill_mean[y] + self.fill_scale[y] * rows.fill
            v = torch.where(v.isnan(), drawn, v)
        logs = [j for j, column in enumerate(self.columns) if column.log]
        log_det = -self.scale.log().sum() - v[:, logs].sum(1)
        return (v - self.mean) / self.scale, log_det

    def decode(self, z: Tensor) -> Table:
        """Back to original units, each column on its own lattice of recorded values."""
        v = z * self.scale + self.mean
        columns = {}
        for j, column in enumerate(self.columns):
            x = v[:, j].exp() if column.log else v[:, j]
            if column.resolution is not None:
                steps = torch.floor((x - column.origin) / column.resolution + 1e-6)
                x = column.origin + steps * column.resolution
            columns[column.name] = x
        return Table(columns, tuple(Column(column.name) for column in self.columns))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values; floats survive exactly."""
        tensors = ("mean", "scale", "fill_mean", "fill_scale")
        values = {name: getattr(self, name) for name in tensors}
        return {
            "kind": "numeric",
            "columns": [vars(column) for column in self.columns],
            **{name: None if v is None else v.tolist() for name, v in values.items()},
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "NumericEncoder":
        """The inverse of `to_json`."""
        columns = tuple(NumericColumn(**column) for column in document["columns"])
        fills = (document["fill_mean"], document["fill_scale"])
        return cls(
            columns,
            _tensor(document["mean"]),
            _tensor(document["scale"]),
            *(None if values is None else _tensor(values) for values in fills),
        )


def _tensor(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _positive(scale: Tensor) -> Tensor:
    """A column without spread among the training rows keeps its units."""
    return torch.where(scale > 0, scale, 1.0)


def _observed_moments(
    v: Tensor, default: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (d,) of what is not missing; the default below two values."""
    count = (~v.isnan()).sum(0)
    mean = v.nansum(0) / count.clamp(min=1)
    scale = ((v - mean).square().nansum(0) / count.clamp(min=1)).sqrt()
    if default is None:
        return mean, scale
    return torch.where(count < 2, default[0], mean), torch.where(count < 2, default[1], scale)
