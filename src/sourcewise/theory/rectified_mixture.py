"""Rectified flow from N(0, I) to a mixture of normal laws, in closed form.

Data are `sum_i w_i N(mu_i, s^2 I)`, and the ends are independent. Then `X_t = (1-t) X_0 + t X_1`
is the mixture of N(t mu_i, a I), `a = (1-t)^2 + t^2 s^2`, and with `c = a'/(2a)`, `b = (1-t)/a`
and the shares `r_i` of the modes at x,

    v(x, t) = c x + b M,    M = sum_i r_i mu_i,    grad v = c I + (t b/a) Cov_r(mu)

(code of arXiv 2410.14949 for s = 1; derived here otherwise). As v carries the law of X_t, log r_i
changes along a path by `l_i = (v - u_i) . g_i`, up to what all modes share, where
`u_i = mu_i + c (x - t mu_i)` is the field of one mode and `g_i = -(x - t mu_i)/a`. So

    dv/dt = c' x + c v + b' M + b sum_i r_i (l_i - l) mu_i,    l = sum_i r_i l_i.

Expectations are sums over grids in the directions in which the modes differ. In all others the
flow is that of a normal law, where `E|dv/dt|^2 = s^4/a^3`. Times are angles, `tan(angle) =
t s/(1-t)`: in these all of this is smooth, however narrow or wide the modes are.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, softmax

from sourcewise.errors import InputError
from sourcewise.theory.checks import Floats, number, numbers, positive, weights, whole

__all__ = ["Mixture"]

_MOST = 1e6  # of coordinates: their squares must be exact enough
_NODES = {1: 401, 2: 101}  # of the rule, per direction, by number of directions
_RULES = max(_NODES)
_PANELS, _ORDER = 32, 8  # at least so many panels of time in all, and nodes in each
_ANGLES = 20001  # at which the largest slope is looked for


class _Rates(NamedTuple):
    """a, b and c at t, and their derivatives where they are needed."""

    a: float
    b: float
    c: float
    b_dot: float
    c_dot: float


@dataclass(frozen=True)
class Mixture:
    """`sum_i w_i N(mu_i, s^2 I)`, and the rectified flow to it (arXiv 2209.03003, 2410.14949).

    >>> two = Mixture([[-2.0], [2.0]])
    >>> round(two.straightness(T=1), 2), round(two.lipschitz(), 4)
    (17.58, 4.0831)

    Args:
        means: (k, d) mu, one row for each mode, in [-1e6, 1e6].
        shares: (k,) w, positive, that sum to 1; equal ones if None.
        scale: s, > 0.
    """

    means: ArrayLike
    shares: ArrayLike | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        if self.mu.ndim != 2 or not self.mu.size:
            raise InputError("means must be a list of one row for each mode")
        weights(self.shares, len(self.mu))

    @cached_property
    def mu(self) -> Floats:
        """(k, d) means as an array."""
        return numbers("means", self.means, -_MOST, _MOST)

    @cached_property
    def w(self) -> Floats:
        """(k,) shares as an array."""
        return weights(self.shares, len(self.mu))

    def velocity(self, x: ArrayLike, t: float) -> Floats:
        """`v(x, t) = c x + b M`, x (..., d) -> (..., d), t in [0, 1]."""
        rates, place = self._rates(t), numbers("x", x, -_MOST, _MOST)
        return rates.c * place + rates.b * (self._modes(place, t) @ self.mu)

    def acceleration(self, x: ArrayLike, t: float) -> Floats:
        """`dv/dt = v_t + (v . grad) v`, x (..., d) -> (..., d), t in [0, 1]."""
        return self._acceleration(numbers("x", x, -_MOST, _MOST), t)

    def bend(self, t: float) -> float:
        """`E|dv/dt|^2` at t in [0, 1]: how bent the paths are there."""
        inside, d = self._inside, self.mu.shape[1]
        differ = 0 if inside is None else inside.mu.shape[1]  # directions in which modes do
        normal = (d - differ) * self.scale**4 / self._rates(t).a ** 3
        return normal + (0.0 if inside is None else inside._bend_inside(t))

    def straightness(self, T: int) -> float:
        """`gamma_{2,T} = max_j T ∫_{I_j} E|dv/dt|^2 dt`, T >= 1: 0 for straight paths.

        By Gauss and Legendre's rule in the angles of each of the T intervals I_j.
        """
        ends = np.arange(whole("T", T, 1) + 1) / T
        bounds = np.arctan2(ends * self.scale, 1 - ends)
        panels = max(1, -(-_PANELS // T))  # of an interval
        nodes, parts = np.polynomial.legendre.leggauss(_ORDER)
        inside = ((np.arange(panels)[:, None] + (nodes + 1) / 2) / panels).ravel()
        width = np.diff(bounds)[:, None]
        angles = bounds[:-1, None] + width * inside
        across = np.sin(angles) + self.scale * np.cos(angles)
        times = np.sin(angles) / across
        values = np.array([self.bend(float(t)) for t in times.ravel()]).reshape(times.shape)
        slopes = self.scale / across**2  # dt of an angle
        means = (values * slopes) @ np.tile(parts / 2, panels) * width[:, 0] / panels
        return float(T * means.max())

    def lipschitz(self) -> float:
        """`max_t max(|c|, |c + t b D^2/(4a)|)`, D the largest distance of two means.

        No variance of means is above `D^2/4` in any direction, so v is Lipschitz by it; two modes
        attain it. In angles both terms are trigonometric polynomials of degree at most 4: between
        the 20001 places at which it is evaluated, none is larger by more than 1e-6 of it.
        """
        gaps = self.mu[:, None] - self.mu
        spread = np.square(gaps).sum(-1).max() / 4
        angles = np.linspace(0, np.pi / 2, _ANGLES)
        sine, cosine = np.sin(angles), np.cos(angles)
        inverse = cosine + sine / self.scale  # of sqrt(a)
        c = (self.scale * sine - cosine) * inverse
        stretch = sine * cosine * inverse**2 / self.scale * spread  # t b/a of the variance
        return float(np.maximum(np.abs(c), np.abs(c + stretch)).max())

    def euler(self, z: ArrayLike, T: int) -> Floats:
        """`z <- z + v(z, j/T)/T`, j = 0..T-1, T >= 1: Euler's, from z (..., d) -> (..., d)."""
        place = numbers("z", z, -_MOST, _MOST)
        for j in range(whole("T", T, 1)):
            place = place + self.velocity(place, j / T) / T
        return place

    def flow(self, z: ArrayLike, steps: int = 1000) -> Floats:
        """`Z_1` from z (..., d) -> (..., d), by Runge and Kutta's rule of order 4, steps >= 1."""
        place, h = numbers("z", z, -_MOST, _MOST), 1 / whole("steps", steps, 1)
        for j in range(steps):
            t, after = j * h, min((j + 1) * h, 1.0)
            first = self.velocity(place, t)
            second = self.velocity(place + h / 2 * first, (t + after) / 2)
            third = self.velocity(place + h / 2 * second, (t + after) / 2)
            last = self.velocity(place + h * third, after)
            place = place + h / 6 * (first + 2 * second + 2 * third + last)
        return place

    def monotone_map(self, z: ArrayLike) -> Floats:
        """`F^-1(Phi(z))`, z (...) in [-8, 8] -> (...): the optimal map of one dimension.

        F is the distribution function of the data. By bisection.
        """
        if self.mu.shape[1] != 1:
            raise InputError(f"the monotone map is of one dimension, got {self.mu.shape[1]}")
        place, means = numbers("z", z, -8, 8), self.mu[:, 0]
        # by the smaller tail, whose digits are all there
        side = np.where(place > 0, -1.0, 1.0)
        wanted, reach = ndtr(-np.abs(place)), 10 * self.scale
        low = np.full(place.shape, means.min() - reach)
        high = np.full(place.shape, means.max() + reach)
        for _ in range(100):
            middle = (low + high) / 2
            tail = ndtr(side[..., None] * (middle[..., None] - means) / self.scale) @ self.w
            below = np.where(side > 0, tail < wanted, tail > wanted)
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def _rates(self, t: float) -> _Rates:
        time, s2 = number("t", t, 0, 1), self.scale**2
        a = (1 - time) ** 2 + time**2 * s2
        b, c = (1 - time) / a, (time * s2 - (1 - time)) / a
        # a' = 2 a c
        return _Rates(a, b, c, -1 / a - 2 * b * c, (1 + s2) / a - 2 * c**2)

    def _modes(self, x: Floats, t: float) -> Floats:
        """(..., k) shares of the modes at x; what all modes share of the exponent is left out."""
        a = self._rates(t).a
        exponents = t * (x @ self.mu.T) / a - (t**2 / (2 * a)) * np.square(self.mu).sum(-1)
        return softmax(np.log(self.w) + exponents, axis=-1)

    def _acceleration(self, x: Floats, t: float) -> Floats:
        rates, r = self._rates(t), self._modes(x, t)
        mean = r @ self.mu
        v = rates.c * x + rates.b * mean
        change = self._log_changes(x, v, rates, t)
        change = r * (change - (r * change).sum(-1, keepdims=True))
        rest = rates.c_dot * x + rates.c * v + rates.b_dot * mean
        return rest + rates.b * (change @ self.mu)

    def _log_changes(self, x: Floats, v: Floats, rates: _Rates, t: float) -> Floats:
        """(..., k) the l_i, `(v - u_i) . g_i`."""
        apart = x[..., None, :] - t * self.mu
        own = self.mu + rates.c * apart
        return -((v[..., None, :] - own) * apart).sum(-1) / rates.a

    @cached_property
    def _inside(self) -> "Mixture | None":
        """The mixture in orthonormal directions in which the modes differ; None without any."""
        _, sizes, rows = np.linalg.svd(self.mu - self.mu[0], full_matrices=False)
        q = int((sizes > 1e-12 * max(1.0, sizes.max())).sum())
        if q > _RULES:
            raise InputError(f"the modes must differ in at most {_RULES} directions, got {q}")
        return Mixture(self.mu @ rows[:q].T, self.w, self.scale) if q else None

    def _bend_inside(self, t: float) -> float:
        """`E|dv/dt|^2` by a sum over a grid around each mode."""
        nodes, chances = _rule(self.mu.shape[1])
        x = t * self.mu[:, None] + np.sqrt(self._rates(t).a) * nodes
        return float(self.w @ (np.square(self._acceleration(x, t)).sum(-1) @ chances))


@cache
def _rule(d: int) -> tuple[Floats, Floats]:
    """Of N(0, I) in d dimensions: nodes (n, d), and their chances (n,).

    Nodes at equal distances: where modes are far apart the field turns in a thin layer, which
    the wide gaps of Gauss and Hermite's nodes miss.
    """
    line = np.linspace(-8, 8, _NODES[d])
    parts = np.exp(-(line**2) / 2)
    nodes = np.stack(np.meshgrid(*[line] * d, indexing="ij"), -1).reshape(-1, d)
    chances = np.stack(np.meshgrid(*[parts / parts.sum()] * d, indexing="ij"), -1).prod(-1)
    return nodes, chances.ravel()
