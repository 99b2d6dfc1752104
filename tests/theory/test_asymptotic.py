"""The law read backwards: sample sizes, learning curves, takeover, what helps."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.theory.asymptotic import (
    LearningCurve,
    asymptotic_bound,
    effective_parameters,
    fit_learning_curve,
    sample_size_for_kl,
    sample_size_for_tv,
    takeover,
)
from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_bracketing
from sourcewise.theory.gaussian.laws import asymptotic_tv_pooled, expected_tv_pooled
from sourcewise.theory.gaussian.localized import Counts, localized
from sourcewise.theory.general import paper, refined, simple
from sourcewise.theory.planning import sample_size, what_helps
from sourcewise.theory.sharing import empirical_beta, parameters, predicted_ratio, similarity

from .witnesses import ConstantBrackets, asymptotic_kl, asymptotic_tv_by_source


@settings(derandomize=True)
@given(st.floats(1, 1e9), st.floats(1e-6, 1))
def test_sample_sizes_invert_the_law(p, target):
    assert abs(asymptotic_bound(p, sample_size_for_tv(p, target)) / target - 1) < 1e-12
    assert abs(asymptotic_kl(p, sample_size_for_kl(p, target)) / target - 1) < 1e-12


@settings(derandomize=True)
@given(st.floats(1, 1e6), st.floats(1e3, 1e9))
def test_effective_parameters_invert_the_law(p, n):
    law = asymptotic_bound(p, n)
    if law <= 1:
        assert abs(effective_parameters(law, n) / p - 1) < 1e-12


@pytest.mark.parametrize(("d", "share"), [(10, 0.951), (1, 0.637)])
def test_effective_parameters_are_biased_as_stated(d, share):
    error = expected_tv_pooled([1.0], 10**6, d, d)
    assert abs(effective_parameters(error, 10**6) / d - share) < 1e-3


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(1, 20), st.data())
def test_the_middle_of_the_law_lies_between(weights, d, data):
    d1 = data.draw(st.integers(0, d))
    p = np.array(weights) / sum(weights)
    middle = asymptotic_tv_by_source(d1 / p + d - d1, p, 100)
    assert asymptotic_tv_pooled(p, 100, d, d1) <= middle * (1 + 1e-12)
    assert middle <= asymptotic_bound(d + d1 * (len(p) - 1), 100) * (1 + 1e-12)


def test_learning_curve_intervals_cover():
    """2000 curves with noise: each interval of level .9 holds the truth in .9 of them."""
    rng, n = np.random.default_rng(0), np.array([50, 100, 200, 400, 800])
    truth = 2.0 + 40 / (2 * n)
    errors = np.array([0.02, 0.02, 0.01, 0.01, 0.01])
    noise = rng.standard_normal((2000, 5))
    known = [fit_learning_curve(n, truth + errors * e, errors, 0.9) for e in noise]
    guessed = [fit_learning_curve(n, truth + 0.02 * e, level=0.9) for e in noise]
    for curves in (known, guessed):
        for name, value in (("H", 2.0), ("c", 40.0)):
            low = np.array([getattr(curve, f"{name}_low") for curve in curves])
            high = np.array([getattr(curve, f"{name}_high") for curve in curves])
            assert abs(np.mean((low <= value) & (value <= high)) - 0.9) < 0.025
    assert abs(np.mean([curve.c for curve in known]) - 40) < 0.2


@settings(derandomize=True)
@given(st.floats(-1e3, 1e3), st.floats(0, 1e5), st.floats(1, 1e7))
def test_an_exact_learning_curve_is_found(H, c, start):
    n = start * np.array([1, 2, 5, 10])
    curve = fit_learning_curve(n, H + c / (2 * n))
    size = abs(H) + c / start
    assert abs(curve.H - H) <= 1e-9 * size + 1e-12
    assert np.all(np.abs(curve.loss(n) - (H + c / (2 * n))) <= 1e-9 * size + 1e-12)
    assert curve.H_low <= curve.H <= curve.H_high


def test_a_learning_curve_counts_gaussian_parameters():
    """Expected losses of one Gaussian mean: KL = d/(2n) exactly, c = d."""
    n = np.array([20, 50, 100, 1000])
    curve = fit_learning_curve(n, 1.5 + 7 / (2 * n), np.full(4, 1e-3))
    assert abs(curve.c - 7) < 1e-9
    assert isinstance(curve, LearningCurve)
    assert curve.level == 0.95


def test_takeover_is_where_the_curves_cross():
    n = takeover(p_separate=60, cost_pooled=25, H_pooled=1.3, H_separate=1.25)
    pooled, separate = 1.3 + 25 / (2 * n), 1.25 + 60 / (2 * n)
    assert abs(pooled - separate) < 1e-12
    assert takeover(60, 25, [1.25, 1.2, 1.3], 1.25).tolist()[:2] == [math.inf, math.inf]
    assert takeover([25, 10], 25, 1.3, 1.25).tolist() == [0, 0]


@pytest.mark.parametrize("saved", [-20, 0, 20])
@pytest.mark.parametrize("lost", [-0.1, 0, 0.1])
def test_takeover_in_every_case_says_who_leads_where(saved, lost):
    n = takeover(50, 50 - saved, 1 + lost, 1)
    sizes = np.geomspace(0.01, 1e6, 401)
    pooled_leads = lost - saved / (2 * sizes) < 0
    if math.isnan(n):  # separate leads first: the roles are exchanged
        assert saved < 0 > lost
        turn = takeover(50 - saved, 50, 1, 1 + lost)
        assert turn == pytest.approx(100)
        assert np.array_equal(pooled_leads, sizes > turn)
    else:
        assert np.array_equal(pooled_leads, sizes < n)


def test_sample_sizes_beyond_floats_are_infinite():
    assert sample_size_for_tv([30, 0], 1e-300).tolist() == [math.inf, 0]
    assert sample_size_for_kl(30, 1e-310) == math.inf


def test_noise_that_shrinks_needs_standard_errors():
    """Intervals of level .95 for c on the page: .91 without standard errors."""
    rng, n = np.random.default_rng(0), np.array([100, 200, 400, 800])
    errors = 0.3 / np.sqrt(n)
    losses = 2 + 60 / (2 * n) + errors * rng.standard_normal((3000, 4))
    for known, share in ((None, 0.91), (errors, 0.95)):
        curves = [fit_learning_curve(n, loss, known) for loss in losses]
        covered = np.mean([curve.c_low <= 60 <= curve.c_high for curve in curves])
        assert abs(covered - share) < 0.012


BOUNDS = {
    "paper": lambda n: paper(gaussian_bracketing(30, 10, 5.0), n),
    "simple": lambda n: simple(gaussian_bracketing(30, 10, 5.0), n),
    "refined": lambda n: refined(envelope_bracketing(30, 10, 5.0), n),
    "localized": lambda n: localized(Counts.equal(5, n), 10, 5, 5.0),
}


@pytest.mark.parametrize("form", BOUNDS)
@pytest.mark.parametrize("target", [0.9, 0.1, 0.001])
def test_sample_size_meets_the_target_just_so(form, target):
    n = sample_size(BOUNDS[form], target)
    assert BOUNDS[form](n).value <= target < BOUNDS[form](n - 1).value


def test_sample_size_for_the_tables_values():
    assert abs(sample_size(BOUNDS["refined"], 0.3300) - 5000) < 10
    assert abs(sample_size(BOUNDS["localized"], 0.2849) - 5000) < 10
    assert sample_size(lambda n: refined(gaussian_bracketing(0, 1, 1.0), n, 0.999), 0.9) == 1


def test_what_helps_says_what_it_should():
    rows = what_helps(lambda m, J, n: refined(envelope_bracketing(m, 10, 5.0), n), 5, 5, 5, 50_000)
    now, data, thin, both, sharing = rows
    assert (now.K, now.n, now.beta) == (5, 50_000, 0.5)
    assert (data.n, thin.K, both.K, both.n) == (100_000, 10, 10, 100_000)
    assert sharing.beta == 0.75
    assert data.pooled < now.pooled < thin.pooled
    assert sharing.pooled < now.pooled
    assert abs(now.pooled - 0.1178) < 1e-4
    # a new source brings its data and shares the rest: pooled gains, separate does not
    assert both.pooled < now.pooled
    assert abs(both.law_separate / now.law_separate - 1) < 1e-12
    assert abs(data.law_pooled * math.sqrt(2) / now.law_pooled - 1) < 1e-12


@settings(derandomize=True)
@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(2, 10**6), st.data())
def test_ratio_beta_and_counts_agree(shared, specific, K, data):
    J = data.draw(st.integers(1, K))
    m, separate = parameters(shared, specific, K, J), parameters(shared, specific, K, K)
    ratio = predicted_ratio(similarity(shared, specific), K, J)
    assert 0 < ratio <= 1
    assert abs(ratio - math.sqrt(m / separate)) < 1e-9
    if J < K:
        back = empirical_beta(ratio, K, J)
        assert abs(back - similarity(shared, specific)) < 1e-12 * K


def test_sharing_over_a_grid():
    beta, K = np.linspace(0, 1, 200)[:, None], np.arange(1, 201)[None]
    ratio = predicted_ratio(beta, K)
    assert ratio.shape == (200, 200)
    assert np.all(np.diff(ratio, axis=0) <= 0)
    assert np.all(np.diff(ratio, axis=1) <= 1e-15)
    assert np.all(ratio[:, 0] == 1)
    assert abs(ratio[-1, -1] - math.sqrt(1 / 200)) < 1e-9


@settings(derandomize=True)
@given(st.floats(-10, 10), st.floats(0, 10), st.floats(0.1, 10), st.floats(0.01, 5), st.data())
def test_constants_are_bracketed_by_as_few_as_can_be(low, span, width, eps, data):
    brackets = ConstantBrackets(low, low + span, width, eps)
    theta = data.draw(st.floats(low, low + span))
    gap = (brackets.above(theta) - theta) * width
    assert -1e-9 <= gap <= eps * (1 + 1e-9) + 1e-9
    assert len(brackets.elements) == brackets.number
    # Members further apart than eps/width need an element each.
    members = low + span - np.arange(0, span, eps / width * (1 + 1e-6))
    assert brackets.number >= len(members)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("target must be", lambda: sample_size_for_tv(10, 1.5)),
        ("target must be", lambda: sample_size(BOUNDS["paper"], 1.0)),
        (
            "would need more than",
            lambda: sample_size(lambda n: refined(gaussian_bracketing(1e18, 1, 9.0), n), 0.01),
        ),
        ("tv must be in", lambda: effective_parameters(1.2, 10)),
        ("n and loss must be", lambda: fit_learning_curve([1, 2], [3.0, 2.0])),
        ("n and loss must be", lambda: fit_learning_curve([1, 2, 3], [3.0, 2.0])),
        ("n must hold two", lambda: fit_learning_curve([5, 5, 5], [3.0, 2.0, 1.0])),
        ("standard_error must be", lambda: fit_learning_curve([1, 2], [3.0, 2.0], [0, 1])),
        ("level must be", lambda: fit_learning_curve([1, 2, 3], [3.0, 2.0, 1.0], level=1.0)),
        ("p_separate must be", lambda: takeover(-1, 5, 1, 1)),
        (
            "factor must be",
            lambda: what_helps(
                lambda m, J, n: refined(gaussian_bracketing(m, 1, 1.0), n), 1, 1, 2, 9, 1
            ),
        ),
        ("shared must be", lambda: parameters(-1, 5, 2)),
        ("specific must be", lambda: similarity(1, -5)),
        ("shared \\+ specific must be", lambda: similarity(0, 0)),
        ("epsilon must be above 0", lambda: ConstantBrackets(0, 1, 1, 0)),
        ("high must be", lambda: ConstantBrackets(1, 0, 1, 1)),
        ("theta must be", lambda: ConstantBrackets(0, 1, 1, 1).above(2)),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
