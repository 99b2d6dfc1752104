"""The laws against simulation, numerical integration and the numbers of the theory."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta as beta_law
from scipy.stats import binom, chi2, norm

from sourcewise.errors import InputError
from sourcewise.theory.asymptotic import asymptotic_bound, rate
from sourcewise.theory.gaussian import integrals, laws
from sourcewise.theory.gaussian.integrals import count_law, fraction_law
from sourcewise.theory.gaussian.laws import (
    asymptotic_tv_pooled,
    asymptotic_tv_separate,
    expected_kl,
    expected_tv_balanced,
    expected_tv_pooled,
    expected_tv_separate,
    m_pooled,
    m_separate,
)
from sourcewise.theory.gaussian.partitions import expected_tv_given_counts, tv_given_count
from sourcewise.theory.sharing import empirical_beta, predicted_ratio

from ..witnesses import asymptotic_kl

# K, n, d1, separate, pooled: exact expectations found independently, for d = 10
EXACT = [
    (1, 500, 5, 0.0550, 0.0550),
    (3, 500, 5, 0.0952, 0.0774),
    (5, 500, 5, 0.1229, 0.0944),
    (10, 500, 5, 0.1736, 0.1272),
    (15, 500, 5, 0.2124, 0.1532),
    (5, 100, 5, 0.2729, 0.2108),
    (5, 300, 5, 0.1584, 0.1218),
    (5, 1000, 5, 0.0869, 0.0667),
    (5, 5000, 5, 0.0389, 0.0298),
    (5, 500, 10, 0.1229, 0.1229),
    (5, 500, 7, 0.1229, 0.1066),
    (5, 500, 3, 0.1229, 0.0805),
    (5, 500, 0, 0.1229, 0.0550),
]


def even(K: int) -> list[float]:
    return [1 / K] * K


@pytest.mark.parametrize(("K", "n", "d1", "separate", "pooled"), EXACT)
def test_expected_tv_of_the_papers_cells(K, n, d1, separate, pooled):
    assert abs(expected_tv_separate(even(K), n, 10) - separate) < 1e-4
    assert abs(expected_tv_pooled(even(K), n, 10, d1) - pooled) < 1e-4


def simulated_tv(p: list[float], n: int, d: int, d1: int, runs: int) -> tuple[float, float]:
    """Average TV and its standard error, each source over the runs with n_k >= 1."""
    rng = np.random.default_rng(0)
    total, variance = 0.0, 0.0
    for share in p:
        n_k = rng.binomial(n, share, runs)
        n_k = n_k[n_k > 0] if d1 else n_k
        own = rng.chisquare(d1, len(n_k)) / n_k if d1 else 0.0
        rest = rng.chisquare(d - d1, len(n_k)) / n if d1 < d else 0.0
        tv = 2 * norm.cdf(np.sqrt(own + rest) / 2) - 1
        total += share * tv.mean()
        variance += share**2 * tv.var() / len(tv)
    return total, math.sqrt(variance)


@pytest.mark.parametrize(
    ("p", "n", "d", "d1"),
    [
        ([0.1, 0.3, 0.6], 5, 4, 1),  # half of the draws miss the first source
        ([0.1, 0.3, 0.6], 5, 4, 0),
        ([0.2] * 5, 100, 10, 5),
        ([0.05, 0.95], 2000, 3, 2),  # counts on a coarser grid
        ([1.0], 7, 2, 1),
        ([0.5, 0.5], 3, 1, 1),
    ],
)
def test_expected_tv_against_monte_carlo(p, n, d, d1):
    value, error = simulated_tv(p, n, d, d1, runs=400_000)
    assert error < 5e-4
    assert abs(expected_tv_pooled(p, n, d, d1) - value) < 4 * error


def test_given_counts_against_double_integral():
    node, weight = np.polynomial.legendre.leggauss(120)
    s, weight = 5.5 * (node + 1), 5.5 * weight  # roots of the chi-squares, 0 to 11
    u, v = weight * 2 * s * chi2.pdf(s**2, 3), weight * 2 * s * chi2.pdf(s**2, 2)

    def average_over(n_k: int) -> float:
        r = np.sqrt(s[:, None] ** 2 / n_k + s**2 / 20)
        return float(u @ (2 * norm.cdf(r / 2) - 1) @ v)

    value = 0.3 * average_over(13) + 0.7 * average_over(7)
    assert abs(expected_tv_given_counts([13, 7], d=5, d1=3, p=[0.3, 0.7]) - value) < 1e-10


def test_given_counts_with_nothing_shared_against_integral():
    def integrand(u: float) -> float:
        return float((2 * norm.cdf(math.sqrt(u / 4) / 2) - 1) * chi2.pdf(u, 3))

    value, _ = quad(integrand, 0, 200, epsabs=1e-10, limit=200)
    assert abs(expected_tv_given_counts([4, 4], d=3, d1=3) - value) < 1e-8


@pytest.mark.parametrize(("n", "share"), [(4000, 0.5), (30_000, 0.01), (300, 0.002)])
def test_binomial_law_on_the_coarse_grid_is_the_full_sum(n, share):
    n_k = np.arange(1, n + 1)
    pmf = binom.pmf(n_k, n, share)
    full = pmf @ tv_given_count(n_k.astype(float), np.array(n), 10, 5) / pmf.sum()
    points, probability = count_law(n, share)
    coarse = probability @ tv_given_count(points, np.array(n), 10, 5)
    assert abs(coarse / full - 1) < 1e-10


@pytest.mark.parametrize(("d", "d1"), [(2, 1), (3, 1), (10, 1), (10, 9), (2000, 5)])
def test_quadrature_has_converged(monkeypatch, d, d1):
    def values() -> tuple[float, float]:
        p = even(1000)  # shared and specific parts differ most with many sources
        return expected_tv_pooled(p, 20_000, d, d1), asymptotic_tv_pooled(p, 20_000, d, d1)

    default = values()
    monkeypatch.setattr(integrals, "NODES", 700)
    np.testing.assert_allclose(default, values(), rtol=0, atol=1e-7)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 12))
def test_gauss_jacobi_integrates_monomials(d1, d2, power):
    B, weight = fraction_law(d1, d2)
    a, b = d1 / 2, (d1 + d2) / 2
    moment = math.prod((a + i) / (b + i) for i in range(power))  # of Beta(d1/2, d2/2)
    assert abs(weight @ B**power - moment) < 1e-12


def test_separate_is_pooled_with_nothing_shared():
    p = [0.2, 0.8]
    assert expected_tv_separate(p, 40, 6) == expected_tv_pooled(p, 40, 6, 6)
    assert asymptotic_tv_separate(p, 40, 6) == asymptotic_tv_pooled(p, 40, 6, 6)


@pytest.mark.parametrize(("d1", "J"), [(0, 1), (5, 1), (0, 10**12), (5, 10**12)])
def test_a_million_million_equal_sources(d1, J):
    """A source that drew any of the 500 examples drew one: n_k = 1."""
    own = d1 if J == 1 else 10
    counts, p = ([500], [1.0]) if own == 0 else ([1, 499], [1 - 1e-12, 1e-12])
    expected = expected_tv_given_counts(counts, 10, own, p)
    assert abs(expected_tv_balanced(10**12, 500, 10, d1, J) - expected) < 1e-9


@pytest.mark.parametrize(("J", "own"), [(1, 5), (4, 10)])
def test_equal_shares_from_one_share(J, own):
    expected = expected_tv_pooled([0.25] * 4, 500, 10, own)
    assert abs(expected_tv_balanced(4, 500, 10, 5, J) / expected - 1) < 1e-14


def test_all_shared_does_not_depend_on_the_sources():
    one = expected_tv_given_counts([30], d=4, d1=0)
    assert abs(expected_tv_pooled(even(7), 30, 4, 0) - one) < 1e-14
    assert abs(expected_tv_given_counts([0, 30], d=4, d1=0) - one) < 1e-14


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(1, 12), st.integers(1, 400), st.integers(1, 20), st.data())
def test_pooling_never_harms_when_the_model_is_right(K, n, d, data):
    d1 = data.draw(st.integers(0, d))
    pooled, separate = (expected_tv_pooled(even(K), n, d, own) for own in (d1, d))
    assert 0 < pooled <= separate + 1e-12 < 1


def test_law_is_approached():
    for exact, law in (
        (expected_tv_separate(even(5), 50_000, 10), asymptotic_tv_separate(even(5), 50_000, 10)),
        (expected_tv_pooled(even(5), 50_000, 10, 5), asymptotic_tv_pooled(even(5), 50_000, 10, 5)),
    ):
        assert abs(exact / law - 1) < 1e-3


def test_law_against_monte_carlo():
    p, rng = np.array([0.1, 0.2, 0.7]), np.random.default_rng(1)
    u, v = rng.chisquare(2, 1_000_000), rng.chisquare(3, 1_000_000)
    term = np.sqrt(u[:, None] / p + v[:, None]) @ p / math.sqrt(2 * math.pi * 50)
    error = term.std() / 1000
    assert abs(asymptotic_tv_pooled(p, 50, 5, 2) - term.mean()) < 4 * error


def test_bound_numbers():
    assert round(asymptotic_bound(m_separate(5, 10), 500), 4) == 0.1262
    assert round(asymptotic_bound(m_pooled(5, 10, 5), 500), 4) == 0.0977
    assert round(asymptotic_bound(m_pooled(5, 10, 5), 1_000_000), 4) == 0.0022
    separate = asymptotic_tv_separate(even(5), 1, 10) / asymptotic_bound(50, 1)
    pooled = asymptotic_tv_pooled(even(5), 1, 10, 5) / asymptotic_bound(30, 1)
    one = asymptotic_tv_separate(even(5), 1, 1) / asymptotic_bound(5, 1)
    assert [round(ratio, 3) for ratio in (separate, pooled, one)] == [0.975, 0.966, 0.798]
    assert asymptotic_kl(30, 500) == 0.03
    assert rate(50, 500) == math.sqrt(0.1)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(1, 20), st.data())
def test_law_is_below_its_bound(weights, d, data):
    d1 = data.draw(st.integers(0, d))
    p = np.array(weights) / sum(weights)
    m = m_pooled(len(p), d, d1)
    assert asymptotic_tv_pooled(p, 100, d, d1) <= asymptotic_bound(m, 100) * (1 + 1e-12)


def test_ratio_and_beta():
    assert predicted_ratio(0.5, K=1) == predicted_ratio(0, K=9) == predicted_ratio(0.3, K=4, J=4)
    assert abs(predicted_ratio(1, K=4) - 0.5) < 1e-15
    assert abs(predicted_ratio(0.5, K=10**9) - math.sqrt(0.5)) < 1e-9
    assert abs(predicted_ratio(0.5, K=5) - math.sqrt(m_pooled(5, 10, 5) / 50)) < 1e-15
    assert empirical_beta(1.2, K=5) < 0  # harm is not clipped
    assert empirical_beta(0, K=5) > 1


def test_empirical_beta_of_the_paper_does_not_tend_to_its_beta():
    """`E sqrt` is not `sqrt E`: .5146 in the limit of the paper's simulation, not beta = .5."""
    law = asymptotic_tv_pooled(even(5), 1, 10, 5) / asymptotic_tv_separate(even(5), 1, 10)

    def integrand(b: float) -> float:
        return math.sqrt((5 * b + 1 - b) / 5) * float(beta_law.pdf(b, 2.5, 2.5))

    root, _ = quad(integrand, 0, 1, epsabs=1e-12)
    assert abs(empirical_beta(law, K=5) - (1 - root**2) * 5 / 4) < 1e-9
    assert round(empirical_beta(law, K=5), 4) == 0.5146


