"""Conditional Gaussians `x | y=k ~ N([phi_k; psi], I_d)`: laws of the maximum-likelihood estimate.

`phi_k in R^d1` is specific to source k and `psi in R^(d-d1)` is shared (arXiv 2502.14583,
section 4.1, called the paper below). Pooled training estimates `phi_k` from the `n_k` examples of
source k and `psi` from all n; separate training estimates both from the `n_k`, which is the
pooled law with `d1 = d`. Everything below is exact or a quadrature, and a special case of
`theory.gaussian.partitions`, which takes any partition and any shares.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma

from sourcewise.errors import InputError
from sourcewise.theory import checks
from sourcewise.theory.checks import Floats, dimensions, whole
from sourcewise.theory.gaussian.integrals import fraction_law, mean_chi
from sourcewise.theory.gaussian.partitions import Kinds, asymptotic_tv, expected_tv
from sourcewise.theory.sharing import parameters

__all__ = [
    "asymptotic_tv_balanced",
    "asymptotic_tv_pooled",
    "asymptotic_tv_separate",
    "expected_kl",
    "expected_tv_balanced",
    "expected_tv_pooled",
    "expected_tv_separate",
    "m_blocks",
    "m_pooled",
    "m_separate",
]


def m_pooled(K: int, d: int, d1: int) -> int:
    """Parameters of pooled training, `(K-1) d1 + d`: one phi_k per source, one psi (Theorem 4.1).

    >>> m_pooled(K=5, d=10, d1=5), m_separate(K=5, d=10)
    (30, 50)

    Args:
        K: sources, K >= 1.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
    """
    whole("K", K, 1)
    dimensions(d, d1)
    return (K - 1) * d1 + d


def m_separate(K: int, d: int) -> int:
    """Parameters of separate training, `K d` (Theorem 4.1); arguments as for `m_pooled`."""
    return whole("K", K, 1) * whole("d", d, 1)


def m_blocks(K: ArrayLike, d: int, d1: ArrayLike, J: ArrayLike = 1) -> Any:
    """Parameters of J blocks, `K d1 + J (d - d1)`: pooled at J = 1, separate at J = K; broadcasts.

    Arguments as for `m_pooled`.

    >>> m_blocks(K=5, d=10, d1=5, J=2)
    35.0

    Args:
        J: blocks, in 1..K.
    """
    own = checks.wholes("d1", d1, 0, whole("d", d, 1))
    return parameters(d - own, own, K, J)


def asymptotic_tv_pooled(p: ArrayLike, n: float, d: int, d1: int) -> float:
    """`(2 pi n)^(-1/2) sum_k p_k E sqrt(s' I^-1 s | k)`, `s' I^-1 s = chi2_d1/p_k + chi2_(d-d1)`.

    The first, sharp expression of the law for regular classes: s the score, I the information.

    >>> round(asymptotic_tv_pooled([0.2] * 5, n=500, d=10, d1=5), 4)
    0.0944

    Args:
        p: (K,) shares p_k.
        n: examples in all, n > 0.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
    """
    return asymptotic_tv(p, n, d, d1)


def asymptotic_tv_separate(p: ArrayLike, n: float, d: int) -> float:
    """The same law for separate training: `s' I^-1 s = chi2_d / p_k`.

    Arguments as for `asymptotic_tv_pooled`.

    >>> round(asymptotic_tv_separate([0.2] * 5, n=500, d=10), 4)
    0.123
    """
    return asymptotic_tv_pooled(p, n, d, d1=whole("d", d, 1))


def asymptotic_tv_balanced(
    K: ArrayLike, n: ArrayLike, d: int, d1: ArrayLike, J: ArrayLike = 1
) -> Floats:
    """The law for K equal sources in J equal blocks, `chi2_d1 K + chi2_(d-d1) J`; broadcasts.

    Arguments as for `m_pooled`.

    >>> float(asymptotic_tv_balanced(K=5, n=500, d=10, d1=5).round(4))
    0.0944

    Args:
        n: examples in all, n > 0.
        J: blocks, in 1..K.
    """
    K, n = checks.wholes("K", K, 1), checks.above("n", n)
    own, J = checks.wholes("d1", d1, 0, whole("d", d, 1)), checks.wholes("J", J, 1, K)
    K, n, own, J = np.broadcast_arrays(K, n, own, J)
    root = np.empty(K.shape)
    for value in np.unique(own):
        at = own == value
        B, weight = fraction_law(int(value), d - int(value))
        root[at] = np.sqrt(np.multiply.outer(K[at], B) + np.multiply.outer(J[at], 1 - B)) @ weight
    return root * mean_chi(d) / np.sqrt(2 * math.pi * n)


def expected_tv_pooled(p: ArrayLike, n: int, d: int, d1: int) -> float:
    """Exact `E R_TV` of pooled training when labels are drawn, `n_k ~ Binomial(n, p_k)`.

    A source that drew no example has no estimate of phi_k: its term is the expectation given
    `n_k >= 1`. With d1 = 0 there is no phi_k, hence no condition. n is whole, >= 1; otherwise
    arguments as for `asymptotic_tv_pooled`.

    >>> round(expected_tv_pooled([0.2] * 5, n=500, d=10, d1=5), 4)
    0.0944
    """
    return expected_tv(p, n, d, d1)


def expected_tv_separate(p: ArrayLike, n: int, d: int) -> float:
    """Exact `E R_TV` of separate training when labels are drawn; given `n_k >= 1` as above.

    Arguments as for `expected_tv_pooled`.

    >>> round(expected_tv_separate([0.2] * 5, n=500, d=10), 4)
    0.1229
    """
    return expected_tv_pooled(p, n, d, d1=whole("d", d, 1))


def expected_tv_balanced(K: int, n: int, d: int, d1: int, J: int = 1) -> float:
    """Exact `E R_TV` of K equal sources in J equal blocks when labels are drawn.

    `r^2 = chi2_d1/n_k + chi2_(d-d1)/n_b`, n_b the examples of the block of source k, given
    `n_k >= 1` unless d1 = 0 and J = 1. Pooled is J = 1, separate J = K.

    Arguments as for `asymptotic_tv_balanced`, one number each.

    >>> [round(expected_tv_balanced(5, 500, d=10, d1=5, J=J), 4) for J in (1, 2, 5)]
    [0.0944, 0.1025, 0.1229]
    """
    whole("J", J, 1, whole("K", K, 1))
    sources = Kinds(np.array([1 / K]), np.array([1 / J]), np.array([float(K)]))
    return expected_tv(sources, n, d, d1)


def expected_kl(counts: ArrayLike, d: int, p: ArrayLike | None = None) -> float:
    """Exact `E KL(truth || estimate)`, unknown source means and one unknown shared covariance.

    `1/2 [n d (1 + sum_k p_k/n_k)/(nu-d-1) - d + d log(2/n) + sum_i psi((nu+1-i)/2)]`, i = 1..d,
    `nu = n - K`, psi the digamma function, maximum likelihood (covariance = scatter / n).
    One source is K = 1. For sources with a covariance each, average the K one-source values.

    >>> round(expected_kl([20], d=5), 4)
    0.9724

    Args:
        counts: (K,) examples per source, each >= 1, with n - K > d + 1 or the mean is infinite.
        d: coordinates, d >= 1.
        p: (K,) shares p_k; equal if None.
    """
    n_k = checks.counts(counts, least=1)
    K, n = len(n_k), float(n_k.sum())
    nu = n - K
    if nu <= whole("d", d, 1) + 1:
        raise InputError(f"counts: n - K must be above d + 1 = {d + 1}, got {nu:g}")
    quadratic = n * d * (1 + float(np.sum(checks.weights(p, K) / n_k))) / (nu - d - 1)
    log_det = d * math.log(2 / n) + float(np.sum(digamma((nu + 1 - np.arange(1, d + 1)) / 2)))
    return 0.5 * (quadratic - d + log_det)
