"""Quadratures behind the exact laws: fractions of chi-squares, binomial counts.

The laws are ours (section 4 of the project's theory, docs/theory/gaussian.md); the nodes are those
of Golub and Welsch, Math. Comp. 23 (1969).
"""

import math
from functools import lru_cache

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import gammaln, xlog1py, xlogy

from sourcewise.theory.checks import Floats

__all__ = ["NODES", "count_law", "few_nodes", "fraction_law", "likely", "mean_chi"]

NODES = 64  # of the quadratures: 1e-7 at K = 1000 and d1 = 1, rounding at ordinary sizes


def fraction_law(d1: int, d2: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the law of `B = chi2_d1 / (chi2_d1 + chi2_d2)`, Beta(d1/2, d2/2).

    >>> B, weight = fraction_law(2, 6)
    >>> round(float(B @ weight), 12), round(float(weight.sum()), 12)
    (0.25, 1.0)

    Args:
        d1, d2: degrees of freedom, whole, >= 0, not both 0.
    """
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


def count_law(n: float, share: float, least: int = 1, parts: int = 8) -> tuple[Floats, Floats]:
    """Values and probabilities of `n_k ~ Binomial(n, p_k)` given `n_k >= least`.

    Only within 12 standard deviations, and on a grid of a part of one: sums of a smooth function
    over such a grid are exact to rounding (Poisson summation), from two parts on.

    >>> n_k, probability = count_law(500, 0.2)
    >>> round(float(n_k @ probability), 9)
    100.0

    Args:
        n: draws, whole, >= 0.
        share: p_k, in (0, 1].
        least: smallest count, in 0..n.
        parts: grid points per standard deviation, >= 2; whole counts if that is below 1 count.
    """
    mean, sd = n * share, math.sqrt(n * share * (1 - share))
    # The 20 are for shares near 0 and 1: tails longer than their standard deviation says.
    low = max(least, math.floor(mean - 12 * sd) - 20)
    high = min(n, math.ceil(mean + 12 * sd) + 20)
    n_k = np.arange(low, high + 1, max(1, int(sd / parts)), dtype=np.float64)
    choices = gammaln(n + 1) - gammaln(n_k + 1) - gammaln(n - n_k + 1)
    log_pmf = choices + xlogy(n_k, share) + xlog1py(n - n_k, -share)
    pmf = np.exp(log_pmf - log_pmf.max())
    return n_k, pmf / pmf.sum()


def likely(values: Floats, probability: Floats) -> tuple[Floats, Floats]:
    """A law without its values of probability below `1e-17` of the largest.

    >>> likely(np.array([1.0, 2.0]), np.array([1.0, 1e-20]))[0].tolist()
    [1.0]

    Args:
        values: (points,) of any kind.
        probability: (points,) of each, >= 0, summing to 1.
    """
    seen = probability > 1e-17 * probability.max()
    return values[seen], probability[seen] / probability[seen].sum()


def few_nodes(values: Floats, probability: Floats, most: int = 16) -> tuple[Floats, Floats]:
    """A law on at most `most` points with the same means of polynomials, degree `2 most - 1`.

    Gauss quadrature of a discrete law: Lanczos gives the recurrence of its orthogonal polynomials
    (twice orthogonalised, as rounding would spoil it), Golub and Welsch its nodes and weights.

    >>> value, weight = few_nodes(np.arange(5.0), np.full(5, 0.2), most=2)
    >>> round(float(weight @ value**3), 9), (0 + 1 + 8 + 27 + 64) / 5
    (20.0, 20.0)

    Args:
        values: (points,) increasing.
        probability: (points,) of each, >= 0, summing to 1.
        most: points left, >= 1.
    """
    values, probability = likely(values, probability)  # what is left out would be rounding
    if len(values) <= most:
        return values, probability
    middle, reach = (values[-1] + values[0]) / 2, (values[-1] - values[0]) / 2
    x, basis = (values - middle) / reach, np.zeros((most, len(values)))
    basis[0] = np.sqrt(probability)
    diagonal, beside = np.zeros(most), np.zeros(most - 1)
    for j in range(most):
        step = x * basis[j]
        diagonal[j] = step @ basis[j]
        if j + 1 < most:
            for _ in range(2):
                step = step - basis[: j + 1].T @ (basis[: j + 1] @ step)
            beside[j] = math.sqrt(step @ step)
            basis[j + 1] = step / beside[j]
    node, vectors = eigh_tridiagonal(diagonal, beside)
    return middle + reach * node, vectors[0] ** 2


def mean_chi(d: int) -> float:
    """`E chi_d = sqrt(2) Gamma((d+1)/2) / Gamma(d/2)`.

    >>> round(mean_chi(1) ** 2 * np.pi / 2, 12)
    1.0

    Args:
        d: degrees of freedom, >= 1.
    """
    return math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
