"""The Frechet distance: its routes, closed forms, bias and intervals."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from sourcewise.errors import InputError
from sourcewise.metrics.frechet import (
    equal_rows,
    floor,
    frechet_between,
    frechet_distance,
)
from sourcewise.metrics.frechet_replicates import frechet_difference, gram_of
from sourcewise.metrics.summary import Summary
from sourcewise.randomness import Noise


def points(n, d, seed=0):
    return Noise(seed).of("points", n, d).normal(n, d)


def by_matrix_root(x, y):
    """As it is written."""
    S, T = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    root = np.real(scipy.linalg.sqrtm(S @ T))
    gap = np.square(x.mean(0).numpy() - y.mean(0).numpy()).sum()
    return float(gap + np.trace(S + T - 2 * root))


@pytest.mark.parametrize("d", [1, 3, 20])
def test_value_is_that_of_the_matrix_root(d):
    x, y = points(100, d), 1.5 * points(100, d, 1) @ points(d, d, 2) + 0.3
    assert frechet_distance(x, y) == pytest.approx(by_matrix_root(x, y), rel=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(12, 12, 40), (15, 9, 16), (40, 40, 40), (2, 2, 5)])
def test_ways_agree_where_rows_are_few(n, m, d):
    x, y = points(n, d), 1.3 * points(m, d, 1) + 0.2
    by_rows, by_grams = frechet_distance(x, y), gram_of(x, y).distance
    by_covariances = frechet_between(Summary.of([x]), Summary.of([y]))
    assert by_rows == pytest.approx(by_covariances, rel=1e-8, abs=1e-8)
    assert by_rows == pytest.approx(by_grams, rel=1e-10, abs=1e-10)


def test_ways_agree_where_rows_are_many():
    x, y = points(90, 12), 1.3 * points(90, 12, 1)
    assert frechet_distance(x, y) == pytest.approx(gram_of(x, y).distance, abs=1e-10)


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_points_in_a_subspace_have_the_distance_of_their_coordinates(rank):
    """Covariances of any rank, one of them full or neither: no NaN, no rounded roots."""
    axes = torch.linalg.qr(points(10, 10, 3))[0][:, :rank]
    x, y = points(60, rank), 2 * points(60, rank, 1) + 1
    wide = frechet_distance(x @ axes.T, y @ axes.T)
    assert wide == pytest.approx(frechet_distance(x, y), abs=1e-8)
    full = points(60, 10, 2)
    for one, other in ((x @ axes.T, full), (full, x @ axes.T)):
        found = frechet_distance(one, other)
        assert found == pytest.approx(gram_of(one, other).distance, abs=1e-8)


def test_constant_and_equal_samples():
    x = points(30, 4)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-10)
    assert frechet_distance(x, x + 2.0) == pytest.approx(16.0, abs=1e-9)
    still = torch.zeros(30, 4).double()
    assert frechet_distance(still, still + 1) == pytest.approx(4.0)
    spread = float(x.var(0).sum() + x.mean(0).square().sum())
    assert frechet_distance(still, x) == pytest.approx(spread)


def test_of_diagonal_covariances_it_is_that_of_standard_deviations():
    """`|m_1 - m_2|^2 + sum (s_1 - s_2)^2`, known in closed form."""
    one = Summary(torch.tensor([1.0, 2.0]).double(), torch.tensor([4.0, 9.0]).double().diag(), 10)
    two = Summary(torch.tensor([0.0, 2.0]).double(), torch.tensor([1.0, 0.25]).double().diag(), 10)
    assert frechet_between(one, two) == pytest.approx(1 + 1 + 2.5**2, abs=1e-12)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_size_of_blocks_makes_no_difference(size):
    x = points(100, 6) + 1e3
    whole, parts = Summary.of([x]), Summary.of(x.split(size))
    assert parts.n == 100
    assert torch.allclose(parts.mean, whole.mean, rtol=1e-14)
    assert torch.allclose(parts.covariance, whole.covariance, atol=1e-10)
    assert torch.allclose(whole.covariance, torch.cov(x.T), atol=1e-10)


def test_summary_is_kept(tmp_path):
    summary = Summary.of([points(10, 3)])
    summary.save(tmp_path / "summary.safetensors")
    again = Summary.load(tmp_path / "summary.safetensors")
    assert torch.equal(again.mean, summary.mean)
    assert torch.equal(again.covariance, summary.covariance)
    assert again.n == 10
    (tmp_path / "other").write_bytes(b"no such thing")
    with pytest.raises(InputError, match="other is damaged"):
        Summary.load(tmp_path / "other")


def test_one_row_is_refused():
    for x, y in ((points(1, 3), points(3, 3)), (points(20, 3), points(1, 3))):
        with pytest.raises(InputError, match="needs 2 rows"):
            frechet_distance(x, y)


@pytest.mark.parametrize("n", [5, 20, 80])
def test_bias_in_one_coordinate_is_that_of_the_closed_form(n):
    """Of one normal law `2/n + 2 (1 - c^2)`, c the expected standard deviation of n rows."""
    c = math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    found = torch.tensor(
        [frechet_distance(points(n, 1, s), points(n, 1, s + 9999)) for s in range(3000)]
    )
    error = float(found.std()) / 3000**0.5
    assert abs(float(found.mean()) - (2 / n + 2 * (1 - c * c))) < 4 * error


def test_bias_falls_as_rows_grow_and_the_larger_sample_wins():
    """Two samples of one normal law in 8 coordinates: about `2 d/n + d (d + 1)/(2 (n - 1))`."""
    d, wins = 8, 0
    x = points(4000, d, 77)
    for n in (100, 400, 1600):
        found = torch.tensor(
            [frechet_distance(points(n, d, s), points(n, d, s + 999)) for s in range(200)]
        )
        first_order = 2 * d / n + d * (d + 1) / (2 * (n - 1))
        assert float(found.mean()) == pytest.approx(first_order, rel=0.03)
    for s in range(50):
        few, many = points(100, d, s + 5000), points(400, d, s + 6000)
        wins += frechet_distance(x, many) < frechet_distance(x, few)
    assert wins == 50


def test_samples_are_made_equally_large():
    x, y = points(10, 2), points(25, 2, 1)
    one, other = equal_rows(x, y, Noise(0))
    assert torch.equal(one, x)
    assert len(other) == 10
    assert len({tuple(row) for row in other.tolist()} & {tuple(row) for row in y.tolist()}) == 10


def test_floor_of_the_truth_is_that_of_draws():
    x, same, other = points(200, 4), points(200, 4, 1), 1.5 * points(200, 4, 2)
    found = floor(x, same, Noise(0))
    assert found.n == 100
    assert found.drawn == pytest.approx(found.real, rel=0.3)
    assert floor(x, other, Noise(0)).drawn > 5 * found.real
    with pytest.raises(InputError, match="needs 4 real rows"):
        floor(x[:3], same, Noise(0))


def test_replicates_are_distances_of_the_rows_that_are_chosen():
    x, y = points(9, 20), points(11, 20, 1)
    i, j = torch.tensor([0, 3, 3, 8]), torch.tensor([1, 1, 2, 9, 10])
    found = gram_of(x, y).take(i, j).distance
    assert found == pytest.approx(frechet_distance(x[i], y[j]), abs=1e-10)


@pytest.mark.parametrize("d", [3, 60])
def test_error_of_a_difference_is_zero_where_strategies_are_one(d):
    x, y = points(40, d), points(40, d, 1)
    found = frechet_difference(x, y, y, Noise(0), replicates=5)
    assert (found.value, found.standard_error) == (0.0, 0.0)
    with pytest.raises(InputError, match="as many of both"):
        frechet_difference(x, y, y[1:], Noise(0))


def test_pairing_makes_intervals_of_differences_narrow():
    """Draws of the same noise, at nearly the same scale: replicates share what both have."""
    x, z = points(80, 3), points(80, 3, 1)
    paired = frechet_difference(x, z, 1.05 * z, Noise(0)).standard_error
    apart = frechet_difference(x, z, 1.05 * points(80, 3, 2), Noise(0)).standard_error
    assert paired < apart / 2


@pytest.mark.parametrize("by", ["bootstrap", "groups"])
@pytest.mark.parametrize("d", [3, 100])
def test_intervals_of_differences_cover(by, d):
    """The expected difference at this number of rows, by the mean of many samples."""
    n, differences, told = 60, [], []
    for s in range(100):
        x, z = points(n, d, 100 + s), points(n, d, 7000 + s)
        first, second = 1.1 * z, z + 0.2
        whole = frechet_distance(x, first) - frechet_distance(x, second)
        differences.append(whole)
        if s < 60:
            told.append(
                frechet_difference(
                    x, first, second, Noise(s), by, 40 if by == "bootstrap" else None
                )
            )
    truth = float(np.mean(differences))
    assert told[0].value == pytest.approx(differences[0])
    covered = np.mean([estimate.low <= truth <= estimate.high for estimate in told])
    assert covered >= 0.93 - 3 * (0.93 * 0.07 / 60) ** 0.5
