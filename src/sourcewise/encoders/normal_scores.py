"""Numeric columns <-> normal scores: every column a standard normal distribution by itself.

    z = Phi^-1(F(v)),    log p(x) = log p(z) + sum_j [log F'(v_j) - log phi(z_j)] + log |dv/dx|

F is the distribution function of the training rows of all sources, in the bins of `encoders.bins`
(values that repeat have cells of their own, tails are exponential), v the same dequantised values
or logarithms as elsewhere. Of m training rows, c_b in bin b of B, bin b has the mass
`(c_b + 1/2) / (m + B/2)`. What is left for a model is how columns depend on each other, on the
source and on given columns; spikes, gaps between values and values far out are gone (Chen and
Gopinath, "Gaussianization", 2000, of the margins). F' is positive everywhere: a density of z is
one of x, exactly.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.documents import Positive, typed
from sourcewise.encoders.base import CodedColumn, Coding, Document, Encoder, Sizes
from sourcewise.encoders.mixed import MixedCoding, MixedEncoder
from sourcewise.encoders.mixed_columns import MixedColumn, MixedRows
from sourcewise.forms import Table, X
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import MixedOptions
from sourcewise.screening.recorded import recorded_columns

__all__ = ["NormalScoresCoding", "NormalScoresEncoder", "plan"]

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
        codes = bins.encode(rows, y)[0]
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
        codes, log_det = self.bins.encode(rows, y)
        within = self.bins.place(rows) - codes
        scores = torch.empty_like(within)
        for j, mass in enumerate(self.masses):
            code = codes[:, j]
            z = torch.special.ndtri(_share(mass, code, within[:, j]))
            log_det = log_det + mass.log()[code] + 0.5 * (z.square() + math.log(2 * math.pi))
            scores[:, j] = z
        return scores, log_det

    def decode(self, z: Tensor) -> Table:
        """Back to original units, each column as it was recorded."""
        share, places = torch.special.ndtr(z.double()), []
        for j, mass in enumerate(self.masses):
            ends = mass.cumsum(0)
            code = torch.searchsorted(ends, share[:, j].contiguous(), right=True)
            code = code.clamp(max=len(mass) - 1)
            within = (share[:, j] - (ends - mass)[code]) / mass[code]
            end = torch.nextafter(code + 1.0, code.double())  # rounding must not leave the bin
            places.append(torch.minimum(code + within.clamp(min=LEAST), end))
        return self.bins.decode(torch.stack(places, 1))

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


def _share(mass: Tensor, code: Tensor, within: Tensor) -> Tensor:
    """(n,) the distribution function at places in bins, inside (0, 1)."""
    below = mass.cumsum(0) - mass
    return (below[code] + mass[code] * within).clamp(LEAST, 1 - LEAST)
