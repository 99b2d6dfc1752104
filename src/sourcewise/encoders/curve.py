"""A smooth monotone map of a column without ties: straight, bent only where a line does badly.

Between knots v_0 < ... < v_P at quantiles, with u = (v - v_i) / (v_{i+1} - v_i), heights z_i of
rise h = z_{i+1} - z_i, mean slope s = h / (v_{i+1} - v_i), and slopes d_i > 0 at the knots
(Gregory and Delbourgo, "Piecewise rational quadratic interpolation to monotonic data", 1982):

    z = z_i + h (s u^2 + d_i u (1 - u)) / (s + (d_i + d_{i+1} - 2 s) u (1 - u))

Beyond the last knot, with bend a >= 0, and likewise below the first:

    v = v_P + (w + a w^2 / 2) / d_P,    w = z - z_P

so that a normal tail of z is one of v where a = 0, and far out an exponential one where a > 0.

The map and its derivative are continuous, and it takes the line onto the line: a smooth density
of z is one of v, and a density of v has no jump that z did not have. With r the spread of a normal
column that had the outermost knots as quantiles, and f the density between knots:

- The mean slope is `max(1, f r / (2 phi(0))) / r`. A column that is nowhere more than twice as
  dense as that normal column is at its middle is shifted and scaled, and no more; denser places
  are spread.
- d_i is the geometric mean of the slopes at both sides.
- A tail of m rows is bent until its median, less two of its standard errors or so, is as far from
  the knot as a normal column's. Light tails are not bent.

Shifting or scaling a column changes nothing of z, which has mean 0 and variance 1 over the rows
that it was fitted to.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.documents import Positive, Real, typed
from sourcewise.encoders.base import Document

__all__ = ["Curve"]

MOST = 9  # knots
TAIL, ROWS = 0.02, 8  # beyond an outermost knot: a share of the rows, and so many at least
DENSE = 2 / math.sqrt(2 * math.pi)  # of a column of unit spread: a place that is spread


@dataclass(frozen=True)
class Curve:
    """The map z of v, and its inverse."""

    knots: Tensor  # (P,) v_i, increasing; 2 at least
    heights: Tensor  # (P,) z_i, increasing
    slopes: Tensor  # (P,) d_i, positive
    lower: float  # a of the tail below the first knot
    upper: float  # a of the tail above the last

    @classmethod
    def of(cls, v: Tensor) -> "Curve":
        """Fitted to training values (n,), n >= 1."""
        knots, shares = _quantiles(v)
        if len(knots) < 2:
            curve = _line(v)
        else:
            levels = torch.special.ndtri(shares)
            r = (knots[-1] - knots[0]) / (levels[-1] - levels[0])
            widths = knots.diff()
            means = (shares.diff() / widths * r / DENSE).clamp(min=1.0) / r
            slopes = torch.cat([means[:1], (means[:-1] * means[1:]).sqrt(), means[-1:]])
            heights = torch.cat([means.new_zeros(1), (means * widths).cumsum(0)])
            lower = _bend(slopes[0] * (knots[0] - v[v < knots[0]]), float(shares[0]))
            upper = _bend(slopes[-1] * (v[v > knots[-1]] - knots[-1]), 1 - float(shares[-1]))
            curve = cls(knots, heights, slopes, lower, upper)
        return curve._standard(v)

    def _standard(self, v: Tensor) -> "Curve":
        """With z of mean 0 and variance 1 over values (n,)."""
        z = self.scores(v)[0]
        s = float(z.std(correction=0)) or 1.0
        heights, slopes = (self.heights - z.mean()) / s, self.slopes / s
        return replace(
            self, heights=heights, slopes=slopes, lower=self.lower * s, upper=self.upper * s
        )

    def scores(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) z of values (n,), and the log of dz/dv."""
        i = self._piece(self.knots, v)
        width, s, d, e = self._pieces(i)
        u = ((v - self.knots[i]) / width).clamp(0, 1)
        over = s + (d + e - 2 * s) * u * (1 - u)
        z = self.heights[i] + width * s * (s * u.square() + d * u * (1 - u)) / over
        rate = e * u.square() + 2 * s * u * (1 - u) + d * (1 - u).square()
        log = (s.square() * rate / over.square()).log()
        for sign, at, a in self._tails:
            t = self.slopes[at] * sign * (v - self.knots[at])
            root = (1 + 2 * a * t.clamp(min=0)).sqrt()
            z = torch.where(t > 0, self.heights[at] + sign * 2 * t / (1 + root), z)
            log = torch.where(t > 0, (self.slopes[at] / root).log(), log)
        return z, log

    def values(self, z: Tensor) -> Tensor:
        """(n,) the inverse of `scores`."""
        i = self._piece(self.heights, z)
        width, s, d, e = self._pieces(i)
        rise = ((z - self.heights[i]) / (width * s)).clamp(0, 1)
        rest = rise * (d + e - 2 * s)  # u solves a quadratic equation
        a, b, c = s - d + rest, d - rest, -s * rise
        u = -2 * c / (b + (b.square() - 4 * a * c).sqrt())
        v = self.knots[i] + width * u
        for sign, at, a in self._tails:
            w = sign * (z - self.heights[at])
            t = (w + a * w.square() / 2) / self.slopes[at]
            v = torch.where(w > 0, self.knots[at] + sign * t, v)
        return v

    @property
    def _tails(self) -> tuple[tuple[int, int, float], tuple[int, int, float]]:
        return (-1, 0, self.lower), (1, -1, self.upper)

    @staticmethod
    def _piece(ends: Tensor, at: Tensor) -> Tensor:
        found = torch.searchsorted(ends, at.contiguous(), right=True)
        return (found - 1).clamp(0, len(ends) - 2)

    def _pieces(self, i: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(n,) width, s, d_i and d_{i+1} of pieces i."""
        width = self.knots.diff()
        return width[i], (self.heights.diff() / width)[i], self.slopes[i], self.slopes[i + 1]

    def to_json(self) -> Document:
        """Plain values; floats survive exactly."""
        tensors = {name: getattr(self, name).tolist() for name in ("knots", "heights", "slopes")}
        return {**tensors, "lower": self.lower, "upper": self.upper}

    @classmethod
    def from_json(cls, document: Document) -> "Curve":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        each = found.knots, found.heights, found.slopes
        knots, heights, slopes = (torch.tensor(v, dtype=torch.float64) for v in each)
        if not 2 <= len(knots) == len(heights) == len(slopes):
            raise ValueError("a curve has other numbers of knots, heights and slopes")
        if not bool((knots.diff() > 0).all() & (heights.diff() > 0).all()):
            raise ValueError("the knots of a curve are not in order")
        if min(found.lower, found.upper) < 0:
            raise ValueError("the tail of a curve is bent outwards")
        return cls(knots, heights, slopes, found.lower, found.upper)


@dataclass(frozen=True)
class _Written:
    """The document of a `Curve`."""

    knots: tuple[Real, ...]
    heights: tuple[Real, ...]
    slopes: tuple[Positive, ...]
    lower: Real
    upper: Real


def _quantiles(v: Tensor) -> tuple[Tensor, Tensor]:
    """(P,) different quantiles of values, even in normal scores, and the shares below them."""
    n = len(v)
    end = torch.special.ndtri(torch.tensor(max(TAIL, min(0.25, ROWS / n)), dtype=torch.float64))
    count = max(3, min(MOST, round(n ** (1 / 3))))
    shares = torch.special.ndtr(torch.linspace(-1, 1, count, dtype=torch.float64) * -end)
    at = shares * (n - 1)
    ordered, below = v.sort().values, at.long()
    above = (below + 1).clamp(max=n - 1)
    knots = ordered[below] + (at - below) * (ordered[above] - ordered[below])
    fresh = torch.cat([torch.ones(1, dtype=torch.bool), knots.diff() > 0])
    return knots[fresh], shares[fresh]


def _line(v: Tensor) -> Curve:
    """Of hardly any different values."""
    centre = float(v.mean())
    spread = float(v.std(correction=0)) or abs(centre) or 1.0
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    return Curve(centre + spread * ends, ends, ends.new_ones(2) / spread, 0.0, 0.0)


def _bend(excess: Tensor, share: float) -> float:
    """a with the median of a tail where a normal column has it.

    Args:
        excess: (m,) of its values beyond the knot, in units of the spread there.
        share: of a normal column beyond such a knot.
    """
    if len(excess) == 0:
        return 0.0
    median = float(excess.median()) / (1 + 2 / math.sqrt(len(excess)))
    q = torch.special.ndtri(torch.tensor([share / 2, share], dtype=torch.float64))
    usual = float(q[1] - q[0])
    return max(0.0, 2 * (median - usual) / usual**2)