@settings(derandomize=True)
@given(st.floats(0, 1), st.integers(2, 50), st.data())
def test_beta_inverts_the_ratio(beta, K, data):
    J = data.draw(st.integers(1, K - 1))
    assert abs(empirical_beta(predicted_ratio(beta, K, J), K, J) - beta) < 1e-12 * K


def simulated_kl(counts: list[int], d: int, p: list[float], runs: int) -> tuple[float, float]:
    """Mean KL(truth || estimate) and its standard error; truth N(0, I) for each source."""
    rng, n = np.random.default_rng(2), sum(counts)
    x = [rng.standard_normal((runs, n_k, d)) for n_k in counts]
    means = [part.mean(1) for part in x]
    residual = np.concatenate([part - m[:, None] for part, m in zip(x, means, strict=True)], 1)
    inverse = np.linalg.inv(residual.transpose(0, 2, 1) @ residual / n)  # (runs, d, d)
    _, log_det = np.linalg.slogdet(inverse)
    kl = 0.5 * (np.trace(inverse, axis1=1, axis2=2) - d - log_det)
    for p_k, m in zip(p, means, strict=True):
        kl += 0.5 * p_k * np.einsum("ri,rij,rj->r", m, inverse, m)
    return float(kl.mean()), float(kl.std() / math.sqrt(runs))


