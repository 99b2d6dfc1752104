"""The worst case T against numerical maximisation; the forms of the general bound."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from sourcewise.errors import InputError
from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.general import Bound, paper, refined, simple, worst_case
from sourcewise.theory.mlp import nearest_centres

from .witnesses import centres

Floats = np.ndarray


def interval(m: ArrayLike = 3, B: ArrayLike = 1.0, **more) -> Bracketing:
    """Constants in [-B, B] on a unit interval: cells of half-width eta leave a gap of 2 eta."""
    return Bracketing(m, B, lambda e: np.asarray(e) / 2, lambda h: 2 * np.asarray(h), "i", **more)


def feasible(rng, eps: float, a: float, atoms: int) -> tuple[Floats, Floats, Floats]:
    """Random p', p̂, p*: `p' >= p̂`, `∫p' = 1 + eps`, `∫ sqrt(p' p*) >= e^-a`."""
    truth = rng.dirichlet(np.full(atoms, rng.choice([0.3, 1, 5])))
    low, high = 0.0, 1.0
    other = rng.dirichlet(np.full(atoms, rng.choice([0.3, 1, 5])))
    for _ in range(40):  # as far from the truth as the likelihood allows
        mid = (low + high) / 2
        raised = (1 + eps) * ((1 - mid) * truth + mid * other)
        far = np.sqrt(raised * truth).sum() < math.exp(-a)
        low, high = (low, mid) if far else (mid, high)
    raised = (1 + eps) * ((1 - low) * truth + low * other)
    below = raised.copy()
    left = eps
    # Take eps off, first where the estimate is below the truth: that keeps it far away.
    for i in np.argsort(raised / truth):
        taken = min(left, below[i])
        below[i], left = below[i] - taken, left - taken
    return raised, below, truth


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.floats(1e-6, 0.99), st.floats(1e-6, 2), st.integers(2, 6), st.integers(0, 10**9))
def test_no_random_feasible_triple_is_above_the_worst_case(eps, a, atoms, seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        raised, estimate, truth = feasible(rng, eps, a, atoms)
        assert np.sqrt(raised * truth).sum() >= math.exp(-a) - 1e-12
        assert np.all(estimate <= raised + 1e-15)
        assert abs(estimate.sum() - 1) < 1e-12
        assert np.abs(estimate - truth).sum() / 2 <= worst_case(eps, a) + 1e-9


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.floats(1e-4, 0.9), st.floats(1e-4, 1), st.integers(2, 5), st.integers(0, 10**9))
def test_averages_over_sources_are_covered(eps, a, K, seed):
    """Sources may share the gap and the loss of likelihood unevenly; T is concave."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(K))
    gaps, losses = eps * rng.dirichlet(np.ones(K)) / share, a * rng.dirichlet(np.ones(K)) / share
    triples = [feasible(rng, gap, loss, 4) for gap, loss in zip(gaps, losses, strict=True)]
    bc = [np.sqrt(raised * truth).sum() for raised, _, truth in triples]
    tv = [np.abs(estimate - truth).sum() / 2 for _, estimate, truth in triples]
    spent = -math.log(min(share @ bc, math.sqrt(1 + eps)))
    assert share @ tv <= worst_case(eps, max(spent, 0.0)) + 1e-9


def largest_on_two_atoms(eps: float, a: float) -> float:
    """Maximum of TV over two atoms, by one angle: p* = (sin^2 t, cos^2 t), p' turned from it."""
    t = np.linspace(0, math.pi / 2, 400_001)
    turn = math.acos(min(1.0, math.exp(-a) / math.sqrt(1 + eps)))
    first = (1 + eps) * np.sin(np.minimum(t + turn, math.pi / 2)) ** 2
    return float(np.max(np.minimum(first, 1) - np.sin(t) ** 2))


@pytest.mark.parametrize("eps", [1e-4, 0.01, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("a", [1e-4, 0.01, 0.1, 0.5, 2.0])
def test_worst_case_is_attained_on_two_atoms(eps, a):
    assert abs(largest_on_two_atoms(eps, a) - worst_case(eps, a)) < 2e-6


def climb(eps: float, a: float, seed: int) -> float:
    """TV of a local maximum over three atoms: p', p̂, p* free."""
    rng, ones = np.random.default_rng(seed), np.ones(3)

    def parts(z: Floats) -> Floats:
        return z.reshape(3, 3)

    limits = [
        {"type": "eq", "fun": lambda z: parts(z)[1:].sum(1) - 1},
        {"type": "ineq", "fun": lambda z: 1 + eps - parts(z)[0].sum()},
        {"type": "ineq", "fun": lambda z: parts(z)[0] - parts(z)[1]},
        {
            "type": "ineq",
            "fun": lambda z: (
                np.sqrt(np.maximum(parts(z)[0] * parts(z)[2], 1e-15)).sum() - math.exp(-a)
            ),
        },
    ]
    sign = np.array([1.0, -1.0, rng.choice([-1.0, 1.0])])
    truth = rng.dirichlet(ones)
    start = np.concatenate([(1 + eps) * truth, truth, truth])
    found = minimize(
        lambda z: -(sign * (parts(z)[1] - parts(z)[2])).sum() / 2,
        start,
        bounds=[(1e-9, 2)] * 9,
        constraints=limits,
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-12},
    )
    slack = min(float(np.min(limit["fun"](found.x))) for limit in limits[1:])
    ok = slack > -1e-7 and np.max(np.abs(limits[0]["fun"](found.x))) < 1e-7
    return -found.fun if ok else 0.0


@pytest.mark.parametrize(("eps", "a"), [(0.05, 0.05), (0.2, 0.02), (0.02, 0.3), (0.4, 0.4)])
def test_worst_case_is_the_numerical_maximum_on_three_atoms(eps, a):
    best = max(climb(eps, a, seed) for seed in range(12))
    assert best <= worst_case(eps, a) + 1e-5
    assert best >= worst_case(eps, a) - 1e-3


@settings(derandomize=True)
@given(st.floats(0, 1), st.floats(0, 50), st.floats(1, 2), st.floats(1, 2))
def test_worst_case_grows_with_both_arguments(eps, a, wider, more):
    here = worst_case(eps, a)
    assert 0 <= here <= 1
    assert here <= worst_case(eps * wider, a) + 1e-15
    assert here <= worst_case(eps, a * more) + 1e-15


def test_worst_case_limits():
    assert worst_case(0, 0) == 0
    assert worst_case(1, 0) == 1
    assert worst_case(0, math.inf) == 1
    tiny = worst_case(1e-14, 1e-14)  # sqrt(eps + 2a): no cancellation
    assert abs(tiny / math.sqrt(3e-14) - 1) < 1e-6


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.just(0.0) | st.floats(1e-3, 1e7),
    st.floats(1e-6, 1e9),
    st.integers(1, 10**15),
    st.floats(1e-300, 0.5),
    st.floats(0, 5000),
)
def test_forms_are_ordered_and_finite(m, B, n, delta, log_scale):
    """For any class, however deep: log_scale 5000 is a Lipschitz constant of 10^2171."""
    line = interval(m, B, log_scale=log_scale)
    forms = [refined(line, n, delta), simple(line, n, delta), paper(line, n, delta)]
    values = [form.value for form in forms]
    assert all(math.isfinite(value) and value >= 0 for value in values)
    assert values[0] <= values[1] * (1 + 1e-12)
    assert values[1] <= values[2] * (1 + 1e-12)
    for form in forms:
        assert form.complexity >= 0
        assert abs(form.complexity * n - form.log_number) <= 1e-9 * form.log_number
        assert form.vacuous == (form.value >= 1)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.floats(0, 1e5), st.integers(1, 10**9), st.floats(1e-9, 0.25), st.floats(1, 3))
def test_forms_grow_with_the_class_and_with_confidence(m, n, delta, factor):
    for form in (paper, simple, refined):
        here = form(interval(m), n, delta).value
        assert here <= form(interval(m * factor), n, delta).value * (1 + 1e-12)
        assert here >= form(interval(m), n, delta * min(factor, 2)).value * (1 - 1e-12)


@settings(derandomize=True)
@given(st.floats(0, 1e6), st.floats(1e-12, 1), st.floats(1, 1e6), st.floats(1e-3, 1e6))
def test_log_number_falls_with_epsilon_and_grows_with_the_box(m, eps, factor, B):
    here = interval(m, B).log_number(eps)
    assert here >= interval(m, B).log_number(eps * factor)
    assert here <= interval(m, B * factor).log_number(eps)
    assert here <= interval(m + 1, B).log_number(eps)


def test_the_parts_of_a_bound_give_its_value():
    line = interval(7)
    one = refined(line, 300, 0.1)
    assert one.value == worst_case(one.epsilon, one.complexity + one.confidence)
    assert line.log_number(one.epsilon) <= one.log_number * (1 + 1e-12)
    assert abs(one.confidence - math.log(10) / 300) < 1e-15
    first = paper(line, 300, 0.1)
    assert first.value == 3 * math.sqrt((7 * math.log(600) + math.log(10)) / 300)
    assert (first.epsilon, first.s) == (1 / 300, 1)


def test_refined_is_the_best_of_a_brute_scan():
    """Every number of cells tried one by one."""
    cells = np.arange(1, 20_001)
    for n in (10, 200, 5000):
        a = (5 * np.log(cells) + math.log(20)) / n
        brute = np.min(worst_case(2 / cells, a))
        found = refined(interval(5), n).value
        assert brute - 1e-12 <= found <= brute * (1 + 2e-3)


def test_many_points_at_once_are_the_points_one_by_one():
    K, n, delta = np.array([[1], [7], [300]]), np.array([10, 1000, 10**6]), 0.01
    for form in (paper, simple, refined):
        together = form(interval(K), n, delta)
        assert together.value.shape == (3, 3)
        one = form(interval(7), 1000, delta)
        for name in Bound.__dataclass_fields__:
            if name != "form":
                assert np.broadcast_to(getattr(together, name), (3, 3))[1, 1] == getattr(one, name)
    wide = refined(interval(3, np.array([1.0, 10.0])), 100)
    assert wide.value[1] == refined(interval(3, 10.0), 100).value


def test_sparse_classes_count_the_cheaper_way():
    line = interval(10, log_choices=30.0, m_dense=40)
    few, many = line.number_of_cells(math.log(2)), line.number_of_cells(math.log(100))
    assert few == 40 * math.log(2)
    assert many == 30 + 10 * math.log(100)
    both = refined(line, 10**4).value
    assert both <= refined(interval(10, log_choices=30.0), 10**4).value
    assert both <= refined(interval(40), 10**4).value


@settings(derandomize=True)
@given(st.floats(1e-3, 1e3), st.integers(1, 10_000), st.floats(-1, 1))
def test_centres_cover_the_box_and_stay_inside(B, cells, where):
    value = where * B
    middle = nearest_centres(value, B, cells)
    assert abs(middle) <= B
    assert abs(middle - value) <= B / cells * (1 + 1e-9)
    assert np.min(np.abs(centres(B, cells) - middle)) <= 1e-12 * B


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("n must be above 0", lambda: paper(interval(), 0)),
        ("n must be above 0", lambda: simple(interval(), math.nan)),
        ("n must be above 0", lambda: refined(interval(), [10, -1])),
        ("delta must be above 0 and below 1", lambda: refined(interval(), 10, 1.0)),
        ("delta must be above 0 and below 1", lambda: paper(interval(), 10, 0.0)),
        ("delta must be above 0 and at most 0.5", lambda: paper(interval(), 10, 0.6)),
        ("m must be in", lambda: refined(interval(-1), 10)),
        ("B must be above 0", lambda: simple(interval(3, 0.0), 10)),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
