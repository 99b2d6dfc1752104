"""The localized bound for drawn labels: each step against enumeration, then coverage."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammaln, logsumexp, xlogy

from sourcewise.errors import InputError
from sourcewise.theory.conversions import tv_of_distance
from sourcewise.theory.gaussian import tilt_drawn
from sourcewise.theory.gaussian.brackets import envelope_bracketing
from sourcewise.theory.gaussian.drawn import Shares, localized_drawn
from sourcewise.theory.gaussian.localized import Counts, localized
from sourcewise.theory.gaussian.tilt import Cells
from sourcewise.theory.gaussian.tilt_drawn import blocks_of_shares, log_z_drawn
from sourcewise.theory.general import refined, worst_case

from ..witnesses import GaussianBracket, centres

P = np.array([0.15, 0.25, 0.6])
PAIR = Shares.equal(2)
PARTITIONS = [[[0, 1, 2]], [[0], [1], [2]], [[0, 2], [1]]]


def log_affinity(centre: float, eta: float, mean: float) -> float:
    """`log ∫ sqrt(p' p*)` in one coordinate, by completing the square."""
    c = GaussianBracket(np.array([centre]), eta).precision
    return (1 - c) / 4 + math.log(2 / (1 + c)) / 2 - c * (centre - mean) ** 2 / (4 * (1 + c))


@pytest.mark.parametrize(("centre", "eta", "mean"), [(0.0, 0.2, 0.1), (0.5, 1.0, -2.0)])
def test_affinity_is_the_integral(centre, eta, mean):
    element = GaussianBracket(np.array([centre]), eta)

    def root(x: float) -> float:
        log_q = -((x - mean) ** 2) / 2 - math.log(2 * math.pi) / 2
        return math.exp((float(element.log_density(np.array([x]))) + log_q) / 2)

    total = quad(root, -30, 30, epsabs=1e-12, limit=200)[0]
    assert math.log(total) == pytest.approx(log_affinity(centre, eta, mean), abs=1e-9)


def elements(B, own, rest, phi, psi, groups) -> np.ndarray:
    """`sum_k p_k BC_k` of every bracket element; d = 2, d1 = 1, or d = d1 = 1 if rest is 0."""
    own_bc = [[log_affinity(c, B / own, mu) for c in centres(B, own)] for mu in phi]
    middles = centres(B, rest) if rest else np.zeros(0)
    total = []
    cells = [range(own)] * len(phi) + [range(max(rest, 1))] * len(groups)
    block_of = {k: b for b, group in enumerate(groups) for k in group}
    for chosen in itertools.product(*cells):
        b = 0.0
        for k in range(len(phi)):
            shared = chosen[len(phi) + block_of[k]]
            more = log_affinity(middles[shared], B / rest, psi) if rest else 0.0
            b += P[k] * math.exp(own_bc[k][chosen[k]] + more)
        total.append(b)
    return np.array(total)


def found_log_z(groups, B, own, rest, N) -> float:
    one = np.ones((1, 1))
    blocks = [block.map(np.atleast_1d) for block in blocks_of_shares(P[group] for group in groups)]
    own_cells, rest_cells = (Cells(one * max(cells, 1), one * B) for cells in (own, rest))
    d = 2 if rest else 1
    return float(
        log_z_drawn(blocks, own_cells, rest_cells, d, one[..., None], one[..., None] * N)[0, 0, 0]
    )


@pytest.mark.parametrize("groups", PARTITIONS)
@pytest.mark.parametrize(("own", "rest"), [(4, 3), (5, 0), (3, 1)])
@pytest.mark.parametrize(("B", "N"), [(1.0, 0), (3.0, 1), (3.0, 7), (8.0, 40), (2.0, 400)])
def test_z_is_never_below_the_sum_over_all_elements(groups, own, rest, B, N):
    """Every element of a bracket, means all over the box: `sum (sum_k p_k BC_k)^N <= Z`."""
    rng = np.random.default_rng(0)
    largest = -math.inf
    for _ in range(6):
        phi, psi = rng.uniform(-B, B, 3), rng.uniform(-B, B)
        if _ == 0:  # means at a cell's centre, where the sum is large
            phi, psi = np.full(3, centres(B, own)[own // 2]), centres(B, max(rest, 1))[0]
        all_b = elements(B, own, rest, phi, psi, groups)
        largest = max(largest, float(logsumexp(N * np.log(all_b))))
    found = found_log_z(groups, B, own, rest, N)
    assert found >= largest - 1e-9
    if N == 0:
        assert found == pytest.approx(largest)


@pytest.mark.parametrize("groups", PARTITIONS)
@pytest.mark.parametrize("N", [0, 1, 2, 5, 12, 30])
@pytest.mark.parametrize("rest", [0, 25])
def test_z_is_never_below_the_mean_over_counts(groups, N, rest):
    """Steps 2 and 3: every outcome of a multinomial, `E Z(N_1, ..., N_K) <= Z`."""
    B, own = 4.0, 30
    cells = {
        number: Cells(np.full((1, 1), float(number)), np.full((1, 1), B))
        for number in (own, max(rest, 1))
    }

    def log_coordinate(number: int, count: int) -> float:
        part = cells[number]
        spread = float(part.log_sum(np.full((1, 1, 1), max(count, 1e-300)))[0, 0, 0])
        return count * float(part.raised[0, 0, 0]) + spread

    terms = []
    for counts in itertools.product(range(N + 1), repeat=3):
        if sum(counts) != N:
            continue
        log_p = gammaln(N + 1) - sum(
            gammaln(c + 1) - xlogy(c, p) for c, p in zip(counts, P, strict=True)
        )
        log_z = sum(log_coordinate(own, c) for c in counts)
        if rest:
            log_z += sum(log_coordinate(rest, sum(counts[k] for k in group)) for group in groups)
        terms.append(log_p + log_z)
    mean, found = float(logsumexp(terms)), found_log_z(groups, B, own, rest, N)
    assert mean - 1e-9 <= found <= mean + 0.8


RATIOS = {(500, 1): 1.0078, (5000, 1): 1.0010, (50_000, 1): 1.0002}
RATIOS |= {(500, 5): 1.0188, (5000, 5): 1.0017, (50_000, 5): 1.0003}


@pytest.mark.parametrize(("n", "J"), list(RATIOS))
def test_drawing_the_labels_costs_ever_less(n, J):
    """d = 10, d1 = 5, B = K = 5: above the value for exact shares by less than this."""
    drawn = localized_drawn(Shares.equal(5, J), n, 10, 5, 5.0)
    fixed = localized(Counts.equal(5, n, J), 10, 5, 5.0)
    assert 1 <= drawn.value / fixed.value <= RATIOS[n, J]


def test_the_value_is_that_of_its_parts():
    for K, n, J in ((5, 5000, 1), (5, 5000, 5), (6, 900, 2), (20, 10**5, 20)):
        bound = localized_drawn(Shares.equal(K, J), n, 10, 5, 5.0)
        N = (1 - bound.s) * n
        assert 1 <= round(N) < n
        assert N == pytest.approx(round(N), abs=1e-6)  # whole
        assert bound.confidence == pytest.approx(-math.log(0.05) / (bound.s * n), rel=1e-12)
        a = bound.complexity + bound.confidence
        assert a == pytest.approx((bound.log_number - math.log(0.05)) / (n - round(N)), rel=1e-9)
        assert bound.value == pytest.approx(float(worst_case(bound.epsilon, a)), rel=1e-9)


def test_between_fixed_labels_and_refined_over_a_grid():
    """Arrays of all kinds of blocks at once."""
    K, n, J = np.meshgrid([1, 2, 6, 30], np.geomspace(1, 1e8, 9).round(), [1, 2, 30])
    J = np.minimum(J, K)
    for d, d1 in ((1, 0), (1, 1), (10, 5), (10, 10)):
        drawn = localized_drawn(Shares.equal(K, J), n, d, d1, 5.0)
        fixed = localized(Counts.equal(K, n, J), d, d1, 5.0)
        upper = refined(envelope_bracketing(K * d1 + J * (d - d1), d, 5.0), n)
        assert drawn.value.shape == K.shape
        assert np.all(drawn.value <= upper.value)
        assert np.all(drawn.value >= fixed.value * (1 - 1e-3))  # the search is coarser by this
    alone = localized_drawn(Shares.equal(6, 2), 10**5, 10, 10, 5.0)
    at = (K == 6) & (n == 10**5) & (J == 2)
    assert drawn.value[at] == pytest.approx(alone.value)


@pytest.mark.parametrize("J", [1, 2, 6])
def test_equal_shares_and_equal_sizes_are_the_balanced_case(J):
    n = [700, 9000]
    common = localized_drawn(Shares.equal(6, J), n, 10, 5, 5.0)
    groups = [list(range(b, 6, J)) for b in range(J)]
    shares = localized_drawn(Shares.of_sources([1 / 6] * 6, groups), n, 10, 5, 5.0)
    sizes = localized_drawn(Shares.of_sizes([6 // J] * J), n, 10, 5, 5.0)
    assert np.allclose(shares.value, common.value, rtol=1e-9)
    assert np.allclose(sizes.value, common.value, rtol=1e-9)
    assert localized_drawn(Shares.of_sizes([6 // J] * J), 700, 10, 5, 5.0).value == sizes.value[0]


def test_unequal_sizes_are_blocks_of_equal_shares():
    by_size = localized_drawn(Shares.of_sizes([3, 1, 2, 1]), 3000, 4, 2, 3.0)
    groups = [[0, 1, 2], [3], [4, 5], [6]]
    by_share = localized_drawn(Shares.of_sources([1 / 7] * 7, groups), 3000, 4, 2, 3.0)
    assert by_size.value == pytest.approx(by_share.value, rel=1e-9)


@pytest.mark.parametrize("apart", [False, True])
def test_many_shares_may_be_rounded_down(monkeypatch, apart):
    """200 different shares: a few classes bound from above, by little."""
    p = np.linspace(1, 3, 200) / np.linspace(1, 3, 200).sum()
    groups = [np.array([share]) for share in p] if apart else [p]
    one = np.ones((1, 1))
    cells = Cells(one * 40, one * 5.0)

    def log_z() -> float:
        blocks = [block.map(np.atleast_1d) for block in blocks_of_shares(groups)]
        parts = max(len(blocks), len(blocks[0].within))
        assert parts <= tilt_drawn._MOST_SHARES
        return float(
            log_z_drawn(blocks, cells, cells, 2, one[..., None], one[..., None] * 3000)[0, 0, 0]
        )

    few = log_z()
    monkeypatch.setattr(tilt_drawn, "_MOST_SHARES", 1000)
    exact = log_z()
    assert exact <= few <= exact * 1.02


def estimates(p, groups, n, B, d, d1, runs, seed) -> np.ndarray:
    """Average TV of maximum-likelihood means for drawn labels, (runs,).

    Means of 0.9 B; where a block or source has no example, the likelihood allows any estimate and
    the farthest one, -B, is taken.
    """
    rng, mean = np.random.default_rng(seed), 0.9 * B
    n_k = rng.multinomial(n, p, runs)
    n_b = np.empty_like(n_k)
    noise = rng.standard_normal((runs, len(p), d))
    for group in groups:
        n_b[:, group] = n_k[:, group].sum(1, keepdims=True)
        noise[:, group, d1:] = noise[:, group[:1], d1:]
    count = np.where(np.arange(d) < d1, n_k[..., None], n_b[..., None])
    found = np.clip(mean + noise / np.sqrt(np.maximum(count, 1)), -B, B)
    error = np.where(count > 0, found, -B) - mean
    return np.asarray(tv_of_distance(np.linalg.norm(error, axis=-1))) @ p


@pytest.mark.parametrize("groups", [[[0, 1, 2, 3]], [[0], [1], [2], [3]], [[0, 3], [1, 2]]])
@pytest.mark.parametrize("n", [50, 500, 5000])
@pytest.mark.parametrize(("d", "d1"), [(1, 1), (3, 1), (10, 5)])
def test_simulated_estimates_stay_under_the_bound(groups, n, d, d1):
    """4000 of 4000 runs; the rarest of the sources often draws no example at n = 50."""
    p = np.array([0.01, 0.09, 0.3, 0.6])
    errors = estimates(p, groups, n, 2.0, d, d1, 4000, seed=n)
    bound = localized_drawn(Shares.of_sources(p, groups), n, d, d1, 2.0)
    assert np.all(errors <= bound.value)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.floats(1e-3, 1), min_size=1, max_size=5),
    st.integers(1, 10**5),
    st.integers(1, 12),
    st.floats(0.01, 100),
    st.floats(1e-6, 0.9),
    st.data(),
)
def test_coverage_at_random_sizes(weight, n, d, B, delta, data):
    p = np.array(weight) / np.sum(weight)
    d1, J = data.draw(st.integers(0, d)), data.draw(st.integers(1, len(p)))
    groups = [list(range(b, len(p), J)) for b in range(J)]
    bound = localized_drawn(Shares.of_sources(p, groups), n, d, d1, B, delta)
    errors = estimates(p, groups, n, B, d, d1, 200, seed=0)
    assert np.mean(errors <= bound.value) >= 1 - delta
    upper = refined(envelope_bracketing(len(p) * d1 + J * (d - d1), d, B), n, delta)
    assert bound.value <= upper.value


sizes = st.tuples(
    st.integers(1, 10**6),  # K
    st.integers(1, 10**12),  # n
    st.sampled_from([1, 2, 10, 3000]),  # d
    st.floats(0, 1),  # share of d that is specific
    st.floats(1e-9, 1e9),  # B
    st.floats(1e-300, 1 - 1e-9),  # delta
    st.floats(0, 1),  # share of K that is J
)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(sizes)
def test_extremes_neither_overflow_nor_exceed_refined(size):
    K, n, d, specific, B, delta, grouped = size
    d1, J = round(specific * d), max(1, round(grouped * K))
    bound = localized_drawn(Shares.equal(K, J), n, d, d1, B, delta)
    upper = refined(envelope_bracketing(K * d1 + J * (d - d1), d, B), n, delta)
    assert all(math.isfinite(v) for v in (bound.value, bound.epsilon, bound.s, bound.log_number))
    assert 0 <= bound.value <= upper.value
    assert 0 < bound.s <= 1


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.lists(st.floats(1e-300, 1), min_size=1, max_size=6),
    st.integers(1, 10**12),
    st.integers(1, 30),
    st.data(),
)
def test_shares_however_small(weight, n, d, data):
    p = np.array(weight) / np.sum(weight)
    p = np.maximum(p, 5e-324)
    d1, J = data.draw(st.integers(0, d)), data.draw(st.integers(1, len(p)))
    groups = [list(range(b, len(p), J)) for b in range(J)]
    bound = localized_drawn(Shares.of_sources(p, groups), n, d, d1, 5.0)
    upper = refined(envelope_bracketing(len(p) * d1 + J * (d - d1), d, 5.0), n)
    assert 0 <= bound.value <= upper.value


def test_one_example_and_a_million_sources():
    one = localized_drawn(Shares.equal(5), 1, 10, 5, 5.0)
    assert (one.value, one.s) == (1.0, 1.0)
    many = localized_drawn(Shares.of_sources(np.full(10**6, 1e-6)), 10**9, 10, 5, 5.0)
    equal = localized_drawn(Shares.equal(10**6), 10**9, 10, 5, 5.0)
    assert many.value == pytest.approx(equal.value, rel=1e-9)
    assert many.value < refined(envelope_bracketing(5 * (10**6 + 1), 10, 5.0), 10**9).value
    two = localized_drawn(Shares.of_sizes([10**6, 3 * 10**6]), 10**10, 10, 5, 5.0)
    assert 0 < two.value < 1


SIZES = {"sources": 6, "samples": 2000, "dim": 4, "specific": 2, "mean_bound": 3, "groups": 2}


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("K must be a whole number", lambda: localized_drawn(Shares.equal(2.5), 10, 3, 1, 1.0)),
        ("n must be above 0", lambda: localized_drawn(PAIR, 0, 3, 1, 1.0)),
        ("d1 must be at most 3", lambda: localized_drawn(PAIR, 10, 3, 4, 1.0)),
        ("delta must be above 0 and below 1", lambda: localized_drawn(PAIR, 10, 3, 1, 1.0, 1.5)),
        ("J must be at most 2", lambda: localized_drawn(Shares.equal(2, 3), 10, 3, 1, 1.0)),
        ("p must be a list", lambda: localized_drawn(Shares.of_sources([0.5, 0.6]), 9, 3, 1, 1.0)),
        ("B must be above 0", lambda: localized_drawn(Shares.of_sources([1.0]), 9, 3, 1, 0.0)),
        (
            "blocks must hold",
            lambda: localized_drawn(Shares.of_sources([0.5, 0.5], [[0]]), 9, 3, 1, 1.0),
        ),
        ("counts must be", lambda: localized_drawn(Shares.of_sizes([0, 2]), 9, 3, 1, 1.0)),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
