"""Numeric columns <-> standardised tensors, with the Jacobian back to original units.

    x  --dequantise-->  x + r u  --log (chosen columns)-->  v  --standardise-->  z = (v - m) / s

- *Dequantise*: a column with ties was recorded at a resolution r (its smallest gap). Uniform noise
  u on [0, 1) spreads each value over its own cell, so that ties are no spikes of density. It is
  drawn once per row and is the same for all arms.
- *Standardise*: m and s over the training rows of all sources, the same for all arms.
- *Decode*: draws go to the start of their cell, and are rounded to the decimals that the column
  was recorded with, whether it has ties or not. Scores know nothing of that.
- *Fill in*, for training only: a missing value is drawn from a normal given the row's observed
  values, with the mean of its source and the covariance within sources (both of the training
  rows). A constant would be a spike, an independent draw would undo correlations.

Held-out rows keep their gaps: `log p(x) = log p(z) - sum_j log s_j - sum_{j in log} v_j` over the
observed columns, in original units.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sourcewise.forms import Column, Table, X, as_table
from sourcewise.randomness import ExampleNoise

__all__ = [
    "Lifted",
    "NumericCoding",
    "NumericColumn",
    "NumericEncoder",
    "decimals",
    "lift",
    "plan_columns",
    "resolution",
]

TIED = 0.9
EXACT = 1e-6  # of a step: what rounding of floats makes of whole numbers of steps
MOST_DECIMALS = 9


@dataclass(frozen=True)
class NumericColumn:
    """How a column is encoded: its logarithm or itself; if it has ties, its lattice.

    Args:
        name: the column's name.
        log: take its logarithm.
        resolution: r, the step between recorded values, or None.
        origin: a recorded value: the lattice is `origin + r Z`.
        decimals: with how many all values were recorded, ties or not; None: no fixed number.
    """

    name: str
    log: bool = False
    resolution: float | None = None
    origin: float = 0.0
    decimals: int | None = None

    @property
    def step(self) -> float | None:
        """Between lifted values, or None: logarithms of recorded ones lie on no lattice."""
        return None if self.log else self.resolution

    def recorded(self, v: Tensor) -> Tensor:
        """(n,) lifted values in original units, on the lattice of recorded values."""
        x = v.exp() if self.log else v
        if self.resolution is not None:
            steps = torch.floor((x - self.origin) / self.resolution + EXACT)
            x = self.origin + steps * self.resolution
        return self.rounded(x)

    def recorded_within(self, v: Tensor, low: float, high: float) -> Tensor:
        """(n,) see `recorded`; of recorded values the nearest from `low` to `high`.

        Values near a wall can leave it when they are rounded, or have a cell that the wall cuts.

        Args:
            v: (n,) lifted values.
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


@dataclass(frozen=True)
class Lifted:
    """Rows after all steps that need no fitting.

    Args:
        values: (n, d) dequantised and, where chosen, logarithms; NaN where missing.
        fill: (n, d) standard normal draws to fill in with, or None if nothing is missing.
    """

    values: Tensor
    fill: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

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


def decimals(values: Tensor) -> int | None:
    """The fewest decimals with which every value can be written; None if more than nine.

    >>> decimals(torch.tensor([37.03, 1.5], dtype=torch.float64)), decimals(torch.tensor([3.0]))
    (2, 0)
    """
    present = values[~values.isnan()]
    return next(
        (k for k in range(MOST_DECIMALS + 1) if torch.equal(_rounded(present, k), present)), None
    )


def _rounded(x: Tensor, k: int) -> Tensor:
    """To k decimals, each the float that a file with k decimals is read as."""
    return (x * 10.0**k).round() / 10.0**k


