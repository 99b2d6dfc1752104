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
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.special import betainc, digamma, gammaln, xlog1py, xlogy

from sourcewise.errors import InputError

__all__ = [
    "asymptotic_bound",
    "asymptotic_kl",
    "asymptotic_tv_pooled",
    "asymptotic_tv_separate",
    "empirical_beta",
    "expected_kl",
    "expected_tv_given_counts",
    "expected_tv_pooled",
    "expected_tv_separate",
    "m_pooled",
    "m_separate",
    "predicted_ratio",
    "rate",
]

_NODES = 64  # of the quadratures: 1e-7 at K = 1000 and d1 = 1, rounding at ordinary sizes

Floats = NDArray[np.float64]


def m_pooled(K: int, d: int, d1: int) -> int:
    """Parameters of pooled training, `(K-1) d1 + d`: one phi_k per source, one psi (Theorem 4.1).

    >>> m_pooled(K=5, d=10, d1=5), m_separate(K=5, d=10)
    (30, 50)
    """
    _whole("K", K, 1)
    _dimensions(d, d1)
    return (K - 1) * d1 + d


def m_separate(K: int, d: int) -> int:
    """Parameters of separate training, `K d` (Theorem 4.1)."""
    return _whole("K", K, 1) * _whole("d", d, 1)


def rate(m: int, n: float) -> float:
    """The paper's rate `sqrt(m/n)`, without its constant and logarithms (Theorem 4.1).

    Args:
        m: parameters, m >= 0.
        n: examples, n > 0.
    """
    return math.sqrt(_number("m", m, 0) / _positive("n", n))


def predicted_ratio(beta: float, K: int, J: int = 1) -> float:
    """Error with J blocks over separate error, `sqrt(1 - beta (K-J)/K)` (section 3.3).

    Never above 1: the paper's bound cannot express harm by pooling.

    >>> round(predicted_ratio(beta=0.5, K=5), 4)
    0.7746

    Args:
        beta: similarity, in [0, 1].
        K: sources, K >= 1.
        J: blocks, in 1..K.
    """
    _number("beta", beta, 0, 1)
    _whole("J", J, 1, _whole("K", K, 1))
    return math.sqrt(1 - beta * (K - J) / K)


def empirical_beta(ratio: float, K: int, J: int = 1) -> float:
    """`beta = (1 - ratio^2) K/(K-J)`: `predicted_ratio` solved for beta, on measured errors.

    Not clipped: below 0 means that pooling did harm, and noise goes both ways.

    >>> empirical_beta(1.5, K=5)
    -1.5625

    Args:
        ratio: error with J blocks over separate error, >= 0.
        K: sources, K >= 2.
        J: blocks, in 1..K-1.
    """
    _number("ratio", ratio, 0)
    _whole("J", J, 1, _whole("K", K, 2) - 1)
    return (1 - ratio**2) * K / (K - J)


def asymptotic_bound(p: int, n: float) -> float:
    """`sqrt(p / (2 pi n))`: limit of average TV for p parameters, from above (theory, section 3).

    Holds for any regular parametric class; Gaussians reach .97 of it at d = 10, .80 at d = 1.

    Args:
        p: all free parameters, p >= 0.
        n: examples, n > 0.
    """
    return math.sqrt(_number("p", p, 0) / (2 * math.pi * _positive("n", n)))


def asymptotic_kl(p: int, n: float) -> float:
    """`p / (2n)`: limit of the average Kullback-Leibler divergence for p parameters, n > 0."""
    return _number("p", p, 0) / (2 * _positive("n", n))


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
    shares = _shares(p)
    _dimensions(d, d1)
    B, weight = _fraction(d1, d - d1)
    # sqrt(chi2_d1/p_k + chi2_(d-d1)) = chi_d sqrt(B/p_k + 1 - B), chi_d independent of B
    root = np.sqrt(B / shares[:, None] + 1 - B) @ weight  # (K,)
    return float(shares @ root) * _mean_chi(d) / math.sqrt(2 * math.pi * _positive("n", n))


def asymptotic_tv_separate(p: ArrayLike, n: float, d: int) -> float:
    """The same law for separate training: `s' I^-1 s = chi2_d / p_k`."""
    return asymptotic_tv_pooled(p, n, d, d1=_whole("d", d, 1))


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
    _dimensions(d, d1)
    n_k = _counts(counts, least=0 if d1 == 0 else 1)
    return float(_weights(p, len(n_k)) @ _tv_given_count(n_k, n_k.sum(), d, d1))


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
    shares, repeats = np.unique(_shares(p), return_counts=True)
    _whole("n", n, 1)
    _dimensions(d, d1)
    total = 0.0
    for share, repeat in zip(shares, repeats, strict=True):
        n_k, probability = _count_law(n, share)
        total += repeat * share * float(probability @ _tv_given_count(n_k, n, d, d1))
    return float(total)


