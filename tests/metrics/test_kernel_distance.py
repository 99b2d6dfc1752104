"""The kernel distance against loops, closed forms and coverage."""

import numpy as np
import pytest
import torch

from sourcewise.encoders.numeric import NumericCoding
from sourcewise.metrics.kernel_distance import (
    METRIC,
    contributions,
    expected_kernel,
    kernel_distance,
    minus_kernel,
    permutation_test,
    shifted,
)
from sourcewise.metrics.pairs import apart, within
from sourcewise.randomness import Noise
from sourcewise.screening.recorded import NumericColumn
from sourcewise.statistics import Interval, rows_and_seeds, with_shared_errors


def points(n, d, seed=0):
    return Noise(seed).of("points", n, d).normal(n, d)


def by_loops(x, y):
    """The estimator as it is written."""

    def k(a, b):
        return float(a @ b / x.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    xy = sum(k(a, b) for a in x for b in y) / (n * m)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy


@pytest.mark.parametrize("d", [1, 3, 40])
def test_value_is_that_of_a_double_loop(d):
    x, y = points(23, d), 1.5 * points(31, d, 1) + 0.3
    x[5] = x[4]
    wanted = pytest.approx(by_loops(x, y), abs=1e-10)
    assert kernel_distance(x, y) == wanted
    assert float(contributions(x, y)[0].mean()) == wanted


def test_size_of_blocks_makes_no_difference(monkeypatch):
    x, y = points(70, 20), points(45, 20, 1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("sourcewise.metrics.pairs.BLOCK", 200)
    monkeypatch.setattr("sourcewise.metrics.pairs.SIDE", 16)
    assert kernel_distance(x, y) == pytest.approx(whole, abs=1e-10)


def expected(m, S, n, T):
    """D of two normal laws."""
    own = expected_kernel(m, S, m, S) + expected_kernel(n, T, n, T)
    return float(own - 2 * expected_kernel(m, S, n, T))


def gaussian(d, seed, spread=1.0):
    """Mean, root of the covariance, and the covariance."""
    root = spread * points(d, d, seed) / d**0.5
    return points(1, d, seed + 50)[0] / 2, root, root @ root.T


def test_expectation_of_the_kernel_is_that_of_all_pairs_of_a_discrete_law():
    """Points at the nodes of a Gauss-Hermite rule have the moments of normal laws, to the bit."""
    nodes, weights = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(4))
    grid = torch.cartesian_prod(nodes, nodes)
    w = torch.cartesian_prod(weights, weights).prod(1)
    w = w / w.sum()
    (m, L, S), (n, R, T) = gaussian(2, 1), gaussian(2, 2)
    wanted = -w @ minus_kernel(m + grid @ L.T, n + grid @ R.T) @ w
    assert float(expected_kernel(m, S, n, T)) == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_floor_is_the_distance_of_shifted_normals(d):
    zero, eye = torch.zeros(d).double(), torch.eye(d).double()
    for by in (0.045, 0.5, 2.0):
        wanted = expected(zero, eye, zero + by, eye)
        assert shifted(d, by) == pytest.approx(wanted, rel=1e-9)


def test_region_is_of_the_distance_and_of_the_floor():
    coding = NumericCoding((NumericColumn("a", False, None), NumericColumn("b", False, None)))
    assert METRIC.region(coding, 0.0) == pytest.approx(shifted(2, 0.045))
    assert METRIC.region(coding, 3.0) == pytest.approx(0.06)


def test_estimate_is_without_bias():
    """Its mean over many samples is the closed form, within 4 standard errors."""
    (m, L, S), (n, R, T) = gaussian(3, 1), gaussian(3, 2, 1.2)
    found = torch.tensor(
        [
            kernel_distance(m + points(12, 3, 100 + s) @ L.T, n + points(9, 3, 5000 + s) @ R.T)
            for s in range(2000)
        ]
    )
    error = float(found.std()) / 2000**0.5
    assert abs(float(found.mean()) - expected(m, S, n, T)) < 4 * error


def test_error_of_the_draws_is_their_spread():
    x = points(60, 3)
    found = [contributions(x, 1.5 * points(256, 3, seed)) for seed in range(1, 201)]
    values = torch.stack([rows.mean() for rows, _ in found])
    told = torch.stack([draws.std() / 16 for _, draws in found]).mean()
    assert float(told) == pytest.approx(float(values.std()), rel=0.15)


def test_strategies_differ_by_their_draws_alone():
    x, one, other = points(30, 2), points(99, 2, 1), points(99, 2, 2)
    gap = contributions(x, one)[0] - contributions(x, other)[0]
    own = [2 * apart(x, d, minus_kernel)[0] - within(d, minus_kernel).mean() for d in (one, other)]
    assert torch.allclose(gap, own[0] - own[1], atol=1e-12)


def interval_of(x, first, second) -> Interval:
    """Of the difference of two models for these draws, as a comparison makes it."""
    found = [contributions(x, draws) for draws in (first, second)]
    errors = [
        (sign, np.array([[0.0, 0.0, 0.0, *(float(draws[b::20].mean()) for b in range(20))]]))
        for sign, (_, draws) in zip((1.0, -1.0), found, strict=True)
    ]
    rows = rows_and_seeds((found[0][0] - found[1][0]).numpy())
    return with_shared_errors(rows, np.ones(1), errors)


@pytest.mark.parametrize(("d", "n"), [(2, 100), (10, 60)])
def test_intervals_of_differences_cover(d, n):
    """At least 93 % of 200, less what 200 repetitions leave open (3 standard errors).

    By 500 repetitions each, of these and of 2 x 3 other pairs of models and sizes (up to 50
    coordinates and 300 rows), intervals covered 93.0 to 96.8 %, 94.6 % on average.
    """
    zero, (m, L, S), (o, R, T) = torch.zeros(d).double(), gaussian(d, 1), gaussian(d, 2)
    eye = torch.eye(d).double()
    truth = expected(zero, eye, m, S) - expected(zero, eye, o, T)
    covered = 0
    for s in range(200):
        x, z = points(n, d, 1000 + s), points(512, d, 9000 + s)
        found = interval_of(x, m + z @ L.T, o + z @ R.T)
        covered += found.low <= truth <= found.high
    assert covered / 200 >= 0.93 - 3 * (0.93 * 0.07 / 200) ** 0.5


def test_permutation_test_holds_its_level_and_finds_a_shift():
    p = [
        permutation_test(points(12, 2, s), points(15, 2, s + 999), Noise(s), 99).p
        for s in range(400)
    ]
    share = sum(v <= 0.05 for v in p) / len(p)
    assert share <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert permutation_test(points(30, 2), points(30, 2, 1) + 1.5, Noise(0), 99).p == 0.01
