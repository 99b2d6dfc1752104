"""Quadratures behind the exact laws: fractions of chi-squares, binomial counts."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.special import gammaln, xlog1py, xlogy

__all__ = ["NODES", "count_law", "fraction_law", "mean_chi"]

NODES = 64  # of the quadratures: 1e-7 at K = 1000 and d1 = 1, rounding at ordinary sizes

Floats = NDArray[np.float64]


def fraction_law(d1: int, d2: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the law of `B = chi2_d1 / (chi2_d1 + chi2_d2)`, Beta(d1/2, d2/2)."""
    if d1 == 0 or d2 == 0:
        return np.array([float(d2 == 0)]), np.ones(1)
    u, weight = _gauss_jacobi(NODES, d2 / 2 - 1, d1 / 2 - 1)
    return (1 + u) / 2, weight


@lru_cache(maxsize=64)
def _gauss_jacobi(nodes: int, a: float, b: float) -> tuple[Floats, Floats]:
    """Quadrature for the density on (-1, 1) proportional to `(1-u)^a (1+u)^b`; weights sum to 1.

    Golub and Welsch (1969): eigenvalues of the recurrence matrix of the Jacobi polynomials, and
    squares of the first entries of its eigenvectors. SciPy's own overflows for a above 1000.
    """
    j = np.arange(1, nodes, dtype=np.float64)
    s = 2 * j + a + b
    diagonal = np.append((b - a) / (a + b + 2), (b - a) * (b + a) / (s * (s + 2)))
    # (j+a+b)/(s-1) is 1 at j = 1, also where it reads 0/0: a + b = -1
    ratio = np.append(1.0, (j + a + b)[1:] / (s - 1)[1:])
    beside = np.sqrt(4 * j * (j + a) * (j + b) * ratio / (s**2 * (s + 1)))
    u, vectors = eigh_tridiagonal(diagonal, beside)
    return u, vectors[0] ** 2


def count_law(n: int, share: float, least: int = 1, parts: int = 8) -> tuple[Floats, Floats]:
    """Values and probabilities of `n_k ~ Binomial(n, p_k)` given `n_k >= least`.

    Only within 12 standard deviations, and on a grid of a part of one: sums of a smooth function
    over such a grid are exact to rounding (Poisson summation), from two parts on.
    """
    mean, sd = n * share, math.sqrt(n * share * (1 - share))
    low, high = max(least, math.floor(mean - 12 * sd)), min(n, math.ceil(mean + 12 * sd) + 20)
    n_k = np.arange(low, high + 1, max(1, int(sd / parts)), dtype=np.float64)
    choices = gammaln(n + 1) - gammaln(n_k + 1) - gammaln(n - n_k + 1)
    log_pmf = choices + xlogy(n_k, share) + xlog1py(n - n_k, -share)
    pmf = np.exp(log_pmf - log_pmf.max())
    return n_k, pmf / pmf.sum()


def mean_chi(d: int) -> float:
    """`E chi_d = sqrt(2) Gamma((d+1)/2) / Gamma(d/2)`."""
    return math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
