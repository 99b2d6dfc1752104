"""Known truths that data sets are drawn from: how sources differ, tails, sizes, repeated rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError, listing
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

__all__ = ["POPULATIONS", "Likeness", "Population", "Tails", "chosen"]

Likeness = Literal["equal", "opposite", "edge", "halves", "hidden"]
Tails = Literal["normal", "t5", "t3", "lognormal", "outliers", "peaks", "faint"]
DEGREES = {"t5": 5, "t3": 3}  # of freedom
PEAKS = {"peaks": 1.5, "faint": 0.8}  # how far two peaks of every column lie from their middle
OUTLIERS, FAR = 0.02, 10.0  # their share, and how many times further out they lie


class Population(NamedTuple):
    """A setting of the audit.

    The means of source k are k in every column. Covariances have unit variances and correlations
    (`correlations`) by likeness: `equal` (.5), `opposite` (.5 and -.25 in turn), `edge` (so near
    that the difference lies at the edge of the region), `halves` (the first half .6, the second
    -.6 between the first two columns), `hidden` (the same, beside columns of noise).
    """

    likeness: Likeness
    tails: Tails
    sizes: tuple[int, ...]  # rows of each source
    d: int = 3  # columns
    repeats: int = 1  # rows of a patient, which stand next to each other; their means vary with
    within: float = 0.5  # this share of the variance between patients
    declared: bool = True  # whether the data say which rows are of one patient, as a group

    @property
    def name(self) -> str:
        """Says all of it."""
        sizes = "x".join(map(str, dict.fromkeys(self.sizes)))
        word = "patients" if self.declared else "undeclared"
        patients = f"-{word}{self.repeats}" if self.repeats > 1 else ""
        return f"{self.likeness}-{self.tails}-{len(self.sizes)}x{sizes}-d{self.d}{patients}"

    @property
    def K(self) -> int:
        """Sources."""
        return len(self.sizes)

    @property
    def covariances(self) -> Tensor:
        """(K, d, d) of the normals that the sources are made of."""
        return torch.stack([self._covariance(k) for k in range(self.K)])

    def _covariance(self, k: int) -> Tensor:
        eye = torch.eye(self.d, dtype=torch.float64)
        if self.likeness in ("halves", "hidden"):
            eye[0, 1] = eye[1, 0] = 0.6 if k < self.K / 2 else -0.6
            return eye
        pairs = {"equal": (0.5, 0.5), "opposite": (0.5, -0.25), "edge": (0.465, 0.135)}
        return eye + pairs[self.likeness][k % 2] * (1 - eye)

    def moments(self) -> tuple[Tensor, Tensor]:
        """(K, d) means and (K, d, d) covariances of the rows."""
        mean = torch.arange(self.K, dtype=torch.float64)[:, None].expand(self.K, self.d)
        covariance = self.covariances
        if self.tails == "lognormal":
            scale = torch.exp(covariance.diagonal(dim1=1, dim2=2) / 2)
            outer = scale[:, :, None] * scale[:, None, :]
            return mean + scale, outer * (torch.exp(covariance) - 1)
        if self.tails == "outliers":
            covariance = covariance * (1 - OUTLIERS + OUTLIERS * FAR**2)
        if self.tails in PEAKS:
            covariance = covariance + PEAKS[self.tails] ** 2
        return mean, covariance

    def mixture(self, nodes: int = 64) -> Tensor | None:
        """(2, N) weights and scales of the normals of `moments` that rows are mixtures of.

        None: they are normal. Of t with f degrees of freedom the scale is (f - 2) / w^2, w a chi
        variable: Gauss-Legendre nodes in w. Lognormal rows, and those of two peaks, are no such
        mixture.
        """
        if self.tails == "outliers":
            scales = torch.tensor([1.0, FAR**2], dtype=torch.float64)
            weights = torch.tensor([1 - OUTLIERS, OUTLIERS], dtype=torch.float64)
            return torch.stack([weights, scales / (weights @ scales)])
        if self.tails not in DEGREES:
            return None
        f = DEGREES[self.tails]
        points, weights = np.polynomial.legendre.leggauss(nodes)
        w = 6 * (points + 1)  # to 12, where exp(-w^2 / 2) is below rounding
        weights = weights * w ** (f - 1) * np.exp(-(w**2) / 2)
        return torch.from_numpy(np.array([weights / weights.sum(), (f - 2) / w**2]))

    def draw(self, noise: Noise, share: float = 1.0) -> Sources:
        """A sample with its sizes, or a share of them."""
        units = [max(2, round(n * share / self.repeats)) for n in self.sizes]
        y = torch.arange(self.K).repeat_interleave(torch.tensor(units) * self.repeats)
        rows = noise.of("x").normal(len(y), self.d)
        patient = torch.arange(sum(units)).repeat_interleave(self.repeats)
        if self.repeats > 1:
            own = noise.of("patients").normal(sum(units), self.d)[patient]
            rows = math.sqrt(self.within) * own + math.sqrt(1 - self.within) * rows
        x = (torch.linalg.cholesky(self.covariances)[y] @ rows[:, :, None]).squeeze(2)
        x = self._with_tails(x, noise) + y[:, None]
        names = [f"source {k + 1}" for k in range(self.K)]
        if self.repeats == 1 or not self.declared:
            return Sources(x, y, names)
        return Sources(x, y, names, patient, ("patient",))

    def _with_tails(self, x: Tensor, noise: Noise) -> Tensor:
        """Of t a normal row over a root of chi-square / df, scaled to the same variance."""
        if self.tails == "lognormal":
            return x.exp()
        if self.tails == "outliers":
            return torch.where(noise.of("far").uniform(len(x), 1) < OUTLIERS, FAR * x, x)
        if self.tails in PEAKS:
            side = torch.where(noise.of("peak").uniform(len(x), 1) < 0.5, -1.0, 1.0)
            return x + PEAKS[self.tails] * side
        if self.tails == "normal":
            return x
        df = DEGREES[self.tails]
        chi = noise.of("chi").normal(len(x), df).square().sum(1, keepdim=True)
        return x / (chi / df).sqrt() * math.sqrt((df - 2) / df)


@dataclass(frozen=True)
class _Family:
    """Populations that differ in sizes only."""

    likeness: Likeness
    tails: Tails
    sizes: tuple[tuple[int, ...], ...]
    d: int = 3
    repeats: int = 1
    declared: bool = True

    def all(self) -> list[Population]:
        return [
            Population(self.likeness, self.tails, n, self.d, self.repeats, declared=self.declared)
            for n in self.sizes
        ]


def _four(*sizes: int) -> tuple[tuple[int, ...], ...]:
    return tuple((n,) * 4 for n in sizes)


UNEQUAL = ((400, 100, 50, 30),)
POPULATIONS = [
    population
    for family in [
        _Family("equal", "normal", _four(30, 75, 200)),
        _Family("equal", "t5", _four(30, 200)),
        _Family("opposite", "normal", _four(30, 75, 200)),
        _Family("opposite", "t5", _four(30, 200)),
        _Family("edge", "normal", _four(75, 300)),
        _Family("edge", "t5", _four(200)),
        _Family("equal", "normal", UNEQUAL),
        _Family("opposite", "normal", UNEQUAL),
        _Family("edge", "normal", UNEQUAL),
        _Family("equal", "t3", _four(50, 200)),
        _Family("opposite", "t3", _four(50, 200)),
        _Family("equal", "lognormal", _four(75, 300)),
        _Family("opposite", "lognormal", _four(75, 300)),
        _Family("equal", "outliers", _four(75, 300)),
        _Family("opposite", "outliers", _four(75, 300)),
        _Family("equal", "normal", _four(60, 100), repeats=5),
        _Family("opposite", "normal", _four(60, 100), repeats=5),
        _Family("equal", "normal", _four(60, 100), repeats=5, declared=False),
        _Family("opposite", "normal", _four(60, 100), repeats=5, declared=False),
        _Family("halves", "normal", ((25,) * 6, (100,) * 6)),
        _Family("halves", "normal", ((500, 500),), d=2),
        _Family("hidden", "normal", ((500, 500),), d=30),
        _Family("equal", "normal", ((25,) * 20,)),
    ]
    for population in family.all()
]


def chosen(populations: Sequence[Population], only: Sequence[str]) -> list[Population]:
    """Those whose names hold one of `only`; all, if it names nothing."""
    found = [p for p in populations if not only or any(part in p.name for part in only)]
    if not found:
        names = listing((population.name for population in populations), 3)
        raise InputError(
            f"setting only: no setting's name holds {listing(only)} (there are: {names})"
        )
    return found
