"""Rectified flow between normal laws of commuting covariances: optimal after one rectification.

In the axes that both covariances share, noise is N(m0, s0^2) and data are N(m1, s1^2) in each
direction. `X_t = (1-t) X_0 + t X_1` of independent ends has mean `m_t = (1-t) m0 + t m1` and
variance `a_t = (1-t)^2 s0^2 + t^2 s1^2`, and the field is
`v(x, t) = m1 - m0 + (a_t'/(2 a_t)) (x - m_t)` (arXiv 2209.03003). Its paths are

    Z_t = m_t + sqrt(a_t) (Z_0 - m0)/s0.

At t = 1 that is the optimal map, `m1 + (s1/s0)(z - m0)`. The paths on the way are bent, until the
flow is rectified once more: between the ends of the optimal map all paths are straight. Derived
here, and widely known. All functions broadcast over directions.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory.checks import Floats, above, numbers, plain

__all__ = ["bend", "field", "path"]

_MOST = 1e150  # whose square is a float


def field(
    x: ArrayLike, t: ArrayLike, m0: ArrayLike, s0: ArrayLike, m1: ArrayLike, s1: ArrayLike
) -> Any:
    """`v(x, t) = m1 - m0 + ((t s1^2 - (1-t) s0^2)/a_t) (x - m_t)`, as in arXiv 2209.03003.

    >>> field(2.0, 0.5, m0=0.0, s0=1.0, m1=3.0, s1=1.0), field(2.0, 1.0, 0.0, 1.0, 3.0, 0.5)
    (3.0, 2.0)

    Args:
        x: place, finite.
        t: time, in [0, 1]; 0 is noise and 1 is data.
        m0, m1: means of noise and data, finite.
        s0, s1: standard deviations of noise and data, > 0.
    """
    time, noise, data, variance = _spread(t, s0, s1)
    m = [numbers(name, mean, -_MOST, _MOST) for name, mean in (("m0", m0), ("m1", m1))]
    slope = (time * data**2 - (1 - time) * noise**2) / variance
    middle = (1 - time) * m[0] + time * m[1]
    return plain(m[1] - m[0] + slope * (numbers("x", x, -_MOST, _MOST) - middle))


def path(
    z: ArrayLike, t: ArrayLike, m0: ArrayLike, s0: ArrayLike, m1: ArrayLike, s1: ArrayLike
) -> Any:
    """`Z_t = m_t + sqrt(a_t) (z - m0)/s0`: the flow from z; the optimal map at t = 1.

    Derived here (see arXiv 2209.03003). Other arguments as for `field`.

    >>> path(1.0, 1.0, m0=0.0, s0=1.0, m1=3.0, s1=0.5)
    3.5

    Args:
        z: where the path starts, finite.
    """
    time, noise, _, variance = _spread(t, s0, s1)
    start = numbers("m0", m0, -_MOST, _MOST)
    middle = (1 - time) * start + time * numbers("m1", m1, -_MOST, _MOST)
    return plain(middle + np.sqrt(variance) * (numbers("z", z, -_MOST, _MOST) - start) / noise)


def bend(t: ArrayLike, s0: ArrayLike, s1: ArrayLike) -> Any:
    """`E|dv/dt|^2 = s0^4 s1^4 / a_t^3`: how bent the paths of a direction are at t.

    The second derivative of `sqrt(a_t)`, squared; directions add. Derived here (see arXiv
    2410.14949 for what it is needed for). Arguments as for `field`.

    >>> bend(0.5, s0=1.0, s1=1.0)
    8.0
    """
    _, noise, data, variance = _spread(t, s0, s1)
    return plain((noise * data) ** 4 / variance**3)


def _spread(t: ArrayLike, s0: ArrayLike, s1: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    """t, s0, s1 and a_t."""
    time, noise, data = numbers("t", t, 0, 1), above("s0", s0), above("s1", s1)
    return time, noise, data, ((1 - time) * noise) ** 2 + (time * data) ** 2
