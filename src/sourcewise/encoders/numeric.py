"""Numeric columns <-> standardised tensors, with the Jacobian back to original units.

    x  --dequantise-->  x + r u  --log (chosen columns)-->  v  --standardise-->  z = (v - m) / s

- *Dequantise*: a column with ties was recorded at a resolution r (its smallest gap). Uniform noise
  u on [0, 1) spreads each value over its own cell, so that ties are no spikes of density. It is
  drawn once per row and is the same for all strategies.
- *Standardise*: m and s over the training rows of all sources, the same for all strategies; s = 1
  where a family knows a scale in the columns' own units.
- *Decode*: draws go to the start of their cell, and are rounded to the decimals that the column
  was recorded with, whether it has ties or not. Scores know nothing of that.
- *Fill in*, for training only: a missing value is drawn from a normal given the row's observed
  values and given columns, with the mean of its source and the covariance within sources (both of
  the training rows). A constant would be a spike, an independent draw would undo correlations.

Held-out rows keep their gaps: `log p(x) = log p(z) - sum_j log s_j - sum_{j in log} v_j` over the
observed columns, in original units.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.documents import Positive, Real, typed
from sourcewise.encoders.base import CodedColumn, Coding, Document, Encoder, Sizes, TensorRows
from sourcewise.forms import Column, Table, X, as_table
from sourcewise.moments import MomentParts, Moments
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import NumericOptions
from sourcewise.screening.recorded import NumericColumn, recorded_columns

__all__ = ["NumericCoding", "NumericEncoder", "NumericRows", "plan"]


def plan(screened: Screened, options: NumericOptions | None = None) -> "NumericCoding":
    """The coding of a sample of numbers."""
    columns = recorded_columns(screened.table, screened.log)
    return NumericCoding(columns, options is None or options.standardise)


@dataclass(frozen=True)
class NumericRows(TensorRows):
    """Rows after all steps that need no fitting.

    Args:
        values: (n, d) dequantised and, where chosen, logarithms; NaN where missing.
        fill: (n, d) standard normal draws to fill in with, or None if nothing is missing.
        given: (n, C) given columns that gaps are filled in by, if there are such.
    """

    fill: Tensor | None = None
    given: Tensor | None = None

    def known(self, z: Tensor) -> Tensor:
        """(n, d + C) encoded rows with their given columns."""
        return z if self.given is None else torch.cat([z, self.given], 1)


@dataclass(frozen=True)
class NumericEncoder(Encoder):
    """Standardises, and fills in missing values; fitted on training rows of all sources."""

    columns: tuple[NumericColumn, ...]  # how each column is encoded
    mean: Tensor  # m, (d,)
    scale: Tensor  # s, (d,)
    fill_mean: Tensor | None = None  # (K, d + C) standardised means of sources; None: no gaps
    fill_covariance: Tensor | None = None  # (d + C, d + C) within sources, likewise

    @property
    def sizes(self) -> Sizes:
        """What a model must know: the number of variables, d."""
        return {"d": len(self.columns)}

    @property
    def coding(self) -> "NumericCoding":
        """The coding that it was fitted under."""
        return NumericCoding(self.columns)

    def encode(self, rows: NumericRows, y: Tensor) -> tuple[Tensor, Tensor]:
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

    def encode_moments(self, rows: Moments) -> tuple[Moments, Tensor]:
        """See `MomentEncoder`."""
        logs = [j for j, column in enumerate(self.columns) if column.log]
        log_det = rows.count * (self.scale.log().sum() + rows.mean[:, logs].sum(1))
        return rows.standardised(self.mean, self.scale), -log_det

    def fill(self, z: Tensor, rows: NumericRows, y: Tensor) -> Tensor:
        """Encoded rows with every gap drawn from its distribution given the row, (n, d)."""
        if rows.fill is None or self.fill_mean is None or self.fill_covariance is None:
            return z
        d, z, means = z.shape[1], rows.known(z).clone(), self.fill_mean[y]
        patterns, which = z.isnan().unique(dim=0, return_inverse=True)
        for p, gap in enumerate(patterns):
            if bool(gap.any()):
                at = (which == p).nonzero().squeeze(1)
                z[at] = _draw_gaps(z[at], gap, means[at], self.fill_covariance, rows.fill[at])
        return z[:, :d]

    def decode(self, z: Tensor) -> Table:
        """Back to original units, each column with the decimals or on the lattice recorded."""
        v = z * self.scale + self.mean
        columns = {}
        for j, column in enumerate(self.columns):
            columns[column.name] = column.recorded(v[:, j])
        return Table(columns, tuple(Column(column.name) for column in self.columns))

    def to_json(self) -> Document:
        """All of it as plain values; floats survive exactly."""
        tensors = ("mean", "scale", "fill_mean", "fill_covariance")
        values = {name: getattr(self, name) for name in tensors}
        return {
            "kind": "numeric",
            "columns": [vars(column) for column in self.columns],
            **{name: None if v is None else v.tolist() for name, v in values.items()},
        }

    @classmethod
    def from_json(cls, document: Document) -> "NumericEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        means, covariance, d = found.fill_mean, found.fill_covariance, len(found.columns)
        known = len(covariance or found.mean)  # with given columns
        wrong = any(len(row) != d for row in (found.mean, found.scale)) or known < d
        if wrong or any(len(row) != known for row in (*(means or ()), *(covariance or ()))):
            raise ValueError(f"there are {d} columns, and not as many numbers")
        fills = (None if v is None else _tensor(v) for v in (means, covariance))
        return cls(found.columns, _tensor(found.mean), _tensor(found.scale), *fills)


@dataclass(frozen=True)
class _Written:
    """The document of a `NumericEncoder`."""

    columns: tuple[NumericColumn, ...]
    mean: tuple[Real, ...]
    scale: tuple[Positive, ...]
    fill_mean: tuple[tuple[Real, ...], ...] | None
    fill_covariance: tuple[tuple[Real, ...], ...] | None


@dataclass(frozen=True)
class NumericCoding(Coding):
    """Numbers by columns; scores are per row."""

    gaps = "impute"

    columns: tuple[NumericColumn, ...]  # how each is encoded
    standardise: bool = True  # or encode in the columns' own units, about their means

    @property
    def coded_columns(self) -> tuple[CodedColumn, ...]:
        """The columns, all of numbers."""
        facts = ("name", "log", "resolution")
        return tuple(
            CodedColumn(column.name, log=column.log, resolution=column.resolution, facts=facts)
            for column in self.columns
        )

    def prepare(self, x: X, noise: ExampleNoise) -> NumericRows:
        """Dequantise and take logarithms: all that needs no fitting."""
        values = as_table(x).select(column.name for column in self.columns).matrix()
        tied = [j for j, column in enumerate(self.columns) if column.resolution is not None]
        if tied:
            steps = torch.tensor([self.columns[j].resolution for j in tied], dtype=torch.float64)
            values[:, tied] += steps * noise.of("dequantise").uniform(len(tied))
        logs = [j for j, column in enumerate(self.columns) if column.log]
        values[:, logs] = values[:, logs].log()
        missing = bool(values.isnan().any())
        return NumericRows(values, noise.of("fill").normal(self.variables) if missing else None)

    def beside(self, rows: NumericRows, c: Tensor) -> NumericRows:
        """See `Coding.beside`."""
        return rows if rows.fill is None else replace(rows, given=c)

    def fit(self, rows: NumericRows, y: Tensor, K: int) -> NumericEncoder:
        """Standardise by the training rows of all sources; fill in by source."""
        v = rows.values
        if rows.fill is None:
            return self._encoder(v.mean(0), v.std(0, correction=0))
        mean, scale = _observed_moments(v)
        scale = _positive(scale)
        z = rows.known((v - mean) / scale)
        means = torch.stack([_observed_moments(z[y == k])[0] for k in range(K)])
        covariance = _observed_covariance(z - means[y])
        return self._encoder(mean, scale, means, covariance)

    def _encoder(self, mean: Tensor, scale: Tensor, *fills: Tensor) -> NumericEncoder:
        """In the units that it encodes in; what it fills in with is standardised here."""
        scale = _positive(scale)
        if self.standardise:
            return NumericEncoder(self.columns, mean, scale, *fills)
        if fills:
            means, covariance = fills
            known = torch.cat([scale, scale.new_ones(means.shape[1] - len(scale))])
            fills = means * known, covariance * torch.outer(known, known)
        return NumericEncoder(self.columns, mean, torch.ones_like(scale), *fills)

    def moment_parts(
        self, rows: NumericRows, y: Tensor, part: Tensor, K: int
    ) -> MomentParts | None:
        """See `MomentCoding`: rows with gaps cannot be added up."""
        return None if rows.fill is not None else MomentParts.of(rows.values, y, part, K)

    def fit_moments(self, rows: Moments) -> NumericEncoder:
        """Standardise by the training rows of all sources."""
        n = rows.count.sum()
        mean = rows.count @ rows.mean / n
        squares = rows.about(mean.expand_as(rows.center)).second.diagonal(dim1=1, dim2=2)
        return self._encoder(mean, (squares.sum(0) / n).sqrt())


def _tensor(values: Sequence[object]) -> Tensor:
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
        z: (n, d) rows with NaN at the gaps; d counts given columns here, which come last.
        gap: (d,) where.
        means: (n, d) m of each row's source.
        S: (d, d).
        normal: (n, g or more) standard normal draws of the columns that may have gaps.
    """
    g, o = gap.nonzero().squeeze(1), (~gap).nonzero().squeeze(1)
    B = torch.linalg.solve(S[o][:, o], S[o][:, g]).T
    L = torch.linalg.cholesky(S[g][:, g] - B @ S[o][:, g])
    out = z.clone()
    out[:, g] = means[:, g] + (z[:, o] - means[:, o]) @ B.T + normal[:, g] @ L.T
    return out
