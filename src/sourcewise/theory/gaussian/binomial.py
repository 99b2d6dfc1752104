"""Upper bounds on `E f(X)`, X ~ Binomial(N, p) and f > 0 decreasing, in logarithms.

Ours, for theory, section 2; the inequality below is from the literature.
Between whole edges `0 = e_0 <= ... <= e_m` f is at most its value at the left one, so

    E f(X) <= f(e_m) + sum_(i >= 1) (f(e_(i-1)) - f(e_i)) P(X < e_i).

No factor is negative: the sum stays an upper bound with any upper bound on `P(X < e)`. Ours is
`(1-p)^N` at e = 1 and `1 - p^N` at e = N, both exact, and between them, with
`H(x) = x log(x/p) + (1-x) log((1-x)/(1-p))`,

    P(X < e) <= Phi(sign(e/N - p) sqrt(2 N H(e/N)))

(Zubkov and Serov, 2013, "A complete proof of universal inequalities for the distribution function
of the binomial law", Theory of Probability and its Applications 57). It neither overflows nor
vanishes, however large N or far the tail. The tests compare it with exact sums.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, xlog1py

from sourcewise.theory.checks import Floats

__all__ = ["edges", "log_below", "log_mean"]

_BELOW = np.linspace(1, 0, 40)  # 40 edges down to 0, ever farther apart, and some above the mean
_ABOVE = np.linspace(0, 2, 16)  # of sqrt(X), whose standard deviation is at most about 1/2
_ALMOST_ONE = 1 - 2.0**-53


def edges(N: ArrayLike, p: ArrayLike) -> Floats:
    """Edges fit for X ~ Binomial(N, p): close together near its mean `N p`, (*shape, 56).

    >>> edges(3, 0.5)[[0, 39, -1]].tolist()
    [0.0, 1.0, 3.0]

    Args:
        N: trials, whole, >= 0.
        p: probability of success, in [0, 1]; broadcast with N to the shape.
    """
    N, p = np.asarray(N, dtype=np.float64), np.asarray(p, dtype=np.float64)
    root = np.sqrt(np.maximum(N * p, 1e-12))[..., None]
    least = np.minimum(0.05, root / 2)
    places = np.concatenate([root - least * (root / least) ** _BELOW, root + _ABOVE], axis=-1)
    places[..., 0] = 0
    return np.minimum(np.floor(np.maximum(places, 0) ** 2), N[..., None])


def log_below(e: ArrayLike, N: ArrayLike, p: ArrayLike) -> Floats:
    """An upper bound on `log P(X < e)`, X ~ Binomial(N, p).

    >>> exact = np.log([0.125, 0.5, 0.875])  # of 3 coins fewer than 1, 2, 3 heads
    >>> bool(np.all(log_below([1, 2, 3], 3, 0.5) >= exact - 1e-12))
    True

    Args:
        e: whole, in 1..N; at 0 it is an upper bound too, of no use.
        N: trials, whole, >= 0.
        p: probability of success, in [0, 1]; all broadcast.
    """
    e, N = np.asarray(e, dtype=np.float64), np.maximum(np.asarray(N, dtype=np.float64), 1)
    p = np.clip(p, 1e-100, _ALMOST_ONE)  # fewer successes: an upper bound still
    mean = N * p
    both = _deviance(e, mean) + _deviance(N - e, N * (1 - p))  # N H
    normal = log_ndtr(np.sign(e - mean) * np.sqrt(2 * np.maximum(both, 0)))
    last = np.log(-np.expm1(N * np.log(p)))
    return np.where(e >= N, last, np.where(e <= 1, N * np.log1p(-p), normal))


def log_mean(log_f: Floats, log_cdf: Floats) -> Floats:
    """An upper bound on `log E f(X)` from upper bounds on `log f` and `log P(X < e)` at edges.

    >>> e = edges(10, 0.5)
    >>> found = log_mean(-np.log(1 + e), log_below(e, 10, 0.5))
    >>> round(float(np.exp(found)), 3), round((1 - 0.5**11) * 2 / 11, 3)  # E 1/(1+X), exact
    (0.201, 0.182)

    Args:
        log_f: (..., edges) finite. f must decrease, its upper bounds need not.
        log_cdf: (..., edges) `log_below` at the same edges, the first of which is 0.
    """
    log_f = np.minimum.accumulate(log_f, axis=-1)
    with np.errstate(divide="ignore"):  # no drop, no contribution
        drop = log_f[..., :-1] + np.log(-np.expm1(np.diff(log_f, axis=-1)))
    terms = np.concatenate([drop + log_cdf[..., 1:], log_f[..., -1:]], axis=-1)
    most = terms.max(axis=-1, keepdims=True)
    return (most + np.log(np.exp(terms - most).sum(axis=-1, keepdims=True)))[..., 0]


def _deviance(x: Floats, mean: Floats) -> Floats:
    """`x log(x/mean) - x + mean`, without cancellation where x is near the mean."""
    off = (x - mean) / mean
    return mean * (xlog1py(1 + off, off) - off)
