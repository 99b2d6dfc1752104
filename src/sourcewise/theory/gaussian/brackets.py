"""Upper brackets of conditional Gaussians `N([phi_k; psi], I_d)`, means in [-B, B].

Round a mean to cells of half-width eta; one function must then lie above every normal density
whose mean is in the cell. Two are offered (theory, section 4):

- *Gaussian bracket*, as in the paper (Theorems B.1, B.2): a wider, raised normal density,
  `p'(x) = (2 pi)^(-d/2) exp(-(c/2) |x - centre|^2 + d (1-c)/2)`. The best precision is
  `sqrt(c) = sqrt(1 + h^2) - h`, `h = eta/2`, and `log ∫p' = d g(h)`,
  `g(h) = asinh h + h (sqrt(1 + h^2) - h)`.
- *envelope bracket*, the smallest of all: the supremum over the cell,
  `p'(x) = prod_j phi((|x_j - centre_j| - eta)^+)`, `∫p' = (1 + eta sqrt(2/pi))^d`.

`log N(eps) <= m log ceil(B/eta(eps))` with m the free means: `K d1 + J (d - d1)` for J blocks.
"""

import math
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.checks import Floats, above, numbers, whole

__all__ = [
    "envelope_bracketing",
    "envelope_epsilon",
    "envelope_eta",
    "gaussian_bracketing",
    "gaussian_epsilon",
    "gaussian_eta",
    "log_mass",
]

_SLOPE = math.sqrt(2 / math.pi)  # of the envelope's mass in eta, one coordinate


def gaussian_epsilon(eta: ArrayLike, d: int) -> Floats:
    """Gap of the Gaussian bracket, `exp(d g(eta/2)) - 1` (Theorems B.1, B.2).

    Args:
        eta: half-width of the cell, >= 0.
        d: coordinates, d >= 1.
    """
    h = np.asarray(eta, dtype=np.float64) / 2
    with np.errstate(over="ignore"):  # an infinite gap is a useless bracket, not an error
        return np.expm1(d * log_mass(h))


def gaussian_eta(eps: ArrayLike, d: int) -> Floats:
    """Half-width at which the Gaussian bracket's gap is eps > 0: `g(eta/2) = log(1+eps)/d`.

    Newton's method: g is concave with `g'(h) = 2 (sqrt(1+h^2) - h)`, and from the left of the
    root each step stays left of it, so that rounding never makes the gap too wide.

    >>> round(float(gaussian_eta(gaussian_epsilon(0.3, d=5), d=5)), 12)
    0.3

    Args:
        eps: gap, > 0.
        d: coordinates, d >= 1.
    """
    target = np.log1p(above("eps", eps)) / whole("d", d, 1)
    h = np.maximum(target / 2, np.sinh(target - 0.5))  # both left of the root
    for _ in range(30):
        step = (target - log_mass(h)) * (np.sqrt(1 + h * h) + h) / 2
        if np.all(step <= 4e-16 * h):
            break
        h = h + np.maximum(step, 0)
    return 2 * h


def log_mass(h: Floats) -> Floats:
    """`g(h) = asinh h + h (sqrt(1 + h^2) - h)`: log mass of one coordinate of a Gaussian bracket.

    >>> round(5 * float(log_mass(0.15)), 6) == round(float(np.log1p(gaussian_epsilon(0.3, 5))), 6)
    True

    Args:
        h: half the cell's half-width, `eta/2`, >= 0.
    """
    return np.arcsinh(h) + h / (np.sqrt(1 + h * h) + h)


def envelope_epsilon(eta: ArrayLike, d: int) -> Floats:
    """Gap of the envelope, `(1 + eta sqrt(2/pi))^d - 1`; arguments as for `gaussian_epsilon`."""
    with np.errstate(over="ignore"):
        return np.expm1(d * np.log1p(_SLOPE * np.asarray(eta, dtype=np.float64)))


def envelope_eta(eps: ArrayLike, d: int) -> Floats:
    """`sqrt(pi/2) ((1+eps)^(1/d) - 1)`, the half-width at which the envelope's gap is eps.

    1.25 times that of the Gaussian bracket at small eps, and never below it; arguments as for
    `gaussian_eta`.

    >>> round(float(envelope_eta(envelope_epsilon(0.3, d=5), d=5)), 12)
    0.3
    """
    return np.expm1(np.log1p(above("eps", eps)) / whole("d", d, 1)) / _SLOPE


def gaussian_bracketing(m: ArrayLike, d: int, B: ArrayLike) -> Bracketing:
    """The class by Gaussian brackets, `log N = m log ceil(B/eta(eps))` (Theorems B.1, B.2).

    >>> float(gaussian_bracketing(30, d=10, B=5.0).log_number(0.002).round(2))
    303.83

    Args:
        m: free means, m >= 0.
        d: coordinates, d >= 1.
        B: bound on the means, B > 0.
    """
    moves = partial(gaussian_eta, d=d), partial(gaussian_epsilon, d=d)
    return Bracketing(numbers("m", m, 0), above("B", B), *moves, "Gaussian bracket")


def envelope_bracketing(m: ArrayLike, d: int, B: ArrayLike) -> Bracketing:
    """The class by envelope brackets, the smallest ones, `log N = m log ceil(B/eta(eps))`.

    Arguments as for `gaussian_bracketing`.

    >>> float(envelope_bracketing(30, d=10, B=5.0).log_number(0.002).round(2))
    297.05
    """
    moves = partial(envelope_eta, d=d), partial(envelope_epsilon, d=d)
    return Bracketing(numbers("m", m, 0), above("B", B), *moves, "envelope bracket")
