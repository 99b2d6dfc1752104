"""Rates of samplers: exponents, inverses, and exact errors of chains beside them."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.samplers.levels import slow_schedule
from sourcewise.studies.samplers.laws import Line
from sourcewise.studies.samplers.methods import METHODS
from sourcewise.theory import sampling
from sourcewise.theory.conversions import tv_of_distance

COUNTS = (200, 400, 800, 1600)  # of which asymptotics speak


def exponent(rate, at=1e6) -> float:
    """d log rate / d log of its argument."""
    return math.log(rate(2 * at) / rate(at)) / math.log(2)


@pytest.mark.parametrize(
    ("rate", "power"),
    [
        (lambda d: sampling.ddpm(d, 1e5), 1),
        (lambda T: sampling.ddpm(3, T) / np.log(T) ** 3, -1),
        (lambda eps: sampling.ddpm(1e-9 + 1, 1e30, eps), 1),
        (lambda k: sampling.ddpm_intrinsic(k, 1e5), 1),
        (lambda T: sampling.ddpm_intrinsic(3, T), -1),
        (lambda d: sampling.probability_flow(d, 1e5), 1),
        (lambda d: sampling.probability_flow(d, 1e40, eps=1), 0.5),
        (lambda d: sampling.probability_flow(d, 1e40, eps_J=1), 1),
        (lambda k: sampling.probability_flow_intrinsic(k, 1, 1e5), 1),
        (lambda T: sampling.known_power(T, 0.5), -0.5),
        (lambda T: sampling.accelerated_stochastic(3, T), -2),
        (lambda d: sampling.accelerated_stochastic(d, 1e5), 2.5),
        (lambda N: sampling.higher_order(3, N, K=3), -3),
        (lambda d: sampling.higher_order(d, 1e5, K=3), 5),
    ],
)
def test_exponents_are_those_of_the_formulas(rate, power):
    assert exponent(rate) == pytest.approx(power, abs=1e-6)


@given(st.integers(1, 1000), st.floats(1e-6, 0.9), st.integers(1, 6))
def test_steps_and_errors_are_inverses(d, tv, K):
    """As the papers state them: T = d^(5/4) / sqrt(TV), and N = d^(1 + 2/K) TV^(-1/K)."""
    T = d**1.25 / math.sqrt(tv)
    if T >= 2:
        assert sampling.accelerated_stochastic(d, T) == pytest.approx(tv)
    N = d ** (1 + 2 / K) * tv ** (-1 / K)
    if N >= 2:
        assert sampling.higher_order(d, N, K) == pytest.approx(tv)


@given(st.integers(1, 50), st.floats(0, 0.3), st.floats(1e-3, 2.0), st.floats(0.1, 3.0))
def test_the_fewest_steps_are_the_first_that_reach_a_target(d, eps, target, C):
    """Against all numbers of steps, one by one, of a rate that falls and then rises."""
    rate = partial(sampling.ddpm, d, eps=eps, C=C)
    every = np.arange(sampling.FALLS, 300_000)
    reached = every[rate(every) <= target]
    found = sampling.fewest_steps(rate, target, sampling.FALLS)
    if len(reached):
        assert found == reached[0]
    else:
        assert found is None or found >= every[-1]


def test_a_target_that_only_the_lowest_place_meets_is_found():
    def rate(T):
        return np.abs(np.log(T) - math.log(123_457)) + 1

    assert sampling.fewest_steps(rate, 1 + 1e-12) == 123_457
    assert sampling.fewest_steps(rate, 1 - 1e-12) is None


@pytest.mark.parametrize("truth", [Line.of((1.0, 0.0, 2.0)), Line.of((1.0, 0.0, 0.5))])
@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("ddpm", partial(sampling.ddpm, 1)),
        ("accelerated_flow", lambda T: sampling.known_power(T, 2) * math.log(T) ** 4),
        ("accelerated_ddpm", lambda T: sampling.known_power(T, 1) * math.log(T) ** 2),
        ("probability_flow", lambda T: sampling.probability_flow(1, T) * math.log(T) ** 2),
    ],
)
def test_exact_errors_of_normal_laws_are_within_a_constant_of_the_rate(name, rate, truth):
    """With some powers of log T where the theorem's are unknown; the constant is a small one."""
    method = next(m for m in METHODS if m.name == name)
    shares = [method.error(truth, T) / rate(T) for T in COUNTS]
    assert max(shares) < 2
    assert all(after < 1.05 * before for before, after in pairwise(shares))


@pytest.mark.parametrize("eps", [0.003, 0.03])
def test_an_error_of_the_scores_costs_less_than_its_term(eps):
    """Scores that are off by eps everywhere move the mean of DDPM's normal law, and nothing else.

    A step is `y <- (y + (1 - a)(s(y) + eps) + noise) / sqrt(a)`, s(y) = -y for standard normal
    data: the mean moves by a linear recursion.
    """
    for T in COUNTS:
        mean, variance = 0.0, 1.0
        for a in slow_schedule(T).tolist()[:0:-1]:
            mean = (a * mean + (1 - a) * eps) / math.sqrt(a)
            variance = (a * a * variance + 1 - a) / a
        without = sampling.ddpm(1, T)
        term = sampling.ddpm(1, T, eps) - without
        assert term == pytest.approx(eps * math.sqrt(math.log(T)))
        assert 0.1 * term < tv_of_distance(mean / math.sqrt(variance)) < term


@pytest.mark.parametrize(
    ("message", "ask"),
    [
        ("d must be in [1, inf]", lambda: sampling.ddpm(0, 100)),
        ("T must be in [2, inf], got 1.0", lambda: sampling.probability_flow(3, 1)),
        ("eps must be in [0, inf]", lambda: sampling.ddpm_intrinsic(3, 100, -1)),
        ("C must be above 0", lambda: sampling.known_power(100, 1, C=0)),
        ("power must be above 0", lambda: sampling.known_power(100, 0)),
        ("K must be in [1, inf]", lambda: sampling.higher_order(3, 100, 0)),
        ("target must be above 0", lambda: sampling.fewest_steps(np.sqrt, 0)),
    ],
)
def test_bad_arguments_are_named(message, ask):
    with pytest.raises(InputError) as stop:
        ask()
    assert message in str(stop.value)
