"""The JKO scheme: its bounds hold along exact recursions of normal laws."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from sourcewise.errors import InputError
from sourcewise.theory import jko, jko_normal
from sourcewise.theory.conversions import kl_of_gaussians

GAMMAS, LAMS = st.floats(0.02, 5.0), st.floats(0.1, 4.0)
MEANS, SCALES = st.floats(-5.0, 5.0), st.floats(0.0, 4.0)
STARTS = st.lists(st.tuples(MEANS, SCALES), min_size=1, max_size=3)
TURNS = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=3, max_size=3)


def walk(start, gamma, lam, steps, a=0.0, b=0.0):
    """All laws (m, s) of the scheme; a residual a + b z in each direction."""
    m, s = np.array(start, dtype=float).T
    laws = [(m, s)]
    for _ in range(steps):
        laws.append(jko_normal.step(*laws[-1], gamma, lam, a, b))
    return laws


def residual_of_length(turns, eps, directions):
    """(a, b) in each direction, of length eps in all."""
    raw = np.array(turns[:directions]) + 1e-3
    return tuple((eps * raw / np.sqrt((raw**2).sum())).T)


@given(MEANS, SCALES, GAMMAS, LAMS)
def test_an_exact_step_minimises_its_objective(m, s, gamma, lam):
    """By a numerical search over means and logarithms of standard deviations."""

    def objective(place):
        mean, scale = place[0], math.exp(place[1])
        moved = (mean - m) ** 2 + (scale - s) ** 2
        return jko_normal.kl(mean, scale, lam) + moved / (2 * gamma)

    found = minimize(objective, (m / 2, 0.0), method="BFGS", options={"gtol": 1e-9})
    mean, scale = jko_normal.step(m, s, gamma, lam)
    assert (found.x[0], math.exp(found.x[1])) == pytest.approx((mean, scale), abs=2e-5)
    assert objective((mean, math.log(scale))) <= found.fun + 1e-12


def test_the_published_setting_has_these_values():
    """Covariance [[7, 5], [5, 7]], gamma = 10, one step; and (3, .2) with gamma = .5."""
    axes = np.linalg.eigh(np.array([[7.0, 5.0], [5.0, 7.0]]))
    _, s = jko_normal.step(0.0, np.sqrt(axes.eigenvalues), gamma=10)
    assert s[::-1] ** 2 == pytest.approx([1.26301, 1.04022], abs=5e-6)
    after = axes.eigenvectors @ np.diag(s**2) @ axes.eigenvectors.T
    assert after.ravel() == pytest.approx([1.1516, 0.1114, 0.1114, 1.1516], abs=5e-5)
    squares = [jko_normal.w2(*law) ** 2 for law in walk([(3.0, 0.2)], 0.5, 1.0, 4)]
    assert [squares[n] for n in (1, 2)] == pytest.approx([4.124, 1.806], abs=5e-4)
    assert squares[4] == pytest.approx(0.3528, abs=5e-5)


@given(MEANS, SCALES, GAMMAS, LAMS, st.floats(-2, 2), st.floats(-2, 2))
def test_a_step_has_the_residual_it_was_given(m, s, gamma, lam, a, b):
    """From its definition, `grad V + grad log p' - (T - x)/gamma`, at places x = m' + s' z."""
    mean, scale = jko_normal.step(m, s, gamma, lam, a, b)
    assert jko_normal.residual(m, s, (mean, scale), gamma, lam) == pytest.approx((a, b), abs=1e-8)
    z, chance = np.polynomial.hermite_e.hermegauss(3)
    x = mean + scale * z
    transport = m + s / scale * (x - mean)
    xi = lam * x - (x - mean) / scale**2 - (transport - x) / gamma
    assert xi == pytest.approx(a + b * z, abs=1e-8)
    assert xi**2 @ chance / chance.sum() == pytest.approx(a**2 + b**2, abs=1e-7)


@given(MEANS, st.floats(1e-3, 4.0), LAMS)
def test_distances_are_those_of_normal_laws(m, s, lam):
    """W2 by its integral over quantiles, KL by the formula for matrices."""
    target = np.eye(2) / lam
    wanted = kl_of_gaussians([m, 0.0], np.diag([s**2, 1.0]), [0.0, 0.0], target)
    assert jko_normal.kl([m, 0.0], [s, 1.0], lam) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    z, chance = np.polynomial.hermite_e.hermegauss(4)
    apart = (m + s * z - lam**-0.5 * z) ** 2 @ chance / chance.sum()
    assert jko_normal.w2(m, s, lam) ** 2 == pytest.approx(apart, abs=1e-9)


def test_a_small_kl_keeps_its_digits():
    """KL = (s^2 - 1)^2/4 to first order."""
    assert jko_normal.kl(0.0, 1 + 1e-7) == pytest.approx(1e-14, rel=1e-6, abs=0)
    assert jko_normal.kl(0.0, 1e-200) == pytest.approx(200 * math.log(10) - 0.5)


@given(STARTS, GAMMAS, LAMS, st.floats(0, 1), TURNS)
def test_each_inequality_holds_along_inexact_recursions(start, gamma, lam, eps, turns):
    """The EVI step by step, and the bounds on W2 and KL after any number of steps."""
    laws = walk(start, gamma, lam, 25, *residual_of_length(turns, eps, len(start)))
    w2 = [jko_normal.w2(m, s, lam) for m, s in laws]
    for n, (m, s) in enumerate(laws[1:], start=1):
        kl = jko_normal.kl(m, s, lam)
        left = (1 + gamma * lam / 2) * w2[n] ** 2 + 2 * gamma * kl
        assert left <= (w2[n - 1] ** 2 + 2 * gamma * eps**2 / lam) * (1 + 1e-12) + 1e-12
        assert w2[n] <= jko.w2_bound(w2[0], gamma, lam, eps, n) * (1 + 1e-12) + 1e-12
        assert kl <= jko.kl_bound(w2[0], gamma, lam, eps, n) * (1 + 1e-12) + 1e-12


@given(STARTS, GAMMAS, LAMS, st.floats(1e-3, 1), TURNS)
def test_the_rule_gives_steps_enough(start, gamma, lam, eps, turns):
    gamma = min(max(gamma, 0.2 / lam), 2 / lam * (1 - 1e-12))
    m, s = np.array(start).T
    W2 = jko_normal.w2(m, s, lam)
    if W2 == 0:
        return
    N = jko.steps_by_rule(W2, gamma, lam, eps)
    assert N is not None
    laws = walk(start, gamma, lam, N + 1, *residual_of_length(turns, eps, len(start)))
    nearness = math.sqrt(5) * eps / lam
    assert jko.w2_bound(W2, gamma, lam, eps, N) <= nearness * (1 + 1e-12)
    assert jko_normal.w2(*laws[N], lam) <= nearness
    assert jko_normal.kl(*laws[N + 1], lam) <= jko.kl_by_rule(gamma, lam, eps)
    assert jko.kl_bound(W2, gamma, lam, eps, N + 1) <= jko.kl_by_rule(gamma, lam, eps) * (
        1 + 1e-12
    )
    fewest = jko.fewest_steps(W2, gamma, lam, eps, nearness * (1 + 1e-12))
    assert fewest is not None
    assert fewest <= N


def test_the_bound_is_near_what_happens_with_small_steps():
    """A mean alone loses `(1 + gamma)^-2` of its square, where the bound has `(1 + gamma/2)^-1`.

    And a constant residual a leaves the mean at a, the bound at 2 a.
    """
    laws = walk([(3.0, 1.0)], 0.01, 1.0, 100)
    assert jko_normal.w2(*laws[100]) == pytest.approx(3 / 1.01**100)
    assert jko.w2_bound(3, 0.01, 1, 0, 100) == pytest.approx(3 / 1.005**50)
    at_rest = walk([(3.0, 1.0)], 0.5, 1.0, 200, 0.1)[-1]
    assert jko_normal.w2(*at_rest) == pytest.approx(0.1)
    assert jko.w2_bound(3, 0.5, 1, 0.1, 2000) == pytest.approx(0.2)


@given(st.floats(0, 100), GAMMAS, LAMS, st.floats(0, 1), st.floats(1e-3, 10))
def test_the_fewest_steps_are_the_first_that_reach_a_target(W2, gamma, lam, eps, target):
    n = jko.fewest_steps(W2, gamma, lam, eps, target)
    if n is None:
        assert 2 * eps / lam >= target
        assert jko.w2_bound(W2, gamma, lam, eps, 10**6) >= target * (1 - 1e-12)
        return
    assert jko.w2_bound(W2, gamma, lam, eps, n) <= target
    assert n == 0 or jko.w2_bound(W2, gamma, lam, eps, n - 1) > target


def test_more_steps_than_there_are_numbers_for_are_none():
    assert jko.fewest_steps(1.0, 1e-16, 1.0, 0.0, 0.1) is None
    assert jko.fewest_steps(1.0, 1e-200, 1e-200, 0.0, 0.1) is None
    assert jko.steps_by_rule(1.0, 1e-16, 1.0, 0.1) is None


@given(MEANS, SCALES, st.floats(0, 5), st.integers(1, 4))
def test_smoothing_moves_no_law_further(m, s, delta, d):
    """Normal data in d equal directions; for s = 0, a single point, it is an equality."""
    shrink = math.exp(-delta)
    after = math.sqrt(shrink**2 * s**2 + 1 - shrink**2)
    moved = math.sqrt(d * ((1 - shrink) ** 2 * m**2 + (after - s) ** 2))
    bound = jko.smoothing(delta, d * (m**2 + s**2), d)
    assert moved <= bound * (1 + 1e-9) + 1e-9
    point = math.sqrt(d * ((1 - shrink) ** 2 * m**2 + 1 - shrink**2))
    assert jko.smoothing(delta, d * m**2, d) == pytest.approx(point, abs=1e-7)


@given(MEANS, st.floats(0.05, 4.0), GAMMAS, st.floats(0, 0.5), st.floats(0, math.pi))
def test_errors_of_inverses_add_up_to_no_more(m, s, gamma, error, turn):
    """Affine inverses that are off by `error (cos + sin z)`, z of the law that each is given.

    The exact ones stretch by `s_n/s_{n+1}`, at most `e^{gamma K}`.
    """
    laws = walk([(m, s)], gamma, 1.0, 6)
    ratios = [float(before[1][0] / after[1][0]) for before, after in pairwise(laws)]
    K = max(0.0, math.log(max(ratios)) / gamma)
    exact = mean, scale = 0.0, 1.0
    for before, after, ratio in zip(laws[-2::-1], laws[:0:-1], ratios[::-1], strict=True):
        exact = before[0][0] + ratio * (exact[0] - after[0][0]), ratio * exact[1]
        mean = before[0][0] + ratio * (mean - after[0][0]) + error * math.cos(turn)
        scale = ratio * scale + error * math.sin(turn)
    apart = math.hypot(mean - exact[0], scale - exact[1])
    assert apart <= jko.inversion(error, gamma, K, 6) * (1 + 1e-9) + 1e-12


def test_errors_of_inverses_add_up_to_that():
    """Where each map doubles: 1 + 2 + 4 + 8; and where it keeps lengths: a sum."""
    assert jko.inversion(0.1, 0.5, 2 * math.log(2), 4) == pytest.approx(1.5)
    assert jko.inversion(0.1, 0.5, 1e-13, 4) == pytest.approx(jko.inversion(0.1, 0.5, 0, 4))
    assert jko.inversion(0.1, 1, 800, 2) == math.inf
    assert jko.inversion(0.0, 1, 800, 2) == 0


def test_bounds_take_many_numbers_at_once():
    n = np.array([1, 10, 100])
    many = jko.kl_bound(3, 0.5, 1, 0.01, n)
    assert many.tolist() == [jko.kl_bound(3, 0.5, 1, 0.01, int(k)) for k in n]
    assert jko.inversion(0.1, 0.5, 0.2, n).tolist() == [
        jko.inversion(0.1, 0.5, 0.2, int(k)) for k in n
    ]


@pytest.mark.parametrize(
    ("message", "ask"),
    [
        ("gamma must be above 0", lambda: jko.w2_bound(1, 0, 1, 0, 1)),
        ("lam must be above 0", lambda: jko.w2_bound(1, 1, -1, 0, 1)),
        (r"eps must be in \[0, inf\]", lambda: jko.kl_bound(1, 1, 1, -0.1, 1)),
        ("n must be a whole number, at least 1", lambda: jko.kl_bound(1, 1, 1, 0.1, 0)),
        ("gamma lam must be at most 2, got 4", lambda: jko.steps_by_rule(1, 2, 2, 0.1)),
        ("eps must be above 0", lambda: jko.steps_by_rule(1, 1, 1, 0)),
        ("target must be above 0", lambda: jko.fewest_steps(1, 1, 1, 0, 0)),
        ("d must be in", lambda: jko.smoothing(0.1, 1, 0)),
        ("K must be in", lambda: jko.inversion(0.1, 1, -1, 2)),
        ("s must be above 0", lambda: jko_normal.kl(0, 0)),
        ("s must be in", lambda: jko_normal.step(0, -1, 1)),
    ],
)
def test_bad_arguments_are_named(message, ask):
    with pytest.raises(InputError, match=message):
        ask()