@pytest.mark.parametrize(
    ("counts", "d", "p"),
    [([20], 5, [1.0]), ([8, 12, 20], 3, [0.2, 0.3, 0.5]), ([6, 7], 4, [0.5, 0.5])],
)
def test_expected_kl_against_monte_carlo(counts, d, p):
    value, error = simulated_kl(counts, d, p, runs=60_000)
    assert error < 0.02 * value
    assert abs(expected_kl(counts, d, p) - value) < 4 * error


def test_expected_kl_numbers():
    assert round(expected_kl([20], d=5), 4) == 0.9724
    assert asymptotic_kl(5 + 15, 20) == 0.5  # far too low at this n
    many = expected_kl([100_000, 100_000], d=3)
    assert abs(many / asymptotic_kl(2 * 3 + 6, 200_000) - 1) < 1e-3
    one, n, d = expected_kl([30], d=4), 30, 4
    psi = [laws.digamma((n - i) / 2) for i in range(1, d + 1)]
    direct = 0.5 * ((n + 1) * d / (n - d - 2) - d + d * math.log(2 / n) + sum(psi))
    assert abs(one - direct) < 1e-13


BAD: list[tuple[str, Callable[[], object]]] = [
    ("K must be", lambda: m_pooled(0, 10, 5)),
    ("d1 must be.*at most 10", lambda: m_pooled(5, 10, 11)),
    ("d must be", lambda: m_separate(5, 0)),
    ("n must be above 0", lambda: rate(10, 0)),
    ("m must be", lambda: rate(-1, 10)),
    ("p must be", lambda: asymptotic_bound(-1, 10)),
    ("beta must be in", lambda: predicted_ratio(1.5, 5)),
    ("J must be", lambda: predicted_ratio(0.5, 5, 6)),
    ("K must be", lambda: empirical_beta(0.5, 1)),
    ("J must be", lambda: empirical_beta(0.5, 5, 5)),
    ("ratio must be", lambda: empirical_beta(math.nan, 5)),
    ("p must be", lambda: expected_tv_separate([0.5, 0.4], 10, 3)),
    ("p must be", lambda: expected_tv_separate([1.5, -0.5], 10, 3)),
    ("p must be", lambda: expected_tv_separate([math.nan, 1.0], 10, 3)),
    ("n must be", lambda: expected_tv_separate([0.5, 0.5], 0, 3)),
    ("d must be", lambda: expected_tv_separate([0.5, 0.5], 5, 0)),
    ("d1 must be", lambda: asymptotic_tv_pooled([0.5, 0.5], 5, 3, -1)),
    ("counts must be", lambda: expected_tv_given_counts([0, 5], 3, 1)),
    ("counts must be", lambda: expected_tv_given_counts([2.5], 3, 1)),
    ("counts must be", lambda: expected_tv_given_counts([], 3, 1)),
    ("p must have one entry for each of 2", lambda: expected_tv_given_counts([1, 2], 3, 1, [1])),
    ("above d \\+ 1 = 6, got 6", lambda: expected_kl([7], 5)),
    ("above d \\+ 1 = 6, got 6", lambda: expected_kl([4, 4], 5)),
]


@pytest.mark.parametrize(("message", "call"), BAD)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
