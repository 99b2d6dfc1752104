"""The scheme of Jordan, Kinderlehrer and Otto (JKO) between normal laws, exactly.

The target is `q = N(0, I/lam)`. Laws have coordinates that are independent: in the axes of their
covariances, which all steps share, a law is (m, s) with means m and standard deviations s, one for
each direction. A step from (m, s) to (m', s') has the residual (see `theory.jko`)

    xi(m' + s' z) = a + b z,    a = lam m' - (m - m')/gamma,    b = lam s' - 1/s' - (s - s')/gamma,

in each direction, so `E|xi|^2 = |a|^2 + |b|^2`. An exact step has a = b = 0, and solving for
(m', s') gives the step of any residual (arXiv 2310.17582, section 2, for exact steps' condition).
All functions broadcast.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory.checks import above, numbers, plain

__all__ = ["kl", "residual", "step", "w2"]

_MOST = 1e150  # whose square is a float


def step(
    m: ArrayLike,
    s: ArrayLike,
    gamma: ArrayLike,
    lam: ArrayLike = 1.0,
    a: ArrayLike = 0.0,
    b: ArrayLike = 0.0,
) -> tuple[Any, Any]:
    """`m' = (m + gamma a)/g`, `s' = (u + sqrt(u^2 + 4 gamma g))/(2 g)`: the step of a residual.

    With `g = 1 + gamma lam` and `u = s + gamma b`; exact where a = b = 0.

    >>> m, s = step(3.0, 0.2, gamma=0.5)
    >>> m, round(s, 6)
    (2.0, 0.647853)

    Args:
        m: means, finite.
        s: standard deviations, >= 0.
        gamma: size of the step, > 0.
        lam: inverse variance of the target, > 0.
        a, b: the residual, finite.
    """
    size, mean = above("gamma", gamma), numbers("m", m, -_MOST, _MOST)
    more = 1 + size * above("lam", lam)
    u = numbers("s", s, 0, _MOST) + size * numbers("b", b, -_MOST, _MOST)
    root = np.sqrt(u**2 + 4 * size * more)
    # the form that does not cancel, for either sign of u
    scale = np.where(u >= 0, (u + root) / (2 * more), 2 * size / (root - np.minimum(u, 0)))
    return plain((mean + size * numbers("a", a, -_MOST, _MOST)) / more), plain(scale)


def residual(
    m: ArrayLike,
    s: ArrayLike,
    after: tuple[ArrayLike, ArrayLike],
    gamma: ArrayLike,
    lam: ArrayLike = 1.0,
) -> tuple[Any, Any]:
    """`a = lam m' - (m - m')/gamma`, `b = lam s' - 1/s' - (s - s')/gamma` of a step.

    Other arguments as for `step`.

    >>> a, b = residual(3.0, 0.2, step(3.0, 0.2, gamma=0.5, a=0.1, b=-0.2), gamma=0.5)
    >>> round(a, 12), round(b, 12)
    (0.1, -0.2)

    Args:
        after: (m', s') means and standard deviations after the step, s' > 0.
    """
    size, curvature = above("gamma", gamma), above("lam", lam)
    mean, scale = numbers("m'", after[0], -_MOST, _MOST), above("s'", after[1])
    a = curvature * mean - (numbers("m", m, -_MOST, _MOST) - mean) / size
    b = curvature * scale - 1 / scale - (numbers("s", s, 0, _MOST) - scale) / size
    return plain(a), plain(b)


def w2(m: ArrayLike, s: ArrayLike, lam: ArrayLike = 1.0) -> float:
    """`W2^2(p, q) = |m|^2 + |s - lam^(-1/2)|^2`; its square root.

    Arguments as for `step`; one direction, or one after the other.

    >>> round(w2([3.0, 0.0], [0.2, 1.0]) ** 2, 12)
    9.64
    """
    apart = numbers("s", s, 0, _MOST) - above("lam", lam) ** -0.5
    return float(np.sqrt(np.sum(apart**2 + np.square(numbers("m", m, -_MOST, _MOST)))))


def kl(m: ArrayLike, s: ArrayLike, lam: ArrayLike = 1.0) -> float:
    """`KL(p||q) = 1/2 sum (lam s^2 + lam m^2 - 1 - log(lam s^2))`.

    Other arguments as for `step`; one direction, or one after the other.

    >>> kl([1.0, 0.0], [1.0, 1.0])
    0.5

    Args:
        s: standard deviations, > 0.
    """
    curvature, mean = above("lam", lam), numbers("m", m, -_MOST, _MOST)
    scale = np.sqrt(curvature) * above("s", s)
    apart = (scale - 1) * (scale + 1)  # x - 1, whose logarithm log x would lose digits near x = 1
    log = np.where(np.abs(apart) < 0.5, np.log1p(np.maximum(apart, -0.5)), 2 * np.log(scale))
    return float(np.sum(apart - log + curvature * mean**2) / 2)
