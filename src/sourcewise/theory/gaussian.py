"""Conditional Gaussians `x | y=k ~ N([phi_k; psi], I_d)`: laws of the maximum-likelihood estimate.

`phi_k in R^d1` is specific to source k and `psi in R^(d-d1)` is shared (arXiv 2502.14583,
section 4.1, called the paper below). Pooled training estimates `phi_k` from the `n_k` examples of
source k and `psi` from all n; separate training estimates both from the `n_k`, which is the
pooled law with `d1 = d`. Given the counts, the squared error of the mean of source k is
`chi2_d1 / n_k + chi2_(d-d1) / n`, so everything below is exact or a one-dimensional quadrature.

| symbol | meaning |
|---|---|
| K | number of sources |
| J | number of blocks of the partition; pooled is 1 |
| n, n_k | examples in all and of source k |
| d, d1 | coordinates of x and, of these, the source-specific ones |
| p_k | share of source k, positive, summing to 1 |
| m, p | parameters |
| beta | share of the shared parameters in a model of one source: `(d-d1)/d` here |

Plain functions of numbers: NumPy and SciPy only.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, digamma

from sourcewise.errors import InputError
from sourcewise.theory import checks
from sourcewise.theory.checks import dimensions, positive, whole
from sourcewise.theory.quadrature import count_law, fraction_law, mean_chi
from sourcewise.theory.sharing import parameters

__all__ = [
    "asymptotic_tv_balanced",
    "asymptotic_tv_pooled",
    "asymptotic_tv_separate",
    "expected_kl",
    "expected_tv_balanced",
    "expected_tv_given_counts",
    "expected_tv_pooled",
    "expected_tv_separate",
    "m_blocks",
    "m_pooled",
    "m_separate",
]

Floats = NDArray[np.float64]


def m_pooled(K: int, d: int, d1: int) -> int:
    """Parameters of pooled training, `(K-1) d1 + d`: one phi_k per source, one psi (Theorem 4.1).

    >>> m_pooled(K=5, d=10, d1=5), m_separate(K=5, d=10)
    (30, 50)
    """
    whole("K", K, 1)
    dimensions(d, d1)
    return (K - 1) * d1 + d


def m_separate(K: int, d: int) -> int:
    """Parameters of separate training, `K d` (Theorem 4.1)."""
    return whole("K", K, 1) * whole("d", d, 1)


def m_blocks(K: ArrayLike, d: int, d1: ArrayLike, J: ArrayLike = 1) -> Any:
    """Parameters of J blocks, `K d1 + J (d - d1)`: pooled at J = 1, separate at J = K; broadcasts.

    >>> m_blocks(K=5, d=10, d1=5, J=2)
    35.0
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
    shares = checks.shares(p)
    dimensions(d, d1)
    B, weight = fraction_law(d1, d - d1)
    # sqrt(chi2_d1/p_k + chi2_(d-d1)) = chi_d sqrt(B/p_k + 1 - B), chi_d independent of B
    root = np.sqrt(B / shares[:, None] + 1 - B) @ weight  # (K,)
    return float(shares @ root) * mean_chi(d) / math.sqrt(2 * math.pi * positive("n", n))


def asymptotic_tv_separate(p: ArrayLike, n: float, d: int) -> float:
    """The same law for separate training: `s' I^-1 s = chi2_d / p_k`."""
    return asymptotic_tv_pooled(p, n, d, d1=whole("d", d, 1))


