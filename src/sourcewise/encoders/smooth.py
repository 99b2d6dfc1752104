"""Numeric columns <-> columns of mean 0 and variance 1, with densities that stay smooth.

    log p(x) = log p(z) + sum_j log dz_j/dv_j + log |dv/dx|

v are the same dequantised values or logarithms as elsewhere.

- A column without ties goes through a `Curve`, whose derivative has no jump: what learns a density
  by taking noise away blurs jumps, and whatever stands between them.
- A column with ties is a normal score (`encoders.normal_scores`): its density has jumps of its
  own, and values that repeat have cells of their own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.documents import typed
from sourcewise.encoders.base import CodedColumn, Coding, Document, Encoder, Sizes
from sourcewise.encoders.curve import Curve
from sourcewise.encoders.mixed import MixedCoding
from sourcewise.encoders.mixed_columns import MixedColumn, MixedRows, prepare_mixed
from sourcewise.encoders.normal_scores import NormalScoresCoding, NormalScoresEncoder
from sourcewise.forms import Column, Table, X, as_table
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import MixedOptions
from sourcewise.screening.recorded import NumericColumn, recorded_columns

__all__ = ["SmoothCoding", "SmoothEncoder", "plan"]


def plan(screened: Screened) -> "SmoothCoding":
    """The coding of a table of numbers without gaps."""
    return SmoothCoding(recorded_columns(screened.table, screened.log))


@dataclass(frozen=True)
class SmoothCoding(Coding):
    """Numbers by columns, without gaps; scores are per row."""

    columns: tuple[NumericColumn, ...]  # how each was recorded

    @property
    def coded_columns(self) -> tuple[CodedColumn, ...]:
        """The columns, all of numbers."""
        return tuple(column.coded for column in _mixed(self.columns))

    def prepare(self, x: X, noise: ExampleNoise) -> MixedRows:
        """Dequantise and take logarithms."""
        return prepare_mixed(as_table(x), _mixed(self.columns), noise)

    def fit(self, rows: MixedRows, y: Tensor, K: int) -> "SmoothEncoder":
        """Curves, and bins, of the training rows of all sources."""
        tied, free = _ties(self.columns)
        curves = tuple(Curve.of(rows.values[:, j]) for j in free)
        stepped = None
        if tied:
            columns = _mixed([self.columns[j] for j in tied])
            coding = NormalScoresCoding(MixedCoding(columns, MixedOptions()))
            stepped = coding.fit(_columns(rows, tied), y, K)
        return SmoothEncoder(self.columns, curves, stepped)


@dataclass(frozen=True)
class SmoothEncoder(Encoder):
    """A curve for every column without ties, normal scores of the others."""

    columns: tuple[NumericColumn, ...]  # how each was recorded
    curves: tuple[Curve, ...]  # of columns without ties, in the order of the table
    stepped: NormalScoresEncoder | None  # of columns with ties, if there are such

    @property
    def sizes(self) -> Sizes:
        """What a model must know: the number of variables, d."""
        return {"d": len(self.columns)}

    @property
    def coding(self) -> SmoothCoding:
        """The coding that it was fitted under."""
        return SmoothCoding(self.columns)

    def encode(self, rows: MixedRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """(n, d) encoded columns, and (n,) the log |dz/dx|, to be added to log p(z)."""
        tied, free = _ties(self.columns)
        z, log_det = torch.empty_like(rows.values), rows.values.new_zeros(len(rows))
        if self.stepped is not None:
            z[:, tied], log_det = self.stepped.encode(_columns(rows, tied), y)
        for j, curve in zip(free, self.curves, strict=True):
            v = rows.values[:, j]
            z[:, j], log = curve.scores(v)
            log_det = log_det + (log - v if self.columns[j].log else log)  # v = log x
        return z, log_det

    def decode(self, z: Tensor) -> Table:
        """Back to original units, each column as it was recorded."""
        z, (tied, free) = z.double(), _ties(self.columns)
        found = {} if self.stepped is None else dict(self.stepped.decode(z[:, tied]).columns)
        for j, curve in zip(free, self.curves, strict=True):
            found[self.columns[j].name] = self.columns[j].recorded(curve.values(z[:, j]))
        names = [column.name for column in self.columns]
        return Table({name: found[name] for name in names}, tuple(map(Column, names)))

    def to_json(self) -> Document:
        """All of it as plain values; floats survive exactly."""
        return {
            "kind": "smooth",
            "columns": [vars(column) for column in self.columns],
            "curves": [curve.to_json() for curve in self.curves],
            "stepped": None if self.stepped is None else self.stepped.to_json(),
        }

    @classmethod
    def from_json(cls, document: Document) -> "SmoothEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        curves = tuple(map(Curve.from_json, found.curves))
        stepped = None if found.stepped is None else NormalScoresEncoder.from_json(found.stepped)
        tied, free = _ties(found.columns)
        theirs = () if stepped is None else tuple(c.number for c in stepped.bins.columns)
        if theirs != tuple(found.columns[j] for j in tied) or len(curves) != len(free):
            raise ValueError("the curves and normal scores are not those of the columns")
        return cls(found.columns, curves, stepped)


@dataclass(frozen=True)
class _Written:
    """The document of a `SmoothEncoder`."""

    columns: tuple[NumericColumn, ...]
    curves: tuple[Document, ...]
    stepped: Document | None


def _mixed(columns: "tuple[NumericColumn, ...] | list[NumericColumn]") -> tuple[MixedColumn, ...]:
    return tuple(MixedColumn(column.name, column) for column in columns)


def _ties(columns: tuple[NumericColumn, ...]) -> tuple[list[int], list[int]]:
    """The columns with ties, and those without."""
    tied = [j for j, column in enumerate(columns) if column.resolution is not None]
    return tied, [j for j in range(len(columns)) if j not in tied]


def _columns(rows: MixedRows, index: list[int]) -> MixedRows:
    return MixedRows(*(part[:, index] for part in (rows.values, rows.starts, rows.stops)))