def plan_columns(table: Table, log: Collection[str]) -> tuple[NumericColumn, ...]:
    """How each column of a table will be encoded."""
    columns = []
    for name in table.names:
        values = table.columns[name]
        lowest = float(values[~values.isnan()].min())
        step, places = resolution(values), decimals(values)
        columns.append(NumericColumn(name, name in log, step, lowest, places))
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
        fill_mean: (K, d) standardised means of the sources, or None if nothing was missing.
        fill_covariance: (d, d) within sources, likewise.
    """

    columns: tuple[NumericColumn, ...]
    mean: Tensor
    scale: Tensor
    fill_mean: Tensor | None = None
    fill_covariance: Tensor | None = None

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
        scale = _positive(scale)
        z = (v - mean) / scale
        means = torch.stack([_observed_moments(z[y == k])[0] for k in range(K)])
        return cls(columns, mean, scale, means, _observed_covariance(z - means[y]))

    @property
    def sizes(self) -> dict[str, Any]:
        """What a model must know: the number of variables, d."""
        return {"d": len(self.columns)}

    @property
    def coding(self) -> "NumericCoding":
        """The coding that it was fitted under."""
        return NumericCoding(self.columns)

    def encode(self, rows: Lifted, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as a density is scored on them: gaps stay NaN.

        Returns:
            z: (n, d).
            log_det: (n,) the log of |dz/dx| over observed columns, to be added to log p(z).
        """
        v = rows.values
        logs = [j for j, column in enumerate(self.columns) if column.log]
        z = (v - self.mean) / self.scale
        if rows.fill is None:
            return z, -self.scale.log().sum() - v[:, logs].sum(1)
        scales = torch.where(v.isnan(), 0.0, self.scale.log()).sum(1)
        return z, -scales - v[:, logs].nansum(1)

    def fill(self, z: Tensor, rows: Lifted, y: Tensor) -> Tensor:
        """Encoded rows with every gap drawn from its distribution given the row, (n, d)."""
        if rows.fill is None or self.fill_mean is None or self.fill_covariance is None:
            return z
        z, means = z.clone(), self.fill_mean[y]
        patterns, which = z.isnan().unique(dim=0, return_inverse=True)
        for p, gap in enumerate(patterns):
            if bool(gap.any()):
                at = (which == p).nonzero().squeeze(1)
                z[at] = _draw_gaps(z[at], gap, means[at], self.fill_covariance, rows.fill[at])
        return z

    def decode(self, z: Tensor) -> Table:
        """Back to original units, each column with the decimals or on the lattice recorded."""
        v = z * self.scale + self.mean
        columns = {}
        for j, column in enumerate(self.columns):
            columns[column.name] = column.recorded(v[:, j])
        return Table(columns, tuple(Column(column.name) for column in self.columns))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values; floats survive exactly."""
        tensors = ("mean", "scale", "fill_mean", "fill_covariance")
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
        fills = (document["fill_mean"], document["fill_covariance"])
        return cls(
            columns,
            _tensor(document["mean"]),
            _tensor(document["scale"]),
            *(None if values is None else _tensor(values) for values in fills),
        )


@dataclass(frozen=True)
class NumericCoding:
    """Numbers by columns; scores are per row.

    Args:
        columns: how each is encoded.
        unit: what a score is divided by.
    """

    columns: tuple[NumericColumn, ...]
    unit: str = "row"

    @property
    def variables(self) -> int:
        """The number of columns."""
        return len(self.columns)

    def lift(self, x: X, noise: ExampleNoise) -> Lifted:
        """See `lift`."""
        return lift(as_table(x), self.columns, noise)

    def fit(self, rows: Lifted, y: Tensor, K: int) -> NumericEncoder:
        """See `NumericEncoder.fit`."""
        return NumericEncoder.fit(self.columns, rows, y, K)

    def sizes(self, x: X) -> Tensor:
        """(n,) ones."""
        return torch.ones(len(x), dtype=torch.float64)


def _tensor(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _positive(scale: Tensor) -> Tensor:
    """A column without spread among the training rows keeps its units."""
    return torch.where(scale > 0, scale, 1.0)


def _observed_moments(v: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (d,) of what is not missing; 0 where nothing is."""
    count = (~v.isnan()).sum(0).clamp(min=1)
    mean = v.nansum(0) / count
    return mean, ((v - mean).square().nansum(0) / count).sqrt()


def _observed_covariance(residuals: Tensor) -> Tensor:
    """(d, d) covariance of what is observed, pair by pair, made positive definite."""
    seen = (~residuals.isnan()).double()
    r = residuals.nan_to_num(0.0)
    covariance = (r.T @ r) / (seen.T @ seen).clamp(min=1)
    values, vectors = torch.linalg.eigh(covariance)
    return vectors @ torch.diag(values.clamp(min=1e-6 * float(values.max()))) @ vectors.T


def _draw_gaps(z: Tensor, gap: Tensor, means: Tensor, S: Tensor, normal: Tensor) -> Tensor:
    """Rows of one pattern, gaps drawn from `N(m_g + B (z_o - m_o), S_gg - B S_og)`, B = S_go/S_oo.

    Args:
        z: (n, d) rows with NaN at the gaps.
        gap: (d,) where.
        means: (n, d) m of each row's source.
        S: (d, d).
        normal: (n, d) standard normal draws.
    """
    g, o = gap.nonzero().squeeze(1), (~gap).nonzero().squeeze(1)
    B = torch.linalg.solve(S[o][:, o], S[o][:, g]).T
    L = torch.linalg.cholesky(S[g][:, g] - B @ S[o][:, g])
    out = z.clone()
    out[:, g] = means[:, g] + (z[:, o] - means[:, o]) @ B.T + normal[:, g] @ L.T
    return out
