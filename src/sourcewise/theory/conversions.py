"""From one distance between distributions to another, and all of them between Gaussians.

`TV = 1/2 ∫|p-q|`, `BC = ∫ sqrt(p q)` the Bhattacharyya coefficient, `H^2 = 1 - BC` the squared
Hellinger distance, `KL = ∫ p log(p/q)` in nats. All functions broadcast where they can. The
inequalities of Pinsker, Le Cam, Bretagnolle and Huber: Tsybakov, Introduction to Nonparametric
Estimation (2009), section 2.4.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from sourcewise.errors import InputError
from sourcewise.theory.checks import Floats, numbers, plain

__all__ = [
    "bhattacharyya_of_gaussians",
    "bretagnolle_huber",
    "kl_of_gaussians",
    "pinsker",
    "tv_from_hellinger",
    "tv_of_distance",
    "tv_of_gaussians",
]


def pinsker(kl: ArrayLike) -> Any:
    """`TV <= sqrt(KL/2)`, at most 1 (Pinsker's inequality).

    >>> pinsker(0.02)
    0.1

    Args:
        kl: KL, >= 0.
    """
    return plain(np.minimum(np.sqrt(numbers("kl", kl, 0) / 2), 1.0))


def bretagnolle_huber(kl: ArrayLike) -> Any:
    """`TV <= sqrt(1 - exp(-KL))`, below 1 where Pinsker says nothing; arguments as for `pinsker`.

    >>> round(bretagnolle_huber(3.0), 4), pinsker(3.0)
    (0.9748, 1.0)
    """
    return plain(np.sqrt(-np.expm1(-numbers("kl", kl, 0))))


def tv_from_hellinger(H: ArrayLike) -> tuple[Any, Any]:
    """`H^2 <= TV <= H sqrt(2 - H^2)` (Le Cam), lower and upper.

    >>> low, high = tv_from_hellinger(0.1)
    >>> round(low, 6), round(high, 6)
    (0.01, 0.141067)

    Args:
        H: Hellinger distance, `H^2 = 1 - BC`, in [0, 1].
    """
    h = numbers("H", H, 0, 1)
    return plain(h**2), plain(np.minimum(h * np.sqrt(2 - h**2), 1.0))


def tv_of_distance(r: ArrayLike) -> Any:
    """`2 Phi(r/2) - 1`: TV of Gaussians of one covariance, r the distance of their means.

    >>> round(tv_of_distance(1.0), 4)
    0.3829

    Args:
        r: Mahalanobis' distance, `r^2 = (mu-nu)' Sigma^-1 (mu-nu)`, >= 0.
    """
    return plain(np.asarray(erf(numbers("r", r, 0) / math.sqrt(8))))


def tv_of_gaussians(mu: ArrayLike, nu: ArrayLike, covariance: ArrayLike) -> float:
    """Exact `TV(N(mu, S), N(nu, S))` of one covariance S.

    >>> round(tv_of_gaussians([0.0, 0.0], [2.0, 0.0], [[4.0, 0.0], [0.0, 1.0]]), 4)
    0.3829

    Args:
        mu, nu: (d,) means, finite.
        covariance: (d, d) S, positive definite.
    """
    factor = _cholesky("covariance", covariance)
    shift = np.linalg.solve(factor, np.atleast_1d(np.subtract(mu, nu)))
    return tv_of_distance(float(np.sqrt(shift @ shift)))


def kl_of_gaussians(mu: ArrayLike, S: ArrayLike, nu: ArrayLike, T: ArrayLike) -> float:
    """`KL(N(mu, S) || N(nu, T)) = 1/2 [tr(T^-1 S) + r^2 - d + log det T - log det S]`.

    >>> round(kl_of_gaussians([0.0], [[1.0]], [1.0], [[1.0]]), 12)
    0.5

    Args:
        mu, nu: (d,) means, finite.
        S, T: (d, d) covariances, positive definite.
    """
    a, b = _cholesky("S", S), _cholesky("T", T)
    ratio = np.linalg.solve(b, a)
    shift = np.linalg.solve(b, np.atleast_1d(np.subtract(mu, nu)))
    logs = 2 * (np.sum(np.log(np.diag(b))) - np.sum(np.log(np.diag(a))))
    return float((np.sum(ratio**2) + shift @ shift - len(a) + logs) / 2)


def bhattacharyya_of_gaussians(mu: ArrayLike, S: ArrayLike, nu: ArrayLike, T: ArrayLike) -> float:
    """`BC = exp(-r^2/8) (det S det T)^(1/4) / det(M)^(1/2)`, `M = (S+T)/2`, r in the metric of M.

    Arguments as for `kl_of_gaussians`. `sqrt(1 - BC)` is the Hellinger distance.

    >>> round(bhattacharyya_of_gaussians([0.0], [[1.0]], [2.0], [[1.0]]), 4)
    0.6065
    """
    a, b = _cholesky("S", S), _cholesky("T", T)
    middle = _cholesky("S + T", (np.atleast_2d(S) + np.atleast_2d(T)) / 2)
    shift = np.linalg.solve(middle, np.atleast_1d(np.subtract(mu, nu)))
    logs = [float(np.sum(np.log(np.diag(factor)))) for factor in (a, b, middle)]
    return math.exp(min(0.0, -float(shift @ shift) / 8 + (logs[0] + logs[1]) / 2 - logs[2]))


def _cholesky(name: str, matrix: ArrayLike) -> Floats:
    array = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
    try:
        return np.asarray(np.linalg.cholesky(array), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise InputError(f"{name} must be a symmetric, positive definite matrix") from None
