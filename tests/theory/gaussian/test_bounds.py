"""The bounds for conditional Gaussians: numbers, order, coverage."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.conversions import tv_of_distance
from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_bracketing
from sourcewise.theory.gaussian.laws import (
    asymptotic_tv_balanced,
    expected_tv_balanced,
    expected_tv_pooled,
    m_blocks,
)
from sourcewise.theory.gaussian.localized import Counts, _weighted, localized
from sourcewise.theory.gaussian.tilt import Cells, Groups, log_z
from sourcewise.theory.general import paper, refined, simple, worst_case

from ..witnesses import GaussianBracket, centres

# n, blocks, paper, simple, refined, localized, law: d = 10, d1 = 5, B = K = 5, delta = .05
TABLE = [
    (500, 5, 3.0280, 0.9128, 0.9066, 0.8783, 0.1262),
    (500, 1, 2.3501, 0.8075, 0.7985, 0.7486, 0.0977),
    (5_000, 5, 1.0602, 0.4174, 0.4096, 0.3610, 0.0399),
    (5_000, 1, 0.8225, 0.3361, 0.3300, 0.2849, 0.0309),
    (50_000, 5, 0.3649, 0.1505, 0.1483, 0.1252, 0.0126),
    (50_000, 1, 0.2830, 0.1193, 0.1178, 0.0981, 0.0098),
    (1_000_000, 5, 0.0895, 0.0377, 0.0374, 0.0306, 0.0028),
    (1_000_000, 1, 0.0694, 0.0298, 0.0295, 0.0239, 0.0022),
]
PAIR = Counts.equal(2, 10)
ONE_SPECIFIC = (np.array([False]), np.ones((1, 1)), np.ones((1, 1)))


@pytest.mark.parametrize(("n", "J", "first", "second", "third", "fourth", "law"), TABLE)
def test_the_table_of_the_theory(n, J, first, second, third, fourth, law):
    m = m_blocks(5, 10, 5, J)
    assert round(paper(gaussian_bracketing(m, 10, 5.0), n).value, 4) == first
    assert round(simple(gaussian_bracketing(m, 10, 5.0), n).value, 4) == second
    assert refined(envelope_bracketing(m, 10, 5.0), n).value <= third + 1e-4
    last = localized(Counts.equal(5, n, J), 10, 5, 5.0).value
    assert fourth - 1e-4 <= last <= fourth + 1e-4  # the optimum, not something lower
    assert round(asymptotic_bound(m, n), 4) == law


@pytest.mark.parametrize("s", [0.2, 0.7, 0.95])
@pytest.mark.parametrize(("cells", "B", "n"), [(40, 2.0, 30), (7, 1.0, 3), (400, 2.0, 500)])
def test_the_weighed_number_of_elements_is_never_below_the_sum_it_stands_for(cells, B, n, s):
    """`Z_s` in one dimension against the sum of BC^((1-s) n), each BC by quadrature."""
    groups = Groups(np.ones((1, 1)), np.full((1, 1), float(n)), *ONE_SPECIFIC)
    own = Cells(np.full((1, 1), float(cells)), np.full((1, 1), B))
    found = float(log_z(groups, own, own, np.full((1, 1, 1), 1 - s))[0, 0, 0])
    grid, step = np.linspace(-14, 14, 8001, retstep=True)
    middles = centres(B, cells)
    total = np.zeros(21)
    truths = np.linspace(-B, B, 21)
    for middle in middles:
        element = GaussianBracket(np.array([middle]), B / cells)
        log_p = element.log_density(grid[:, None])[:, None]
        log_q = -((grid[:, None] - truths) ** 2) / 2 - math.log(2 * math.pi) / 2
        total += (np.exp((log_p + log_q) / 2).sum(0) * step) ** ((1 - s) * n)
    largest = math.log(total.max())
    assert found >= largest - 1e-9
    assert found <= largest + math.log(2)  # at most the one central element too many


def test_the_localized_value_is_that_of_its_parts():
    for K, n, delta in ((5, 5000, 0.05), (5, 5000, 1e-6), (20, 10**5, 0.5)):
        bound = localized(Counts.equal(K, n), 10, 5, 5.0, delta)
        assert 0 < bound.s < 1
        assert bound.confidence == pytest.approx(-math.log(delta) / (bound.s * n), rel=1e-12)
        assert bound.complexity == pytest.approx(bound.log_number / (bound.s * n), rel=1e-12)
        a = bound.complexity + bound.confidence
        assert bound.value == pytest.approx(float(worst_case(bound.epsilon, a)), rel=1e-9)


def test_order_over_a_wide_grid():
    """localized <= refined <= simple <= paper; 13 440 points, most of them not vacuous."""
    K, n = np.array([1, 2, 5, 30, 1000]), np.geomspace(1, 1e9, 14).round()
    J, delta = np.array([0, 1]), np.array([1e-9, 0.01, 0.05, 0.5])
    points, informative = 0, 0
    for d, own in ((1, [0, 1]), (3, [0, 2, 3]), (10, [0, 5, 10]), (200, [0, 7, 150, 200])):
        grid = np.meshgrid(K, n, J, delta, own, [0.1, 5.0], indexing="ij")
        k, size, separate, level, d1, B = (axis.ravel() for axis in grid)
        blocks = np.where(separate, k, 1)
        m = m_blocks(k, d, d1, blocks)
        values = [
            localized(Counts.equal(k, size, blocks), d, d1, B, level).value,
            refined(envelope_bracketing(m, d, B), size, level).value,
            simple(gaussian_bracketing(m, d, B), size, level).value,
            paper(gaussian_bracketing(m, d, B), size, level).value,
        ]
        for lower, upper in itertools.pairwise(values):
            assert np.all(lower <= upper * (1 + 1e-12))
        assert np.all(values[0] >= 0)
        points += len(k)
        informative += np.sum(values[0] < 1)
    assert points == 13_440
    assert informative > 5000


sizes = st.tuples(
    st.integers(1, 10**6),  # K
    st.integers(1, 10**12),  # n
    st.sampled_from([1, 2, 3, 10, 100, 3000]),  # d
    st.floats(0, 1),  # share of d that is specific
    st.floats(1e-9, 1e9),  # B
    st.floats(1e-300, 1 - 1e-9),  # delta
    st.floats(0, 1),  # share of K that is J
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(sizes)
def test_extremes_neither_overflow_nor_lose_the_order(size):
    K, n, d, specific, B, delta, grouped = size
    d1, J = round(specific * d), max(1, round(grouped * K))
    m = m_blocks(K, d, d1, J)
    values = [
        localized(Counts.equal(K, n, J), d, d1, B, delta).value,
        refined(envelope_bracketing(m, d, B), n, delta).value,
        simple(gaussian_bracketing(m, d, B), n, delta).value,
    ]
    if delta <= 0.5:
        values.append(paper(gaussian_bracketing(m, d, B), n, delta).value)
    assert all(math.isfinite(value) and value >= 0 for value in values)
    for lower, upper in itertools.pairwise(values):
        assert lower <= upper * (1 + 1e-12)
    law = [asymptotic_bound(m, n), float(asymptotic_tv_balanced(K, n, d, d1, J))]
    assert 0 < law[1] <= law[0] * (1 + 1e-9)


def simulated_errors(n: int, J: int, runs: int, seed: int) -> np.ndarray:
    """Average TV of maximum-likelihood means, (runs,); K = 5 sources, d = 10, d1 = 5, J = 1 or 5.

    Drawn through sufficient statistics: the mean of N examples is N(mu, I/N), exactly.
    """
    rng = np.random.default_rng(seed)
    n_k = rng.multinomial(n, [0.2] * 5, runs)  # (runs, K)
    own = rng.chisquare(5 if J == 1 else 10, n_k.shape) / n_k
    shared = rng.chisquare(5, (runs, 1)) / n if J == 1 else 0.0
    return np.asarray(tv_of_distance(np.sqrt(own + shared))).mean(axis=1)


@pytest.mark.parametrize(("n", "J"), [row[:2] for row in TABLE])
def test_simulated_estimates_stay_under_every_bound(n, J):
    """10 000 of 10 000 runs at delta = .05: the bounds have an order of magnitude to spare."""
    errors = simulated_errors(n, J, 10_000, seed=n + J)
    m = m_blocks(5, 10, 5, J)
    bounds = [
        localized(Counts.equal(5, n, J), 10, 5, 5.0),
        refined(envelope_bracketing(m, 10, 5.0), n),
        simple(gaussian_bracketing(m, 10, 5.0), n),
        paper(gaussian_bracketing(m, 10, 5.0), n),
    ]
    assert all(np.sum(errors <= bound.value) == 10_000 for bound in bounds)
    law = float(asymptotic_tv_balanced(5, n, 10, 5, J))
    assert abs(errors.mean() / law - 1) < 0.02  # the errors are those of the theory


def test_estimates_fitted_to_drawn_examples_stay_under_the_localized_bound():
    """The same with every example drawn, labels balanced, means at the edge of the box."""
    rng, K, n, d, d1 = np.random.default_rng(0), 5, 500, 10, 5
    mu = np.concatenate([np.repeat(np.arange(1.0, 6)[:, None], d1, 1), np.zeros((K, d - d1))], 1)
    x = mu[:, None] + rng.standard_normal((200, K, n // K, d))
    error = x.mean(2) - mu
    error[..., d1:] = error[..., d1:].mean(1, keepdims=True)
    tv = np.asarray(tv_of_distance(np.linalg.norm(error, axis=-1))).mean(1)
    assert np.all(tv <= localized(Counts.of_sources([n // K] * K), d, d1, 5.0).value)
    assert abs(tv.mean() / expected_tv_balanced(K, n, d, d1) - 1) < 0.02


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.floats(1e-6, 0.3), st.floats(1e-6, 1.0), st.floats(0, 1))
def test_weights_other_than_the_shares_are_covered(seed, eps, a, unlike):
    """No split of the evidence over the sources, `sum share_k a_k = a`, does worse on average."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(4)) * 0.96 + 0.01
    p = (1 - unlike) * share + unlike * rng.dirichlet(np.ones(4))
    splits = rng.dirichlet(np.ones(4), size=300) * a / share  # (300, 4): a_k
    worst = (p * worst_case(eps, splits)).sum(1).max()
    value = float(_weighted(p, share)(np.array([eps]), np.array([a]))[0])
    assert worst <= value + 1e-12


