"""Rectified flow: the bound on Euler's steps, against exact flows of mixtures and normal laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from sourcewise.errors import InputError
from sourcewise.theory import rectified, rectified_normal
from sourcewise.theory.rectified_mixture import Mixture

TWO = Mixture([[2.0, 5 / math.sqrt(2)], [-2.0, 5 / math.sqrt(2)]])
SCALES, MEANS = st.floats(0.1, 5.0), st.floats(-3.0, 3.0)
MODES = st.lists(MEANS, min_size=1, max_size=3)


Z = np.linspace(-7, 7, 1001)[:, None]
CHANCE = np.exp(-(Z[:, 0] ** 2) / 2) / np.exp(-(Z[:, 0] ** 2) / 2).sum()


def coupled(mixture, T, offset=0.0):
    """`sqrt(E|Euler's end - exact end|^2)` of paths from the same noise: never below W2.

    On a line, with a field that is off by a constant.
    """
    place = Z
    for j in range(T):
        place = place + (mixture.velocity(place, j / T) + offset) / T
    return math.sqrt(np.square(place - mixture.flow(Z, 100))[:, 0] @ CHANCE)


def test_two_modes_have_these_values():
    """By sums over a fine grid where they differ, and a closed form in the other direction."""
    t, w = np.polynomial.legendre.leggauss(20)
    x = np.linspace(-10, 10, 801)
    line = Mixture(TWO.mu[:, :1])

    def bend(time):
        a = (1 - time) ** 2 + time**2
        density = np.exp(-np.square(x[:, None] - time * line.mu[:, 0]) / (2 * a)).mean(1)
        density /= math.sqrt(2 * math.pi * a)
        h = 1e-5
        moved = [
            line.velocity(x[:, None] + sign * h * line.velocity(x[:, None], time), time + sign * h)
            for sign in (1, -1)
        ]
        change = (moved[0] - moved[1])[:, 0] / (2 * h)
        return (density * change**2).sum() * (x[1] - x[0]) + 1 / a**3

    total = sum(part / 2 * bend((1 + place) / 2) for part, place in zip(w, t, strict=True))
    assert TWO.straightness(1) == pytest.approx(total, rel=1e-6)
    assert TWO.straightness(1) == pytest.approx(21.93, abs=5e-3)
    assert TWO.lipschitz() == pytest.approx(4.083, abs=5e-4)
    # at t = 1/2 in the middle, D^2/4 = 4
    assert slope(TWO, np.array([0.0, 5 / math.sqrt(8)]), 0.5) == pytest.approx(4.0, abs=1e-6)


def slope(mixture, x, t, h=1e-5):
    """The largest singular value of the Jacobian, by differences."""
    steps = h * np.eye(len(x))
    ahead, behind = (mixture.velocity(x + s * steps, t) for s in (1, -1))
    return np.linalg.norm((ahead - behind) / (2 * h), ord=2)


def test_the_bound_is_above_the_coupled_error_of_two_modes():
    """Which halves with twice the steps; at one step the sharper bound is near it."""
    counts = (1, 2, 4, 8, 16, 32, 64, 128)
    alike, apart = Mixture(TWO.mu[:1, 1:]), Mixture(TWO.mu[:, :1])  # one for each coordinate
    errors = [math.hypot(coupled(alike, T), coupled(apart, T)) for T in counts]
    assert errors[0] == pytest.approx(math.sqrt(6), rel=1e-6)  # all paths end in the mean
    rounded = [2.45, 1.24, 0.634, 0.328, 0.167, 0.084, 0.042, 0.021]
    assert errors == pytest.approx(rounded, rel=2e-2)
    L = TWO.lipschitz()
    for T, error in zip(counts, errors, strict=True):
        gamma2 = TWO.straightness(T)
        assert error <= rectified.w2_of_steps(L, 0, gamma2, T)
        assert rectified.w2_of_steps(L, 0, gamma2, T) <= rectified.w2_bound(L, 0, gamma2, T)
    assert rectified.w2_of_steps(L, 0, TWO.straightness(1), 1) < 1.11 * errors[0]


@settings(max_examples=25, deadline=None)
@given(MODES, st.floats(0.3, 2.0), st.integers(1, 12), st.floats(-1, 1))
def test_the_bound_holds_for_mixtures_and_fields_that_are_off(means, scale, T, offset):
    """A constant error keeps the Lipschitz constant, and is eps."""
    mixture = Mixture([[m] for m in means], scale=scale)
    error = coupled(mixture, T, offset=offset)
    gamma2, L = mixture.straightness(T), mixture.lipschitz()
    assert error <= rectified.w2_of_steps(L, abs(offset), gamma2, T) + 1e-6
    assert error <= rectified.w2_bound(L, abs(offset), gamma2, T) + 1e-6


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(MEANS, MEANS), min_size=1, max_size=3),
    st.floats(0.2, 3.0),
    st.floats(0.05, 0.95),
    st.tuples(MEANS, MEANS),
)
def test_the_field_is_the_mean_of_what_it_carries(means, scale, t, x):
    """`E[X_1 - X_0 | X_t = x]` mode by mode, its derivative along a path, and its slope."""
    mixture = Mixture(means, scale=scale)
    a = (1 - t) ** 2 + (t * scale) ** 2
    apart = np.array(x) - t * mixture.mu
    share = np.exp(-((apart**2).sum(-1) - (apart**2).sum(-1).min()) / (2 * a))
    share /= share.sum()
    # of one mode: mu plus a regression on X_t
    own = mixture.mu + (t * scale**2 - (1 - t)) / a * apart
    v = mixture.velocity(x, t)
    assert v == pytest.approx(share @ own, abs=1e-9)
    h = 1e-5
    ahead, behind = (mixture.velocity(x + s * h * v, t + s * h) for s in (1, -1))
    # an error of order h^2 times third derivatives, which narrow modes make large
    assert mixture.acceleration(x, t) == pytest.approx(
        (ahead - behind) / (2 * h), rel=1e-4, abs=1e-3
    )
    assert slope(mixture, np.array(x), t) <= mixture.lipschitz() * (1 + 1e-5) + 1e-5


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 30.0), st.floats(0, 5.0))
def test_the_lipschitz_constant_is_the_largest_slope_of_two_modes(scale, half):
    """In the middle between them, over times; and at either end far out."""
    mixture = Mixture([[-half], [half]], scale=scale)

    def between(angle, sign):
        t = math.sin(angle) / (math.sin(angle) + scale * math.cos(angle))
        a = (1 - t) ** 2 + (t * scale) ** 2
        c = (t * scale**2 - (1 - t)) / a
        return -sign * (c + t * (1 - t) * half**2 / a**2)

    found = [
        minimize_scalar(between, bounds=(0, math.pi / 2), args=(sign,), method="bounded")
        for sign in (1, -1)
    ]
    assert mixture.lipschitz() >= max(-one.fun for one in found) * (1 - 1e-6)
    ends = max(1.0, max(-between(angle, s) for angle in (0, math.pi / 2) for s in (1, -1)))
    assert mixture.lipschitz() <= max(ends, *(-one.fun for one in found), _far(scale)) * (1 + 1e-6)


def _far(scale):
    """The largest |c|: of one mode, `-cos 2u + k sin 2u` in an angle u, `k = (s - 1/s)/2`."""
    return max(
        abs(-math.cos(u) + (scale - 1 / scale) / 2 * math.sin(u))
        for u in np.linspace(0, math.pi, 20001)
    )


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("T", [1, 3, 10])
def test_one_mode_is_as_bent_as_a_normal_law(scale, T):
    """In any number of dimensions, `d s^4 ∫ a^-3` over the worst interval; narrow or wide."""
    mixture = Mixture([[1.0, -2.0, 0.5, 3.0, 0.0]], scale=scale)
    wanted = max(
        T
        * quad(
            lambda t: 5 * rectified_normal.bend(t, 1.0, scale),
            j / T,
            (j + 1) / T,
            limit=500,
            epsabs=1e-12,
            epsrel=1e-10,
            points=[min(max(1 / (1 + scale), j / T), (j + 1) / T)],
        )[0]
        for j in range(T)
    )
    assert mixture.straightness(T) == pytest.approx(wanted, rel=1e-6)


def test_turned_and_longer_coordinates_change_nothing():
    """Modes that differ in one direction of five, against the same on a line."""
    axis = np.array([3.0, -1.0, 2.0, 0.5, 1.0])
    axis /= np.linalg.norm(axis)
    line = Mixture([[-1.0], [2.0]], [0.3, 0.7], 0.8)
    turned = Mixture(
        np.outer([-1.0, 2.0], axis) + 3 * np.array([1, 3, 0, 0, 0]) / 4, [0.3, 0.7], 0.8
    )
    alone = Mixture([[0.0] * 4], scale=0.8)
    assert turned.straightness(4) == pytest.approx(max_of_sum(line, alone, 4), rel=1e-9)
    assert turned.lipschitz() == pytest.approx(line.lipschitz(), rel=1e-12)


def max_of_sum(one, two, T):
    """The largest mean over T intervals of both bends together."""
    t, w = np.polynomial.legendre.leggauss(40)
    return max(
        sum(
            p / 2 * (one.bend(u) + two.bend(u))
            for p, u in zip(w, (j + (t + 1) / 2) / T, strict=True)
        )
        for j in range(T)
    )


def test_more_nodes_do_not_change_what_three_modes_give():
    """Against a sum over a fine grid, of a plane of three modes."""
    mixture = Mixture([[-2.0, 0.0], [2.0, 1.0], [0.0, 3.0]], [0.2, 0.5, 0.3], 0.7)
    x = np.stack(np.meshgrid(*[np.linspace(-6, 7, 261)] * 2, indexing="ij"), -1)
    for t in (0.3, 0.5, 0.8):
        a = (1 - t) ** 2 + (0.7 * t) ** 2
        apart = np.square(x[..., None, :] - t * mixture.mu).sum(-1)
        density = np.exp(-apart / (2 * a)) @ mixture.w / (2 * math.pi * a)
        square = np.square(mixture.acceleration(x, t)).sum(-1)
        assert mixture.bend(t) == pytest.approx((density * square).sum() * 0.05**2, rel=1e-4)


@pytest.mark.parametrize(("D", "scale"), [(10, 1), (20, 0.2), (6, 0.05)])
def test_modes_that_are_far_apart_are_not_missed(D, scale):
    """Between them the field turns in a layer that is thin beside the law of X_t."""
    mixture = Mixture([[-D / 2], [D / 2]], [0.3, 0.7], scale)
    x = np.linspace(-25, 25, 100_001)[:, None]
    for t in (0.1, 0.3, 0.6, 0.9):
        a = (1 - t) ** 2 + (scale * t) ** 2
        density = np.exp(-np.square(x - t * mixture.mu[:, 0]) / (2 * a)) @ mixture.w
        square = mixture.acceleration(x, t)[:, 0] ** 2
        wanted = density @ square * (x[1, 0] - x[0, 0]) / math.sqrt(2 * math.pi * a)
        assert mixture.bend(t) == pytest.approx(wanted, rel=1e-9)


def test_in_one_dimension_the_flow_is_the_monotone_map():
    mixture = Mixture([[-2.0], [3.0]], [0.3, 0.7])
    z = np.linspace(-4, 4, 81)
    gap = np.abs(mixture.flow(z[:, None], 200)[:, 0] - mixture.monotone_map(z))
    assert gap.max() < 1e-6


@given(st.floats(-8, 8))
def test_the_monotone_map_of_a_normal_law_is_affine(z):
    mixture = Mixture([[3.0]], scale=0.5)
    assert mixture.monotone_map(z) == pytest.approx(3 + 0.5 * z, abs=1e-9)


@given(MEANS, SCALES, MEANS, SCALES, st.floats(-3, 3), st.floats(0.01, 0.99))
def test_normal_laws_need_one_rectification(m0, s0, m1, s1, z, t):
    """The path follows the field and ends where the optimal map ends, which keeps the order."""
    law, h = (m0, s0, m1, s1), 1e-5
    start = m0 + s0 * z
    change = rectified_normal.path(start, t + h, *law) - rectified_normal.path(start, t - h, *law)
    x = rectified_normal.path(start, t, *law)
    assert change / (2 * h) == pytest.approx(
        rectified_normal.field(x, t, *law), rel=1e-3, abs=1e-3
    )
    assert rectified_normal.path(start, 0.0, *law) == pytest.approx(start, abs=1e-9)
    assert rectified_normal.path(start, 1.0, *law) == pytest.approx(m1 + s1 * z, abs=1e-9)


def test_after_one_rectification_normal_laws_have_straight_paths():
    """The second field, the slope of `X_t = (1-t) z + t map(z)`, does not change along a path.

    So gamma_{2,T} = 0, the bound is 0 and one step of Euler's scheme is exact. The first flow's
    single step is not: it goes to `E X_1` everywhere.
    """
    z, law = np.linspace(-3, 3, 13), (0.0, 1.0, 2.0, 0.5)
    ends = rectified_normal.path(z, 1.0, *law)

    def second(x, t):
        start = (x - t * 2.0) / (1 - t + t * 0.5)
        return rectified_normal.path(start, 1.0, *law) - start

    for t in (0.0, 0.3, 0.9):
        assert second((1 - t) * z + t * ends, t) == pytest.approx(ends - z)
    assert z + second(z, 0.0) == pytest.approx(ends)
    assert rectified.w2_bound(3.0, 0, 0, 1) == 0
    assert z + rectified_normal.field(z, 0.0, *law) == pytest.approx(np.full(13, 2.0))


@given(MEANS, SCALES, st.floats(-3, 3), st.floats(0, 1))
def test_one_mode_and_normal_laws_are_the_same(m, s, x, t):
    mixture = Mixture([[m]], scale=s)
    wanted = rectified_normal.field(x, t, 0.0, 1.0, m, s)
    assert mixture.velocity([x], t)[0] == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert mixture.bend(t) == pytest.approx(rectified_normal.bend(t, 1.0, s), rel=1e-9)


@given(st.floats(0, 20), st.floats(0, 1), st.floats(0, 100), st.floats(1e-2, 1e3))
def test_the_fewest_steps_are_the_first_that_reach_a_target(L, eps, gamma2, target):
    T = rectified.fewest_steps(L, eps, gamma2, target)
    if T is None:
        assert rectified.w2_bound(L, eps, gamma2, 10**9) > target * (1 - 1e-6)
        return
    assert rectified.w2_bound(L, eps, gamma2, T) <= target
    assert T == 1 or rectified.w2_bound(L, eps, gamma2, T - 1) > target


def test_growth_has_its_limits():
    assert rectified.stretch(1e-12) == pytest.approx(1)
    assert rectified.stretch(1000) == math.inf
    assert rectified.w2_bound(1000, 0, 0, 1) == 0
    assert rectified.fewest_steps(1000, 0, 0, 0.1) == 1
    assert rectified.fewest_steps(1000, 0, 1.0, 0.1) is None
    many = rectified.w2_of_steps(1.0, 0.1, 1.0, np.array([1, 10, 10**6]))
    assert many[0] == pytest.approx(0.1 + math.sqrt(1 / 3))
    assert many[-1] == pytest.approx(rectified.w2_bound(1.0, 0.1, 1.0, 10**6), rel=1e-5)


@pytest.mark.parametrize(
    ("message", "ask"),
    [
        (r"L must be in \[0, inf\]", lambda: rectified.w2_bound(-1, 0, 0, 1)),
        ("T must be a whole number, at least 1", lambda: rectified.w2_bound(1, 0, 0, 0)),
        ("gamma2 must be in", lambda: rectified.fewest_steps(1, 0, -1, 1)),
        ("target must be above 0", lambda: rectified.fewest_steps(1, 0, 1, 0)),
        ("scale must be above 0", lambda: Mixture([[0.0]], scale=0)),
        ("one row for each mode", lambda: Mixture([0.0, 1.0])),
        ("p must be a list of positive shares", lambda: Mixture([[0.0], [1.0]], [0.5, 0.4])),
        ("at most 2 directions, got 4", lambda: Mixture(np.eye(5)).bend(0.5)),
        ("of one dimension, got 2", lambda: TWO.monotone_map(0.0)),
        ("t must be in", lambda: TWO.velocity([0.0, 0.0], 1.5)),
        ("s0 must be above 0", lambda: rectified_normal.bend(0.5, 0, 1)),
    ],
)
def test_bad_arguments_are_named(message, ask):
    with pytest.raises(InputError, match=message):
        ask()