def asymptotic_tv_balanced(
    K: ArrayLike, n: ArrayLike, d: int, d1: ArrayLike, J: ArrayLike = 1
) -> Floats:
    """The law for K equal sources in J equal blocks, `chi2_d1 K + chi2_(d-d1) J`; broadcasts.

    >>> float(asymptotic_tv_balanced(K=5, n=500, d=10, d1=5).round(4))
    0.0944

    Args:
        K: sources, K >= 1.
        n: examples in all, n > 0.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
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


def expected_tv_given_counts(
    counts: ArrayLike, d: int, d1: int, p: ArrayLike | None = None
) -> float:
    """Exact `E R_TV` of the estimate for given counts, `sum_k p_k E TV_k`.

    `TV_k = 2 Phi(r/2) - 1` with `r^2 = chi2_d1/n_k + chi2_(d-d1)/n`.

    >>> round(expected_tv_given_counts([100] * 5, d=10, d1=5), 4)
    0.0941

    Args:
        counts: (K,) examples per source, each >= 1 (>= 0 if d1 = 0).
        d: coordinates, d >= 1.
        d1: coordinates estimated per source, in 0..d; d for separate training.
        p: (K,) shares p_k; equal if None.
    """
    dimensions(d, d1)
    n_k = checks.counts(counts, least=0 if d1 == 0 else 1)
    return float(checks.weights(p, len(n_k)) @ _tv_given_count(n_k, n_k.sum(), d, d1))


def expected_tv_pooled(p: ArrayLike, n: int, d: int, d1: int) -> float:
    """Exact `E R_TV` of pooled training when labels are drawn, `n_k ~ Binomial(n, p_k)`.

    A source that drew no example has no estimate of phi_k: its term is the expectation given
    `n_k >= 1`. With d1 = 0 there is no phi_k, hence no condition.

    >>> round(expected_tv_pooled([0.2] * 5, n=500, d=10, d1=5), 4)
    0.0944

    Args:
        p: (K,) shares p_k.
        n: examples in all, n >= 1.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
    """
    shares, repeats = np.unique(checks.shares(p), return_counts=True)
    whole("n", n, 1)
    dimensions(d, d1)
    pairs = zip(shares.tolist(), repeats.tolist(), strict=True)
    return sum(repeat * share * _tv_of_share(share, n, d, d1) for share, repeat in pairs)


def expected_tv_separate(p: ArrayLike, n: int, d: int) -> float:
    """Exact `E R_TV` of separate training when labels are drawn; given `n_k >= 1` as above.

    >>> round(expected_tv_separate([0.2] * 5, n=500, d=10), 4)
    0.1229
    """
    return expected_tv_pooled(p, n, d, d1=whole("d", d, 1))


def expected_tv_balanced(K: int, n: int, d: int, d1: int, J: int = 1) -> float:
    """Exact `E R_TV` of K equal sources in J equal blocks when labels are drawn.

    `r^2 = chi2_d1/n_k + chi2_(d-d1)/n_b`, n_b the examples of the block of source k, given
    `n_k >= 1` unless d1 = 0 and J = 1. Pooled is J = 1, separate J = K.

    >>> [round(expected_tv_balanced(5, 500, d=10, d1=5, J=J), 4) for J in (1, 2, 5)]
    [0.0944, 0.1025, 0.1229]
    """
    whole("J", J, 1, whole("K", K, 1))
    whole("n", n, 1)
    dimensions(d, d1)
    if J in (1, K):
        return _tv_of_share(1 / K, n, d, d if J == K and K > 1 else d1)
    if d1 == 0:  # the blocks are the sources
        return _tv_of_share(1 / J, n, d, d)
    others = (1 / J - 1 / K) / (1 - 1 / K)  # share of the block in what is not source k
    total = 0.0
    for n_k, probability in zip(*count_law(n, 1 / K, parts=4), strict=True):
        rest, weight = count_law(n - int(n_k), others, least=0, parts=2)
        values = _tv_given_count(np.full(len(rest), n_k), (n_k + rest)[:, None], d, d1)
        total += probability * float(weight @ values)
    return float(total)


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


def _tv_of_share(share: float, n: int, d: int, d1: int) -> float:
    """`E TV_k` of pooled training for a source of share p_k, when labels are drawn."""
    n_k, probability = count_law(n, share)
    return float(probability @ _tv_given_count(n_k, n, d, d1))


def _tv_given_count(n_k: Floats, n: float | Floats, d: int, d1: int) -> Floats:
    """`E[2 Phi(r/2) - 1]`, `r^2 = chi2_d1/n_k + chi2_(d-d1)/n`, for each n_k.

    n is one number, or a column with one for each n_k.
    `2 Phi(r/2) - 1 = P(Z^2 < r^2/4)`, Z normal; and `r^2 = chi2_d c(B)`, `c = B/n_k + (1-B)/n`,
    `B ~ Beta(d1/2, (d-d1)/2)` independent of chi2_d. As `Z^2/(Z^2 + chi2_d) ~ Beta(1/2, d/2)`,
    the value given B is the incomplete beta function at `c/(c+4)`.
    """
    B, weight = fraction_law(d1, d - d1)
    c = B / np.maximum(n_k, 1)[:, None] + (1 - B) / n  # (counts, nodes); n_k = 0 only if B = 0
    return betainc(0.5, d / 2, c / (c + 4)) @ weight
