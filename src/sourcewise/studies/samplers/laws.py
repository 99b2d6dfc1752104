"""Truths on the line with exact scores, and what a sampler makes of them, without any draw.

A truth is a mixture of normals; with noise it is another one, whose score and denoiser have closed
forms. What law a sampler's last point has is computed, not drawn:

- A sampler without draws is a map that rises, f. Under the law p of where it starts the distance
  to a truth q is an integral over x: `W2^2 = int (f(x) - Q(P(x)))^2 p dx`, Q the quantiles of q.
- A step that is linear in x and in its normal draws takes a normal law to a normal law
  (`Moments`).
- Otherwise densities go through the steps (`densities.Density`): given x and all draws but the
  last, the result is normal, and a quadrature rule takes the place of these.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "POINTS",
    "Drawn",
    "Line",
    "Moments",
    "Step",
    "of_map",
]

SPAN, POINTS = 9.0, 4001  # standard deviations, and points, of integrals over where maps start
NODES = 8  # of the quadrature over a draw
Step = Callable[[Tensor, tuple[Tensor, Tensor], float], Tensor]  # x, normal draws, a uniform one


@dataclass(frozen=True)
class Line:
    """A mixture of normals on the line.

    Args:
        weight: w, (J,).
        mean: (J,).
        variance: (J,).
    """

    weight: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, *parts: tuple[float, float, float]) -> "Line":
        """Of (weight, mean, standard deviation) each."""
        w, m, s = torch.tensor(parts, dtype=torch.float64).T
        return cls(w / w.sum(), m, s.square())

    def noisy(self, a: float, variance: float) -> "Line":
        """The law of `a x + sqrt(variance) n`."""
        return Line(self.weight, a * self.mean, a * a * self.variance + variance)

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        m = (self.weight * self.mean).sum()
        second = (self.weight * (self.variance + self.mean.square())).sum()
        return float(m), float((second - m * m).sqrt())

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log density (...) and the score of each part (..., J)."""
        slope = -(x[..., None] - self.mean) / self.variance
        log = -0.5 * slope.square() * self.variance - 0.5 * (2 * math.pi * self.variance).log()
        return log + self.weight.log(), slope

    def density(self, x: Tensor) -> Tensor:
        """p(x), (...)."""
        return self._parts(x)[0].exp().sum(-1)

    def score(self, x: Tensor) -> Tensor:
        """d log p / dx, (...)."""
        log, slope = self._parts(x)
        return (log.softmax(-1) * slope).sum(-1)

    def curvature(self, x: Tensor) -> Tensor:
        """d^2 log p / dx^2, (...)."""
        log, slope = self._parts(x)
        r = log.softmax(-1)
        second = (r * (slope.square() - 1 / self.variance)).sum(-1)
        return second - (r * slope).sum(-1).square()

    def denoise(self, z: Tensor, sigma: Tensor) -> Tensor:
        """E[x | x + sigma n = z]."""
        return z + sigma**2 * self.noisy(1.0, float(sigma) ** 2).score(z)

    def distribution(self, x: Tensor) -> Tensor:
        """P(x), (...)."""
        z = (x[..., None] - self.mean) / self.variance.sqrt()
        return (self.weight * torch.special.ndtr(z)).sum(-1)

    def quantiles_like(self, other: "Line", x: Tensor) -> Tensor:
        """Where this law has as much below as another has below x."""
        return self.quantiles(other.distribution(x), other._mirrored.distribution(-x))

    def quantiles(self, below: Tensor, above: Tensor) -> Tensor:
        """Where this law has given shares below and above, which sum to 1; by bisection."""
        m, s = self.moments
        wide = SPAN * s + float((self.mean - m).abs().max())
        low, high = torch.full_like(below, m - wide), torch.full_like(below, m + wide)
        upper = below > above
        for _ in range(60):
            middle = (low + high) / 2
            # The shares above are compared in the upper half, where those below are too near 1.
            left = self.distribution(middle) < below
            right = torch.where(upper, self._mirrored.distribution(-middle) > above, left)
            low, high = torch.where(right, middle, low), torch.where(right, high, middle)
        return (low + high) / 2

    @property
    def _mirrored(self) -> "Line":
        return Line(self.weight, -self.mean, self.variance)


@dataclass(frozen=True)
class Drawn:
    """What a step draws beside its last normal number: the nodes and weights that stand for it.

    Args:
        normal: whether there is another normal draw.
        uniform: whether there is a uniform one.
    """

    normal: bool = False
    uniform: bool = False

    def nodes(self) -> list[tuple[float, float, float]]:
        """A normal value, a uniform one, and the weight of both."""
        z, w = np.polynomial.hermite_e.hermegauss(NODES) if self.normal else ([0.0], [1.0])
        u, v = np.polynomial.legendre.leggauss(NODES) if self.uniform else ([0.0], [1.0])
        total = sum(w) * sum(v)
        pairs = product(zip(z, w, strict=True), zip(u, v, strict=True))
        return [(float(a), (float(b) + 1) / 2, float(p * q / total)) for (a, p), (b, q) in pairs]


@dataclass(frozen=True)
class Moments:
    """A normal law."""

    mean: float
    variance: float

    @classmethod
    def of(cls, law: Line) -> "Moments":
        """With the moments of a law."""
        mean, spread = law.moments
        return cls(mean, spread**2)

    def noisy(self, variance: float) -> "Moments":
        """The law of `x + sqrt(variance) n`."""
        return Moments(self.mean, self.variance + variance)

    def through(self, step: Step, drawn: Drawn, near: Line) -> "Moments":
        """The law after a step that is linear in x and in its normal draws.

        With a uniform draw the law is a mixture of normal ones: this is the one of its moments,
        whose W2 to a normal law is a lower bound.
        """
        x, first, last = torch.eye(4, dtype=torch.float64)[:, 1:].T
        mean = second = 0.0
        for _, u, w in Drawn(uniform=drawn.uniform).nodes():
            at = step(x, (first, last), u)
            shift = float(at[0])
            a, b, c = (at[1:] - shift).tolist()
            m = a * self.mean + shift
            mean, second = (
                mean + w * m,
                second + w * (a * a * self.variance + b * b + c * c + m * m),
            )
        return Moments(mean, second - mean * mean)

    def wasserstein(self, other: Line) -> float:
        """W2 to a normal law."""
        mean, spread = other.moments
        return math.hypot(self.mean - mean, math.sqrt(self.variance) - spread)

    def total_variation(self, other: Line) -> float:
        """TV to a normal law with the same mean: its densities cross at -x and x."""
        a, b = sorted((self.variance, other.moments[1] ** 2))
        if a == b:
            return 0.0
        x = math.sqrt(math.log(b / a) * a * b / (b - a))
        share = [math.erf(x / math.sqrt(2 * v)) / 2 for v in (a, b)]
        return 2 * (share[0] - share[1])


def of_map(f: Callable[[Tensor], Tensor], start: Line, end: Line) -> float:
    """W2 between what a rising map f makes of a law, and another law; see the module."""
    m, s = start.moments
    x = torch.linspace(m - SPAN * s, m + SPAN * s, POINTS, dtype=torch.float64)
    moved = (f(x) - end.quantiles_like(start, x)).square()
    return float(torch.trapezoid(moved * start.density(x), x).sqrt())