def test_the_weighted_value_is_nearly_attained():
    """By equal evidence for weights near the shares: it is not larger than it need be."""
    share = np.array([0.2, 0.3, 0.5])
    p = np.array([0.21, 0.3, 0.49])
    for eps, a in ((0.01, 0.02), (0.001, 0.2), (0.05, 0.5)):
        value = float(_weighted(p, share)(np.array([eps]), np.array([a]))[0])
        assert 0.94 * value < float(worst_case(eps, a)) <= value


def test_counts_alike_are_the_balanced_case():
    for J, blocks in ((1, None), (5, [[k] for k in range(5)])):
        given = localized(Counts.of_sources([200] * 5, blocks), 10, 5, 5.0)
        balanced = localized(Counts.equal(5, 1000, J), 10, 5, 5.0)
        assert abs(given.value - balanced.value) < 1e-12
        assert abs(given.log_number - balanced.log_number) < 1e-9 * balanced.log_number


def test_unequal_counts_and_weights():
    counts = [50, 450, 4500]
    own = localized(Counts.of_sources(counts), 10, 5, 5.0)
    for p in ([0.01, 0.09, 0.9], [1 / 3] * 3, [0.9, 0.09, 0.01]):
        value = localized(Counts.of_sources(counts, p=p), 10, 5, 5.0).value
        assert value >= own.value * (1 - 1e-9)  # 0.01, 0.09, 0.9 are the counts' own shares
        assert value <= 1
    same = localized(Counts.of_sources(counts, p=[0.01, 0.09, 0.9]), 10, 5, 5.0)
    assert abs(same.value - own.value) < 1e-9
    # a grouping lies between
    pooled, grouped, separate = (
        localized(Counts.of_sources([400] * 4, blocks), 10, 5, 5.0).value
        for blocks in (None, [[0, 1], [2, 3]], [[0], [1], [2], [3]])
    )
    assert pooled < grouped < separate


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.integers(1, 10**5), min_size=1, max_size=6),
    st.integers(1, 20),
    st.floats(0.01, 100),
    st.floats(1e-6, 0.9),
    st.data(),
)
def test_weighted_bounds_cover_simulated_errors(counts, d, B, delta, data):
    d1 = data.draw(st.integers(0, d))
    weight = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=6, max_size=6)))
    p = weight[: len(counts)] / weight[: len(counts)].sum()
    bound = localized(Counts.of_sources(counts, p=p), d, d1, B, delta)
    rng = np.random.default_rng(0)
    box = np.clip(rng.standard_normal((50, len(counts), d)), -1, 1) * B / 2
    noise = rng.standard_normal(box.shape) / np.sqrt(np.array(counts))[:, None]
    shared = rng.standard_normal((50, 1, d)) / math.sqrt(sum(counts))
    error = np.where(np.arange(d) < d1, noise, shared)
    error = np.clip(box + error, -B, B) - box
    tv = np.asarray(tv_of_distance(np.linalg.norm(error, axis=-1))) @ p
    assert np.mean(tv <= bound.value) >= 1 - delta


