"""Upper brackets of Gaussians: they dominate, and integrate to what they say."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from sourcewise.errors import InputError
from sourcewise.theory.gaussian.brackets import (
    envelope_bracketing,
    envelope_epsilon,
    envelope_eta,
    gaussian_bracketing,
    gaussian_epsilon,
    gaussian_eta,
)
from sourcewise.theory.gaussian.laws import m_blocks, m_pooled, m_separate

from ..witnesses import build_envelope_bracket, build_gaussian_bracket

BRACKETS = [
    (build_gaussian_bracket, gaussian_epsilon, gaussian_eta),
    (build_envelope_bracket, envelope_epsilon, envelope_eta),
]


@pytest.mark.parametrize(("build", "epsilon", "eta"), BRACKETS)
@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.integers(1, 8), st.floats(0.01, 50), st.floats(1e-8, 5), st.integers(0, 10**9))
def test_elements_dominate_their_members(build, epsilon, eta, d, B, eps, seed):
    """At random places, at the means and far out; corners of the cell included."""
    rng = np.random.default_rng(seed)
    mean = rng.choice([-B, B, rng.uniform(-B, B)], d)
    element = build(mean, B, eps)
    assert np.all(np.abs(element.centre) <= B)
    assert np.all(np.abs(element.centre - mean) <= element.eta + 4 * np.spacing(B))
    assert element.log_integral <= math.log1p(eps) * (1 + 1e-9)
    corner = element.centre + element.eta * rng.choice([-1.0, 1.0], d)
    scale = rng.choice([0.1, 1.0, 10.0, 1000.0], (200, 1))
    x = np.concatenate([mean + scale * rng.standard_normal((200, d)), [mean], [corner]])
    for member in (mean, corner):
        log_p = -np.sum((x - member) ** 2, axis=1) / 2 - d / 2 * math.log(2 * math.pi)
        assert np.all(element.log_density(x) >= log_p - 1e-9 * (1 + np.abs(log_p)))


@pytest.mark.parametrize(("build", "epsilon", "eta"), BRACKETS)
@pytest.mark.parametrize("eps", [1e-6, 0.01, 0.3, 1.0])
def test_elements_integrate_to_what_they_say(build, epsilon, eta, eps):
    element = build([0.37], 2.0, eps)
    middle, edge = float(element.centre[0]), element.eta

    def density(x: float) -> float:
        return math.exp(float(element.log_density(np.array([x]))))

    cuts = [-30.0, middle - edge, middle, middle + edge, 30.0]
    total = sum(
        quad(density, low, high, epsabs=1e-13, limit=200)[0]
        for low, high in itertools.pairwise(cuts)
    )
    assert abs(total - math.exp(element.log_integral)) < 1e-9
    assert total <= 1 + eps + 1e-9
    # Many coordinates are a product: the log mass adds.
    many = build([0.37] * 5, 2.0, eps)
    assert abs(math.expm1(many.log_integral) - float(epsilon(many.eta, 5))) < 1e-9


@pytest.mark.parametrize(("_build", "epsilon", "eta"), BRACKETS)
@settings(derandomize=True)
@given(st.floats(1e-300, 1e6), st.sampled_from([1, 2, 10, 1000]))
def test_eta_inverts_epsilon(_build, epsilon, eta, eps, d):
    back = float(epsilon(eta(eps, d), d))
    assert abs(back / eps - 1) < 1e-9


@settings(derandomize=True)
@given(st.floats(1e-12, 1e3), st.integers(1, 1000))
def test_envelope_cells_are_wider(eps, d):
    wider = envelope_eta(eps, d) / gaussian_eta(eps, d)
    assert wider >= 1
    if math.log1p(eps) / d < 1e-3:
        assert abs(wider - math.sqrt(math.pi / 2)) < 1e-3


def test_the_best_precision_is_best():
    """No other c gives a smaller mass to the raised normal density."""
    for half_width in (0.01, 0.5, 3.0):
        other = np.linspace(0.001, 0.999, 9999)
        mass = -np.log(other) / 2 + other * half_width**2 / (2 * (1 - other))
        assert np.log1p(gaussian_epsilon(half_width, 1)) <= mass.min() + 1e-12
        assert np.log1p(gaussian_epsilon(half_width, 1)) >= mass.min() - 1e-4


@settings(derandomize=True)
@given(st.integers(1, 10**6), st.integers(1, 500), st.floats(1e-9, 1), st.data())
def test_pooled_brackets_are_never_more_than_separate_ones(K, d, eps, data):
    """Proposition 3.3, and the same for any grouping between."""
    d1, J = data.draw(st.integers(0, d)), data.draw(st.integers(1, K))
    blocks = sorted({1, J, K})
    assert m_blocks(K, d, d1, 1) == m_pooled(K, d, d1)
    assert m_blocks(K, d, d1, K) == m_separate(K, d)
    for make in (gaussian_bracketing, envelope_bracketing):
        numbers = [float(make(m_blocks(K, d, d1, J), d, 2.0).log_number(eps)) for J in blocks]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("mean must be in", lambda: build_gaussian_bracket([2.0], 1.0, 0.1)),
        ("eps must be above 0", lambda: build_envelope_bracket([0.0], 1.0, 0.0)),
        ("eps must be above 0", lambda: gaussian_eta(-1.0, 3)),
        ("d must be a whole number", lambda: envelope_eta(0.1, 0)),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
