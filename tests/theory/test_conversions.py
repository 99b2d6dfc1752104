"""Each conversion against integrals, and each inequality on random pairs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from sourcewise.errors import InputError
from sourcewise.theory.conversions import (
    bhattacharyya_of_gaussians,
    bretagnolle_huber,
    kl_of_gaussians,
    pinsker,
    tv_from_hellinger,
    tv_of_gaussians,
)


@settings(derandomize=True)
@given(st.integers(2, 6), st.integers(0, 10**9))
def test_inequalities_on_random_pairs(atoms, seed):
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(atoms, rng.choice([0.3, 1, 50])), 2)
    tv, bc = np.abs(p - q).sum() / 2, np.sqrt(p * q).sum()
    with np.errstate(divide="ignore"):
        kl = min(float(np.sum(np.where(p > 0, p * np.log(p / np.maximum(q, 1e-300)), 0))), 1e300)
    assert tv <= pinsker(max(kl, 0)) + 1e-9
    assert tv <= bretagnolle_huber(max(kl, 0)) + 1e-9
    low, high = tv_from_hellinger(math.sqrt(max(0.0, 1 - bc)))
    assert low - 1e-9 <= tv <= high + 1e-7


def test_pinsker_is_sharp_for_near_pairs_and_the_other_for_far_ones():
    p = 0.5 + 1e-4
    kl = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert abs(pinsker(kl) / 1e-4 - 1) < 1e-4
    assert bretagnolle_huber(2.0) < pinsker(2.0) == 1
    assert bretagnolle_huber(0.1) > pinsker(0.1)


@pytest.mark.parametrize(("mu", "s", "nu", "t"), [(0, 1, 1, 1), (0.3, 0.5, -2, 2), (1, 3, 1, 0.2)])
def test_gaussians_against_integrals(mu, s, nu, t):
    p, q = norm(mu, s), norm(nu, t)

    def integral(value) -> float:
        cuts = [-80, -5, min(mu, nu), max(mu, nu) + 0.01, 5, 80]
        return sum(quad(value, a, b, limit=400)[0] for a, b in itertools.pairwise(cuts))

    S, T = [[s * s]], [[t * t]]
    kl = integral(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)))
    assert abs(kl_of_gaussians([mu], S, [nu], T) - kl) < 1e-8
    bc = integral(lambda x: math.exp((p.logpdf(x) + q.logpdf(x)) / 2))
    assert abs(bhattacharyya_of_gaussians([mu], S, [nu], T) - bc) < 1e-8
    if s == t:
        tv = integral(lambda x: abs(p.pdf(x) - q.pdf(x)) / 2)
        assert abs(tv_of_gaussians([mu], [nu], S) - tv) < 1e-8


def test_gaussians_in_many_dimensions_against_monte_carlo():
    rng, d = np.random.default_rng(0), 4
    a, b = rng.standard_normal((2, d, d))
    S, T = a @ a.T + np.eye(d), b @ b.T + np.eye(d)
    mu, nu = rng.standard_normal((2, d))
    x = rng.multivariate_normal(mu, S, 400_000)

    def log_density(mean, covariance) -> np.ndarray:
        z = x - mean
        quadratic = np.einsum("ni,ij,nj->n", z, np.linalg.inv(covariance), z)
        return -quadratic / 2 - np.linalg.slogdet(2 * math.pi * covariance)[1] / 2

    ratio = log_density(mu, S) - log_density(nu, T)
    error = ratio.std() / math.sqrt(len(x))
    assert abs(kl_of_gaussians(mu, S, nu, T) - ratio.mean()) < 4 * error
    root = np.exp(-ratio / 2)
    assert abs(bhattacharyya_of_gaussians(mu, S, nu, T) - root.mean()) < 4 * root.std() / 632
    same = log_density(mu, S) - log_density(nu, S)
    tv = np.maximum(1 - np.exp(-same), 0)
    assert abs(tv_of_gaussians(mu, nu, S) - tv.mean()) < 4 * tv.std() / 632


def test_same_distribution():
    S = [[2.0, 0.5], [0.5, 1.0]]
    assert abs(kl_of_gaussians([1, 2], S, [1, 2], S)) < 1e-14
    assert bhattacharyya_of_gaussians([1, 2], S, [1, 2], S) == pytest.approx(1, abs=1e-14)
    assert tv_of_gaussians([1, 2], [1, 2], S) == 0


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("kl must be in", lambda: pinsker(-1)),
        ("H must be in", lambda: tv_from_hellinger(2)),
        ("S must be a symmetric", lambda: kl_of_gaussians([0], [[-1]], [0], [[1]])),
        ("covariance must be", lambda: tv_of_gaussians([0], [1], [[0.0]])),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
