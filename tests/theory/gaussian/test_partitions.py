"""Any partition, any shares: against simulated estimates, the special cases, and refinement."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from sourcewise.errors import InputError
from sourcewise.theory.conversions import tv_of_distance
from sourcewise.theory.gaussian.integrals import count_law, few_nodes
from sourcewise.theory.gaussian.laws import (
    asymptotic_tv_balanced,
    asymptotic_tv_pooled,
    asymptotic_tv_separate,
    expected_tv_balanced,
    expected_tv_pooled,
    expected_tv_separate,
)
from sourcewise.theory.gaussian.localized import Counts, localized
from sourcewise.theory.gaussian.partitions import (
    asymptotic_tv,
    expected_tv,
    expected_tv_given_counts,
    kinds,
    kinds_of_sizes,
    missing_share,
    tv_given_count,
)

P = [0.1, 0.2, 0.3, 0.15, 0.25]
BLOCKS = [[0, 3], [1, 2, 4]]
APART = [[k] for k in range(5)]


def fit_means(x: np.ndarray, y: np.ndarray, d1: int, blocks: list[list[int]]) -> np.ndarray:
    """Maximum-likelihood means (K, d): own coordinates by source, the others by block."""
    means = np.full((len(P), x.shape[1]), np.nan)
    for block in blocks:
        inside = np.isin(y, block)
        means[block, d1:] = x[inside, d1:].mean(0) if inside.any() else np.nan
        for k in block:
            means[k, :d1] = x[y == k, :d1].mean(0) if (y == k).any() else np.nan
    return means


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("blocks", [BLOCKS, [[0], [1, 2, 3, 4]], [[0, 1, 2, 3, 4]], APART])
@pytest.mark.parametrize(("n", "d", "d1"), [(60, 4, 2), (12, 3, 1), (12, 3, 0), (8, 2, 2)])
def test_simulated_estimates_err_as_expected(blocks, n, d, d1):
    rng, runs = np.random.default_rng(3), 4000
    truth = rng.normal(size=(len(P), d))
    for block in blocks:
        truth[block, d1:] = truth[block[0], d1:]
    tv = np.empty((runs, len(P)))
    for run in range(runs):
        y = rng.choice(len(P), n, p=P)
        x = truth[y] + rng.standard_normal((n, d))
        distance = np.sqrt(((fit_means(x, y, d1, blocks) - truth) ** 2).sum(1))
        tv[run] = [math.nan if np.isnan(r) else tv_of_distance(r) for r in distance]
    seen = np.isfinite(tv).sum(0)
    error = math.sqrt(np.sum(np.multiply(P, P) * np.nanvar(tv, axis=0) / seen))
    measured = float(P @ np.nanmean(tv, axis=0))
    # sources of a block share an estimate: allow for fully dependent errors
    error = max(error, float(P @ np.sqrt(np.nanvar(tv, axis=0) / seen)))
    assert error < 0.006
    assert abs(expected_tv(P, n, d, d1, blocks) - measured) < 3.5 * error


def full_sum(p_k: float, P_b: float, n: int, d: int, d1: int) -> float:
    """`E TV_k` over all pairs of counts with `n_k >= 1`."""
    total = 0.0
    for n_k in range(1, n + 1):
        rest = np.arange(n - n_k + 1.0)
        pmf = binom.pmf(rest, n - n_k, (P_b - p_k) / (1 - p_k))
        total += binom.pmf(n_k, n, p_k) * (pmf @ tv_given_count(np.array(n_k), n_k + rest, d, d1))
    return total / (1 - (1 - p_k) ** n)


@pytest.mark.parametrize(
    ("p", "n", "d", "d1"),
    [
        ([0.1, 0.2, 0.7], 90, 10, 5),
        ([0.3, 0.699, 0.001], 60, 3, 2),  # nearly all in one block
        ([0.01, 0.01, 0.98], 200, 10, 1),  # each of these misses a seventh of the samples
        ([0.499, 0.001, 0.5], 40, 2, 1),
    ],
)
def test_quadrature_over_counts_is_the_full_sum(p, n, d, d1):
    block = p[0] + p[1]
    terms = [(p[0], block), (p[1], block), (p[2], p[2])]
    full = sum(p_k * full_sum(p_k, P_b, n, d, d1 if P_b > p_k else d) for p_k, P_b in terms)
    assert abs(expected_tv(p, n, d, d1, [[0, 1], [2]]) / full - 1) < 1e-10


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 3000), st.floats(0.001, 0.999), st.integers(1, 20))
def test_few_nodes_keep_the_moments(n, share, most):
    values, probability = count_law(n, share)
    node, weight = few_nodes(values, probability, most)
    assert len(node) <= max(most, 1)
    middle, scale = values.mean(), np.ptp(values) / 2 or 1
    for power in range(2 * most):
        moment = probability @ ((values - middle) / scale) ** power
        assert abs(weight @ ((node - middle) / scale) ** power - moment) < 1e-12


@pytest.mark.parametrize(("d", "d1"), [(10, 5), (3, 0), (4, 4)])
@pytest.mark.parametrize("n", [7, 500])
def test_special_cases(n, d, d1):
    assert expected_tv(P, n, d, d1) == expected_tv_pooled(P, n, d, d1)
    assert asymptotic_tv(P, n, d, d1) == asymptotic_tv_pooled(P, n, d, d1)
    assert abs(expected_tv(P, n, d, d1, APART) - expected_tv_separate(P, n, d)) < 1e-14
    assert abs(asymptotic_tv(P, n, d, d1, APART) - asymptotic_tv_separate(P, n, d)) < 1e-14
    equal = [1 / 6] * 6
    for J in (1, 2, 3, 6):
        size = 6 // J
        blocks = [range(i * size, (i + 1) * size) for i in range(J)]
        value = expected_tv(equal, n, d, d1, blocks)
        law = asymptotic_tv(equal, n, d, d1, blocks)
        assert abs(value - expected_tv_balanced(6, n, d, d1, J)) < 1e-13
        assert abs(value - expected_tv(kinds_of_sizes([size] * J), n, d, d1)) < 1e-13
        assert abs(law - asymptotic_tv_balanced(6, n, d, d1, J)) < 1e-13


def test_sizes_are_blocks_of_equal_sources():
    blocks = [[0, 1, 2, 3], [4], [5, 6]]
    by_sizes, by_blocks = kinds_of_sizes([4, 1, 2]), kinds([1 / 7] * 7, blocks)
    for value in ("share", "block", "times"):
        np.testing.assert_allclose(getattr(by_sizes, value), getattr(by_blocks, value), rtol=1e-14)
    for sizes in ([5], [1] * 5, [2, 2, 2]):
        found = localized(Counts.of_sizes(sizes, [300, 5000]), 10, 5, 5.0)
        equal = localized(Counts.equal(sum(sizes), [300, 5000], len(sizes)), 10, 5, 5.0)
        np.testing.assert_array_equal(found.value, equal.value)
    counts = localized(Counts.of_sources([100] * 7, blocks), 10, 5, 5.0)
    assert abs(localized(Counts.of_sizes([4, 1, 2], 700), 10, 5, 5.0).value - counts.value) < 1e-12


def test_given_counts_by_hand():
    counts, p = [13, 7, 5], [0.3, 0.5, 0.2]
    values = [
        tv_given_count(np.array(a), np.array(b), 5, 3) for a, b in ((13, 18), (7, 7), (5, 18))
    ]
    expected = float(np.dot(p, values))
    assert expected_tv_given_counts(counts, 5, 3, p, [[0, 2], [1]]) == pytest.approx(expected)


@pytest.mark.parametrize(("d", "d1"), [(10, 5), (3, 1), (2, 0)])
def test_the_law_is_the_limit(d, d1):
    law = asymptotic_tv(P, 1, d, d1, BLOCKS)
    gaps = [
        abs(expected_tv(P, n, d, d1, BLOCKS) * math.sqrt(n) / law - 1)
        for n in (1000, 10_000, 100_000, 1_000_000)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-5


@pytest.mark.parametrize(("d", "d1"), [(10, 5), (1, 0), (4, 4)])
def test_the_law_is_below_the_root_of_the_parameters(d, d1):
    m = len(P) * d1 + len(BLOCKS) * (d - d1)
    assert asymptotic_tv(P, 100, d, d1, BLOCKS) <= math.sqrt(m / (200 * math.pi))


partitions = st.lists(st.integers(0, 4), min_size=2, max_size=8)  # the block of each source


def blocks_of(labels: list[int]) -> list[list[int]]:
    return [[k for k, label in enumerate(labels) if label == b] for b in sorted(set(labels))]


def draw_shares(data: st.DataObject, K: int) -> np.ndarray:
    weights = np.array(data.draw(st.lists(st.floats(0.02, 1), min_size=K, max_size=K)))
    return weights / weights.sum()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(partitions, st.integers(1, 300), st.integers(1, 12), st.data())
def test_merging_two_blocks_never_harms(labels, n, d, data):
    d1, p = data.draw(st.integers(0, d)), draw_shares(data, len(labels))
    merged = [0 if label == 1 else label for label in labels]
    fine, coarse = blocks_of(labels), blocks_of(merged)
    assert expected_tv(p, n, d, d1, coarse) <= expected_tv(p, n, d, d1, fine) + 1e-10
    assert asymptotic_tv(p, n, d, d1, coarse) <= asymptotic_tv(p, n, d, d1, fine) + 1e-12
    counts = 1 + np.array(
        data.draw(st.lists(st.integers(0, 50), min_size=len(p), max_size=len(p)))
    )
    values = [expected_tv_given_counts(counts, d, d1, p, blocks) for blocks in (coarse, fine)]
    assert values[0] <= values[1] + 1e-12


@settings(deadline=None, derandomize=True, max_examples=30)
@given(partitions, st.integers(1, 300), st.randoms(use_true_random=False), st.data())
def test_the_order_of_sources_and_blocks_does_not_matter(labels, n, random, data):
    p, blocks = draw_shares(data, len(labels)), blocks_of(labels)
    order = list(range(len(p)))
    random.shuffle(order)
    moved = [[order.index(k) for k in block][::-1] for block in blocks[::-1]]
    for value in (expected_tv, asymptotic_tv):
        assert abs(value(p[order], n, 6, 2, moved) / value(p, n, 6, 2, blocks) - 1) < 1e-13


def test_missing_share():
    assert missing_share(kinds(P), 1) == pytest.approx(np.mean(1 - np.array(P)))
    assert missing_share(kinds([1.0]), 1) == 0
    assert missing_share(kinds_of_sizes([10**12]), 10**12) == pytest.approx(math.exp(-1))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("each of the sources 0..4 exactly once", lambda: expected_tv(P, 5, 3, 1, [[0, 1]])),
        ("exactly once", lambda: asymptotic_tv(P, 5, 3, 1, [[0, 1, 2, 3, 4], []])),
        ("exactly once", lambda: kinds([0.5, 0.5], [[0, 1], [1]])),
        (
            "one example for each block",
            lambda: expected_tv_given_counts([0, 5], 3, 0, None, [[0], [1]]),
        ),
        ("counts must be", lambda: kinds_of_sizes([2, 0])),
        ("n must be", lambda: expected_tv(P, 0, 3, 1)),
    ],
)
def test_bad_arguments_are_named(message, call):
    with pytest.raises(InputError, match=message):
        call()
