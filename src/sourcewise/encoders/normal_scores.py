"""Numeric columns <-> normal scores: every column a standard normal distribution by itself.

    z = Phi^-1(F(v)),    log p(x) = log p(z) + sum_j [log F'(v_j) - log phi(z_j)] + log |dv/dx|

F is the distribution function of the training rows of all sources in bins, v the same dequantised
values or logarithms as elsewhere. Of m training rows, c_b in bin b of B, bin b has the mass
`(c_b + 1/2) / (m + B/2)`. What is left for a model is how columns depend on each other, on the
source and on given columns; spikes, gaps between values and values far out are gone (Chen and
Gopinath, "Gaussianization", 2000, of the margins). F' is positive everywhere: a density of z is
one of x, exactly.

- A column with ties has the bins of `encoders.bins`, in which values that repeat have cells of
  their own; v is uniform inside a bin.
- A column without ties has half as many bins, cut at quantiles, in which z is linear in v: of a
  normal column this is exact.
- The outermost bins have exponential tails in v.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.documents import Positive, typed
from sourcewise.encoders.base import CodedColumn, Coding, Document, Encoder, Sizes
from sourcewise.encoders.bins import cut_values
from sourcewise.encoders.mixed import MixedCoding, MixedEncoder
from sourcewise.encoders.mixed_columns import MixedColumn, MixedRows
from sourcewise.encoders.places import code_of, place
from sourcewise.forms import Table, X
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import MixedOptions
from sourcewise.screening.recorded import recorded_columns

__all__ = ["NormalScoresCoding", "NormalScoresEncoder", "plan"]

MOST = 32  # bins of a column without ties
LEAST = 2.0**-53  # of a distribution function, and of what it lacks to 1


def plan(screened: Screened) -> "NormalScoresCoding":
    """The coding of a table of numbers without gaps."""
    numbers = recorded_columns(screened.table, screened.log)
    columns = tuple(MixedColumn(number.name, number) for number in numbers)
    return NormalScoresCoding(MixedCoding(columns, MixedOptions()))


@dataclass(frozen=True)
class NormalScoresCoding(Coding):
    """Numbers by columns, without gaps; scores are per row."""

    binned: MixedCoding  # the columns in bins

    @property
    def coded_columns(self) -> tuple[CodedColumn, ...]:
        """The columns, all of numbers."""
        return self.binned.coded_columns

    def prepare(self, x: X, noise: ExampleNoise) -> MixedRows:
        """Dequantise and take logarithms."""
        return self.binned.prepare(x, noise)

    def fit(self, rows: MixedRows, y: Tensor, K: int) -> "NormalScoresEncoder":
        """Bins and their masses, of the training rows of all sources."""
        bins = self.binned.fit(rows, y, K)
        fewer = max(4, round(len(rows) ** (1 / 3)))
        maps = (
            cut_values(v, min(fewer, MOST)) if smooth else item
            for v, smooth, item in zip(rows.values.T, _smooth(bins), bins.maps, strict=True)
        )
        bins = replace(bins, maps=tuple(maps))
        codes = code_of(bins.encode(rows, y)[0])
        masses = (
            torch.bincount(code, minlength=item.count).double() + 0.5
            for code, item in zip(codes.T, bins.maps, strict=True)
        )
        return NormalScoresEncoder(bins, tuple(mass / mass.sum() for mass in masses))


@dataclass(frozen=True)
class NormalScoresEncoder(Encoder):
    """Distribution functions of columns, and normal quantiles."""

    bins: MixedEncoder  # of the columns, in the order of the table
    masses: tuple[Tensor, ...]  # (B,) of the bins of each

    @property
    def sizes(self) -> Sizes:
        """What a model must know: the number of variables, d."""
        return {"d": len(self.masses)}

    @property
    def coding(self) -> NormalScoresCoding:
        """The coding that it was fitted under."""
        return NormalScoresCoding(self.bins.coding)

    def encode(self, rows: MixedRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """(n, d) normal scores, and (n,) the log |dz/dx|, to be added to log p(z)."""
        places, log_det = self.bins.encode(rows, y)
        codes, scores = code_of(places), []
        for j, (margin, item) in enumerate(zip(self._margins, self.bins.maps, strict=True)):
            within = item.place(rows.values[:, j].contiguous()) - codes[:, j]
            z, log = margin.scores(codes[:, j], within)
            scores.append(z)
            log_det = log_det + log
        return torch.stack(scores, 1), log_det

    def decode(self, z: Tensor) -> Table:
        """Back to original units, each column as it was recorded."""
        margins = zip(self._margins, z.double().T, strict=True)
        at = torch.stack([margin.places(each) for margin, each in margins], 1)
        return self.bins.decode(place(at.long(), at - at.floor()))

    @property
    def _margins(self) -> "list[_Margin]":
        pairs = zip(self.masses, _smooth(self.bins), strict=True)
        return [_Margin(mass, smooth) for mass, smooth in pairs]

    def to_json(self) -> Document:
        """All of it as plain values; floats survive exactly."""
        masses = [mass.tolist() for mass in self.masses]
        return {"kind": "normal-scores", "bins": self.bins.to_json(), "masses": masses}

    @classmethod
    def from_json(cls, document: Document) -> "NormalScoresEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        bins = MixedEncoder.from_json(found.bins)
        masses = tuple(torch.tensor(mass, dtype=torch.float64) for mass in found.masses)
        numbers = all(column.number is not None for column in bins.columns)
        if not numbers or [len(mass) for mass in masses] != [item.count for item in bins.maps]:
            raise ValueError("the masses are not those of bins of numbers")
        return cls(bins, masses)


@dataclass(frozen=True)
class _Written:
    """The document of a `NormalScoresEncoder`."""

    bins: Document
    masses: tuple[tuple[Positive, ...], ...]


def _smooth(bins: MixedEncoder) -> list[bool]:
    """Of every column whether it is without ties."""
    numbers = (column.number for column in bins.columns)
    return [number is not None and number.resolution is None for number in numbers]


class _Margin:
    """Places in the bins of a column <-> normal scores.

    Args:
        mass: (B,) of its bins.
        smooth: whether the score, not its distribution function, is linear inside a bin.
    """

    def __init__(self, mass: Tensor, smooth: bool):
        self.mass, self.B = mass, len(mass)
        self.above = mass.cumsum(0)
        ends = self.above[:-1].clamp(LEAST, 1 - LEAST)
        self.ends = torch.special.ndtri(ends)  # (B - 1,) scores between bins
        inner = torch.arange(self.B)
        self.linear = smooth & (inner > 0) & (inner < self.B - 1)  # (B,)
        infinite = torch.full((1,), torch.inf, dtype=mass.dtype)
        lower, upper = torch.cat([-infinite, self.ends]), torch.cat([self.ends, infinite])
        self.lower = torch.where(self.linear, lower, 0.0)
        self.width = torch.where(self.linear, upper - lower, 1.0)

    def scores(self, code: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) scores of places `code + within`, and the log of their derivative."""
        share = (self.above - self.mass)[code] + self.mass[code] * within
        z = torch.special.ndtri(share.clamp(LEAST, 1 - LEAST))
        log = self.mass.log()[code] + 0.5 * (z.square() + math.log(2 * math.pi))
        linear = self.linear[code]
        z = torch.where(linear, self.lower[code] + self.width[code] * within, z)
        return z, torch.where(linear, self.width.log()[code], log)

    def places(self, z: Tensor) -> Tensor:
        """(n,) the inverse of `scores`: code + within."""
        code = torch.searchsorted(self.ends, z.contiguous(), right=True)
        within = (torch.special.ndtr(z) - (self.above - self.mass)[code]) / self.mass[code]
        linear = (z - self.lower[code]) / self.width[code]
        within = torch.where(self.linear[code], linear, within).clamp(min=LEAST)
        end = torch.nextafter(code + 1.0, code.double())  # rounding must not leave the bin
        return torch.minimum(code + within, end)