def expected_tv_separate(p: ArrayLike, n: int, d: int) -> float:
    """Exact `E R_TV` of separate training when labels are drawn; given `n_k >= 1` as above.

    >>> round(expected_tv_separate([0.2] * 5, n=500, d=10), 4)
    0.1229
    """
    return expected_tv_pooled(p, n, d, d1=_whole("d", d, 1))


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
    n_k = _counts(counts, least=1)
    K, n = len(n_k), float(n_k.sum())
    nu = n - K
    if nu <= _whole("d", d, 1) + 1:
        raise InputError(f"counts: n - K must be above d + 1 = {d + 1}, got {nu:g}")
    quadratic = n * d * (1 + float(np.sum(_weights(p, K) / n_k))) / (nu - d - 1)
    log_det = d * math.log(2 / n) + float(np.sum(digamma((nu + 1 - np.arange(1, d + 1)) / 2)))
    return 0.5 * (quadratic - d + log_det)


def _tv_given_count(n_k: Floats, n: float, d: int, d1: int) -> Floats:
    """`E[2 Phi(r/2) - 1]`, `r^2 = chi2_d1/n_k + chi2_(d-d1)/n`, for each n_k.

    `2 Phi(r/2) - 1 = P(Z^2 < r^2/4)`, Z normal; and `r^2 = chi2_d c(B)`, `c = B/n_k + (1-B)/n`,
    `B ~ Beta(d1/2, (d-d1)/2)` independent of chi2_d. As `Z^2/(Z^2 + chi2_d) ~ Beta(1/2, d/2)`,
    the value given B is the incomplete beta function at `c/(c+4)`.
    """
    B, weight = _fraction(d1, d - d1)
    c = B / np.maximum(n_k, 1)[:, None] + (1 - B) / n  # (counts, nodes); n_k = 0 only if B = 0
    return betainc(0.5, d / 2, c / (c + 4)) @ weight


def _fraction(d1: int, d2: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the law of `B = chi2_d1 / (chi2_d1 + chi2_d2)`, Beta(d1/2, d2/2)."""
    if d1 == 0 or d2 == 0:
        return np.array([float(d2 == 0)]), np.ones(1)
    u, weight = _gauss_jacobi(_NODES, d2 / 2 - 1, d1 / 2 - 1)
    return (1 + u) / 2, weight


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


def _count_law(n: int, share: float) -> tuple[Floats, Floats]:
    """Values and probabilities of `n_k ~ Binomial(n, p_k)` given `n_k >= 1`.

    Only within 12 standard deviations, and on a grid of an eighth of one: sums of a smooth
    function over such a grid are exact to rounding (Poisson summation).
    """
    mean, sd = n * share, math.sqrt(n * share * (1 - share))
    low, high = max(1, math.floor(mean - 12 * sd)), min(n, math.ceil(mean + 12 * sd) + 20)
    n_k = np.arange(low, high + 1, max(1, int(sd / 8)), dtype=np.float64)
    choices = gammaln(n + 1) - gammaln(n_k + 1) - gammaln(n - n_k + 1)
    log_pmf = choices + xlogy(n_k, share) + xlog1py(n - n_k, -share)
    pmf = np.exp(log_pmf - log_pmf.max())
    return n_k, pmf / pmf.sum()


def _mean_chi(d: int) -> float:
    """`E chi_d = sqrt(2) Gamma((d+1)/2) / Gamma(d/2)`."""
    return math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))


def _number(name: str, value: float, low: float, high: float = math.inf) -> float:
    if not low <= value <= high or math.isinf(value):
        raise InputError(f"{name} must be in [{low:g}, {high:g}], got {value!r}")
    return value


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be above 0 and finite, got {value!r}")
    return value


def _whole(name: str, value: int, low: int, high: int | None = None) -> int:
    if value != int(value) or value < low or (high is not None and value > high):
        upper = "" if high is None else f" and at most {high}"
        raise InputError(f"{name} must be a whole number, at least {low}{upper}, got {value!r}")
    return int(value)


def _dimensions(d: int, d1: int) -> None:
    _whole("d1", d1, 0, _whole("d", d, 1))


def _shares(p: ArrayLike | Sequence[Any]) -> Floats:
    shares = np.asarray(p, dtype=np.float64)
    if shares.ndim != 1 or not np.all(shares > 0) or abs(shares.sum() - 1) > 1e-9:
        raise InputError("p must be a list of positive shares that sum to 1")
    return shares


def _weights(p: ArrayLike | None, K: int) -> Floats:
    """p, or equal shares if None; K of them."""
    shares = np.full(K, 1 / K) if p is None else _shares(p)
    if len(shares) != K:
        raise InputError(f"p must have one entry for each of {K} counts, got {len(shares)}")
    return shares


def _counts(counts: ArrayLike, least: int) -> Floats:
    n_k = np.asarray(counts, dtype=np.float64)
    bad = n_k.ndim != 1 or not len(n_k) or not np.all(np.isfinite(n_k))
    if bad or np.any(n_k != np.round(n_k)) or np.any(n_k < least) or n_k.sum() < 1:
        raise InputError(f"counts must be a list of whole numbers, each at least {least}")
    return n_k
