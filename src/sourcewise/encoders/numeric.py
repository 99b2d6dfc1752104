"""Numeric columns <-> standardised tensors, with the Jacobian back to original units.

    x  --dequantise-->  x + r u  --log (chosen columns)-->  v  --standardise-->  z = (v - m) / s

- *Dequantise*: a column with ties was recorded at a resolution r (its smallest gap). Uniform noise
  u on [0, 1) spreads each value over its own cell, so that ties are no spikes of density. It is
  drawn once per row and is the same for all strategies.
- *Log*: of chosen columns; of columns left open where it makes the training rows of all sources
  likelier, each source with a mean and variance of its own. With v_k a source's variance, where

      sum_k n_k/2 log v_k(x) > sum_k n_k/2 log v_k(log x) + sum_i log x_i

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
from sourcewise.encoders.base import (
    CodedColumn,
    Coding,
    Document,
    Encoder,
    MomentEncoder,
    Sizes,
    TensorRows,
)
from sourcewise.forms import Column, Table, X, as_table
from sourcewise.gaps import patterns
from sourcewise.moments import MomentParts, Moments
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import NumericOptions
from sourcewise.screening.recorded import NumericColumn, recorded_columns

__all__ = ["NumericCoding", "NumericEncoder", "NumericRows", "plan"]


def plan(screened: Screened, options: NumericOptions | None = None) -> "NumericCoding":
    """The coding of a sample of numbers."""
    columns = recorded_columns(screened.table, screened.log)
    standardise = options is None or options.standardise
    left = (j for j, column in enumerate(columns) if column.name in screened.open_logs)
    return NumericCoding(columns, standardise, tuple(left))


@dataclass(frozen=True)
class NumericRows(TensorRows):
    """Rows after all steps that need no fitting.

    Args:
        values: (n, d) dequantised and, where chosen, logarithms; NaN where missing.
        fill: (n, d) standard normal draws to fill in with, or None if nothing is missing.
        given: (n, C) given columns that gaps are filled in by, if there are such.
        open: the columns whose logarithm an encoder may take yet.
    """

    fill: Tensor | None = None
    given: Tensor | None = None
    open: tuple[int, ...] = ()

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
    def further(self) -> Sizes:
        """`steps`: between recorded values, in encoded units; 0 where there is no lattice."""
        pairs = zip(self.columns, self.scale.tolist(), strict=True)
        return {"steps": [(column.step or 0.0) / scale for column, scale in pairs]}

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
        logs = [j for j, column in enumerate(self.columns) if column.log]
        v = _with_logs(rows.values, [j for j in rows.open if j in logs])
        z = v - self.mean
        z /= self.scale  # in place: rows may be millions
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
        gaps, which = patterns(z.isnan())
        for p, gap in enumerate(gaps):
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
    open: tuple[int, ...] = ()  # the columns whose logarithm encoders may take or not

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
        fill = noise.of("fill").normal(self.variables) if missing else None
        return NumericRows(values, fill, open=self.open)

    def beside(self, rows: NumericRows, c: Tensor) -> NumericRows:
        """See `Coding.beside`."""
        return rows if rows.fill is None else replace(rows, given=c)

    def fit(self, rows: NumericRows, y: Tensor, K: int) -> NumericEncoder:
        """Standardise by the training rows of all sources; fill in by source."""
        columns = self.columns
        if self.open:
            values = rows.values[:, list(self.open)]
            columns = self._chosen(*(_by_source(v, y, K) for v in (values, values.log())))
        v = _with_logs(rows.values, [j for j in self.open if columns[j].log])
        if rows.fill is None:
            return self._encoder(columns, v.mean(0), v.std(0, correction=0))
        mean, scale = _observed_moments(v)
        scale = _positive(scale)
        z = rows.known((v - mean) / scale)
        means = torch.stack([_observed_moments(z[y == k])[0] for k in range(K)])
        covariance = _observed_covariance(z - means[y])
        return self._encoder(columns, mean, scale, means, covariance)

    def _chosen(self, raw: "_Spread", logs: "_Spread") -> tuple[NumericColumn, ...]:
        """The columns with the logarithms that training rows are likelier under."""
        gain = (raw.half_logs - logs.half_logs - logs.total).tolist()
        taken = {j for j, more in zip(self.open, gain, strict=True) if more > 0}
        return tuple(replace(c, log=c.log or j in taken) for j, c in enumerate(self.columns))

    def _encoder(
        self, columns: tuple[NumericColumn, ...], mean: Tensor, scale: Tensor, *fills: Tensor
    ) -> NumericEncoder:
        """In the units that it encodes in; what it fills in with is standardised here."""
        scale = _positive(scale)
        if self.standardise:
            return NumericEncoder(columns, mean, scale, *fills)
        if fills:
            means, covariance = fills
            known = torch.cat([scale, scale.new_ones(means.shape[1] - len(scale))])
            fills = means * known, covariance * torch.outer(known, known)
        return NumericEncoder(columns, mean, torch.ones_like(scale), *fills)

    def moment_parts(
        self, rows: NumericRows, y: Tensor, part: Tensor, K: int
    ) -> MomentParts | None:
        """See `MomentCoding`: of the columns, then of open logarithms; none of rows with gaps."""
        if rows.fill is not None:
            return None
        logs = rows.values[:, list(self.open)].log()
        values = torch.cat([rows.values, logs], 1) if self.open else rows.values
        return MomentParts.of(values, y, part, K)

    def fit_moments(self, rows: Moments) -> "MomentEncoder":
        """Choose logarithms and standardise by the training rows of all sources."""
        if not self.open:
            return self._fit_moments(self.columns, rows)
        d, L = self.variables, len(self.open)
        spreads = (_of_moments(rows, slice(*at)) for at in ((0, d), (d, d + L)))
        raw, logs = spreads
        columns = self._chosen(raw.take(list(self.open)), logs)
        at = {j: d + i for i, j in enumerate(self.open) if columns[j].log}
        index = torch.tensor([at.get(j, j) for j in range(d)])
        return _Selecting(self._fit_moments(columns, rows.take(index)), index)

    def _fit_moments(self, columns: tuple[NumericColumn, ...], rows: Moments) -> NumericEncoder:
        n = rows.count.sum()
        mean = rows.count @ rows.mean / n
        squares = rows.about(mean.expand_as(rows.center)).second.diagonal(dim1=1, dim2=2)
        return self._encoder(columns, mean, (squares.sum(0) / n).sqrt())


@dataclass(frozen=True)
class _Selecting:
    """An encoder of moments that hold open columns twice: as they are, and their logarithms."""

    encoder: NumericEncoder  # of the columns that are chosen
    index: Tensor  # (d,) where each stands

    def encode(self, rows: NumericRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """See `Encoder`."""
        return self.encoder.encode(rows, y)

    def encode_moments(self, rows: Moments) -> tuple[Moments, Tensor]:
        """See `MomentEncoder`."""
        return self.encoder.encode_moments(rows.take(self.index))


@dataclass(frozen=True)
class _Spread:
    """Of columns, over the sources with more than one value: sums that a likelihood needs."""

    half_logs: Tensor  # (L,) sum_k n_k/2 log v_k
    total: Tensor  # (L,) of values

    def take(self, columns: list[int]) -> "_Spread":
        """Of some columns."""
        return _Spread(self.half_logs[columns], self.total[columns])

    @classmethod
    def of(cls, count: Tensor, sums: Tensor, squares: Tensor) -> "_Spread":
        """From (K, L) numbers, sums, and sums of squares about the sources' means."""
        used = (count > 1) & (squares > 0)
        variance = torch.where(used, squares / count.clamp(min=1), 1.0)
        half = count / 2 * variance.log()
        return cls(half.sum(0), torch.where(used, sums, 0.0).sum(0))


def _of_moments(rows: Moments, columns: slice) -> _Spread:
    mean = rows.mean
    squares = rows.second.diagonal(dim1=1, dim2=2) - rows.first * (mean - rows.center)
    count = rows.count[:, None].expand_as(mean)
    found = count, count * mean, squares
    return _Spread.of(*(v[:, columns] for v in found))


def _by_source(v: Tensor, y: Tensor, K: int) -> _Spread:
    """Of columns (n, L); gaps are left out."""
    seen, values = (~v.isnan()).to(v.dtype), v.nan_to_num(0.0)
    count, sums, squares = v.new_zeros(3, K, v.shape[1])
    count.index_add_(0, y, seen)
    sums.index_add_(0, y, values)
    rest = torch.where(v.isnan(), 0.0, values - (sums / count.clamp(min=1))[y])
    squares.index_add_(0, y, rest.square())
    return _Spread.of(count, sums, squares)


def _with_logs(v: Tensor, columns: list[int]) -> Tensor:
    """(n, d) with the logarithms of some columns."""
    if not columns:
        return v
    v = v.clone()
    v[:, columns] = v[:, columns].log()
    return v


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
