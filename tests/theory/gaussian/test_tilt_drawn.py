"""Upper sums over binomial counts, against exact ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln, logsumexp, xlog1py, xlogy

from sourcewise.theory.gaussian.tilt_drawn import edges, log_below, log_mean


def log_pmf(N: int, p: float) -> np.ndarray:
    """Of Binomial(N, p) at 0..N."""
    x = np.arange(N + 1.0)
    choose = gammaln(N + 1) - gammaln(x + 1) - gammaln(N - x + 1)
    return choose + xlogy(x, p) + xlog1py(N - x, -p)


@pytest.mark.parametrize("N", [1, 2, 3, 10, 57, 400, 5000])
@pytest.mark.parametrize("p", [1e-6, 0.01, 0.2, 0.5, 0.77, 1 - 1e-6])
def test_probabilities_are_from_above_and_close(N, p):
    """Every e, the far tail included; checks the cited inequality too."""
    e = np.arange(1, N + 1.0)
    exact = np.logaddexp.accumulate(log_pmf(N, p))[:-1]
    found = log_below(e, N, p)
    assert np.all(found >= exact - 1e-8)
    assert found[0] == pytest.approx(exact[0], abs=1e-9)
    assert found[-1] == pytest.approx(exact[-1], abs=1e-9)
    assert np.all(found - exact <= 2 * (1 + abs(np.log(p)) + abs(np.log1p(-p))))


def test_probabilities_of_many_trials_are_normal():
    N, p = 10.0**14, 0.2
    for z in (-8, -2, 0.0, 1):
        e = np.rint(N * p + z * math.sqrt(N * p * (1 - p)))
        assert float(np.exp(log_below(e, N, p))) == pytest.approx(
            0.5 * math.erfc(-z / math.sqrt(2)), rel=1e-4
        )


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.integers(0, 3000),
    st.floats(1e-9, 1),
    st.integers(1, 10**5),
    st.floats(1e-3, 1e4),
    st.integers(1, 40),
)
def test_upper_sums_are_never_below_the_sum(N, p, cells, flat, power):
    def log_f(x):
        with np.errstate(divide="ignore"):
            return power * np.minimum(np.log(cells), np.log1p(flat / np.sqrt(x)))

    e = edges(N, p)
    assert e[0] == 0
    assert np.all(np.diff(e) >= 0)
    assert e[-1] <= N
    assert np.all(e == np.rint(e))
    exact = logsumexp(log_f(np.arange(N + 1.0)) + log_pmf(N, p))
    found = float(log_mean(log_f(e), log_below(e, N, p)))
    assert found >= exact - 1e-9 * (1 + abs(exact))
    if N * p > 20 * power**2:  # a smooth f: the mean is that of its second-order expansion
        assert found <= exact + 0.1 * power / math.sqrt(N * p) + 1e-9


def test_upper_sums_of_bounds_that_do_not_decrease():
    """An upper bound on f that rises again is replaced by its running minimum."""
    e, log_cdf = np.array([0.0, 1, 2]), np.log([1e-300, 0.25, 0.75])
    risen = float(log_mean(np.array([1.0, 0.0, 0.5]), log_cdf))
    assert risen == pytest.approx(float(log_mean(np.array([1.0, 0.0, 0.0]), log_cdf)))
    assert e[0] == 0