@pytest.mark.parametrize("J", [1, 2, 5])
def test_the_law_is_within_one_percent_at_fifty_thousand(J):
    exact = expected_tv_balanced(5, 50_000, 10, 5, J)
    assert abs(float(asymptotic_tv_balanced(5, 50_000, 10, 5, J)) / exact - 1) < 0.01
    small = expected_tv_balanced(5, 100, 10, 5, J)
    off = abs(float(asymptotic_tv_balanced(5, 100, 10, 5, J)) / small - 1)
    assert off > abs(float(asymptotic_tv_balanced(5, 50_000, 10, 5, J)) / exact - 1)


@pytest.mark.parametrize(("K", "n", "d1", "J"), [(4, 60, 1, 2), (6, 400, 2, 3), (6, 5000, 0, 2)])
def test_expected_error_of_blocks_against_monte_carlo(K, n, d1, J):
    rng, d, runs = np.random.default_rng(5), 3, 200_000
    n_k = rng.multinomial(n, [1 / K] * K, runs)
    n_b = n_k[:, : K // J].sum(1)
    seen = n_k[:, 0] > 0
    own = rng.chisquare(d1, runs) / np.maximum(n_k[:, 0], 1) if d1 else 0.0
    tv = np.asarray(tv_of_distance(np.sqrt(own + rng.chisquare(d - d1, runs) / n_b)))[seen]
    assert abs(expected_tv_balanced(K, n, d, d1, J) - tv.mean()) < 4 * tv.std() / math.sqrt(runs)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 10), st.data())
