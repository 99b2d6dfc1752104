"""Laws with a smooth density, and what steps make of them, without any draw.

A density on the line that is no narrower than a few of its points, evenly spaced, is known from
its values there: sums over them are integrals to rounding. A step that is normal given where it
starts, with mean m(x) and variance v(x), takes p to the law whose characteristic function is

    int p(x) exp(i w m(x) - w^2 v(x) / 2) dx,

which is such a sum for each w. So the transition is exact however narrow it is, also without any
noise, where a kernel between points would need points as close as the noise is small.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sourcewise.studies.samplers.laws import POINTS, Drawn, Line, Step

__all__ = ["CELLS", "WAVES", "Density"]

CELLS = 192  # points
WAVES = 40  # of which a density is made: less than half of what the points can tell apart
REACH = 9.0  # standard deviations that points reach beyond each part of a law
TAIL = 1e-6  # shares at both ends that distances between quantiles leave out, where rounding shows


class Branch(NamedTuple):
    """A way that a step can take, normal given where it starts."""

    weight: float
    mean: Tensor  # (G,) m(x)
    variance: Tensor  # (G,) v(x)


@dataclass(frozen=True)
class Density:
    """A law on the line.

    Args:
        centre: of the points.
        reach: how far the points go to either side; the density is 0 beyond.
        values: (G,) p at the points.
    """

    centre: float
    reach: float
    values: Tensor

    @classmethod
    def of(cls, law: Line) -> "Density":
        """Of a mixture of normals."""
        empty = cls.around(law)
        return cls(empty.centre, empty.reach, law.density(empty.points))

    @classmethod
    def around(cls, law: Line) -> "Density":
        """Nothing yet, on points that suit what is near a law."""
        centre = law.moments[0]
        reach = ((law.mean - centre).abs() + REACH * law.variance.sqrt()).max()
        return cls(centre, float(reach), torch.zeros(CELLS, dtype=torch.float64))

    @property
    def points(self) -> Tensor:
        """(G,) x."""
        G = len(self.values)
        places = torch.arange(G, dtype=torch.float64) - (G - 1) / 2
        return self.centre + 2 * self.reach / G * places

    def noisy(self, variance: float) -> "Density":
        """The law of `x + sqrt(variance) n`."""
        x = self.points
        return self._after([Branch(1.0, x, torch.full_like(x, variance))], self)

    def through(self, step: Step, drawn: Drawn, near: Line) -> "Density":
        """The law after a step; `near` is one that it comes near, whose points suit it."""
        x = self.points
        none, one = torch.zeros_like(x), torch.ones_like(x)
        branches = []
        for z, u, weight in drawn.nodes():
            mean = step(x, (z * one, none), u)
            branches.append(Branch(weight, mean, (step(x, (z * one, one), u) - mean).square()))
        return self._after(branches, Density.around(near))

    def _after(self, branches: Sequence[Branch], place: "Density") -> "Density":
        """The law after one of some branches, on the points of another density."""
        w = math.pi / place.reach * torch.arange(WAVES, dtype=torch.float64)[:, None]
        found = torch.zeros(WAVES, dtype=torch.complex128)
        for branch in branches:
            size = (-0.5 * w.square() * branch.variance).exp() * self._mass
            found += branch.weight * (size * place._waves(branch.mean)).sum(1)
        return Density(place.centre, place.reach, place._sum(found, place.points))

    @property
    def _mass(self) -> Tensor:
        """(G,) that stands at each point."""
        return self.values * (2 * self.reach / len(self.values))

    def _waves(self, x: Tensor) -> Tensor:
        """(WAVES, n) exp(i w (x - centre)) for w that repeat beyond the points."""
        first = torch.polar(torch.ones_like(x), math.pi / self.reach * (x - self.centre))
        others = first.expand(WAVES - 1, -1).cumprod(0)  # many times as fast as sines
        return torch.cat([torch.ones_like(first)[None], others])

    def _sum(self, transform: Tensor, x: Tensor) -> Tensor:
        """(n,) the density at x of a characteristic function (WAVES,)."""
        twice = torch.full_like(transform, 2.0)  # for the frequencies below 0
        twice[0] = 1.0
        return ((twice * transform)[:, None] * self._waves(x).conj()).sum(0).real / (
            2 * self.reach
        )

    def _fine(self) -> tuple[Tensor, Tensor]:
        """Many points, and the density there."""
        ends = self.centre - self.reach, self.centre + self.reach
        x = torch.linspace(*ends, POINTS, dtype=torch.float64)
        return x, self._sum((self._mass * self._waves(self.points)).sum(1), x)

    def total_variation(self, other: Line) -> float:
        """TV to another law."""
        x, p = self._fine()
        return float(torch.trapezoid((p - other.density(x)).abs(), x) / 2)

    def wasserstein(self, other: Line) -> float:
        """W2 to another law: `W2^2 = int (x - Q(P(x)))^2 p dx`, Q its quantiles."""
        x, p = self._fine()
        parts, zero = (p[1:] + p[:-1]) / 2 * x.diff(), x.new_zeros(1)
        below = torch.cat([zero, parts.cumsum(0)])
        above = torch.cat([parts.flip(0).cumsum(0).flip(0), zero])  # exact where below is near 1
        inside = torch.minimum(below, above) > TAIL
        moved = torch.where(inside, x - other.quantiles(below, above), 0.0)
        return float(torch.trapezoid(moved.square() * p, x).sqrt())