def test_balanced_laws_agree_with_the_general_ones(K, d, data):
    d1 = data.draw(st.integers(0, d))
    assert expected_tv_balanced(K, 500, d, d1) == expected_tv_pooled([1 / K] * K, 500, d, d1)
    ends = [expected_tv_balanced(K, 500, d, d1, J) for J in sorted({1, (K + 1) // 2, K})]
    assert all(a <= b * (1 + 1e-9) for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("K must be a whole number", lambda: localized(Counts.equal(2.5, 10), 3, 1, 1.0)),
        ("n must be above 0", lambda: localized(Counts.equal(2, 0), 3, 1, 1.0)),
        ("d1 must be at most 3", lambda: localized(PAIR, 3, 4, 1.0)),
        ("d must be a whole number", lambda: localized(PAIR, 0, 0, 1.0)),
        ("B must be above 0", lambda: localized(PAIR, 3, 1, -1.0)),
        ("delta must be above 0 and below 1", lambda: localized(PAIR, 3, 1, 1.0, 1.5)),
        ("J must be at most 2", lambda: localized(Counts.equal(2, 10, 3), 3, 1, 1.0)),
        ("counts must be", lambda: localized(Counts.of_sources([0, 2]), 3, 1, 1.0)),
        ("blocks must hold", lambda: localized(Counts.of_sources([2, 2], [[0]]), 3, 1, 1.0)),
        ("blocks must hold", lambda: localized(Counts.of_sources([2], [[0], []]), 3, 1, 1.0)),
        ("p must have one entry", lambda: Counts.of_sources([2, 2], p=[1.0])),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
