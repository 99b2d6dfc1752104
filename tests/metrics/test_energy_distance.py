"""The energy distance against loops, closed forms and enumeration."""

import math
from itertools import combinations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

import sourcewise as sw
from sourcewise.encoders.numeric import NumericCoding
from sourcewise.forms import as_table
from sourcewise.metrics.energy_distance import (
    METRIC,
    contributions,
    energy_distance,
    permutation_test,
    spread,
)
from sourcewise.metrics.expected_distance import expected_energy_score, mean_length
from sourcewise.metrics.features.columns import ColumnFeatures
from sourcewise.metrics.pairs import NARROW, apart, distances, within
from sourcewise.metrics.projections import TOGETHER
from sourcewise.randomness import Noise
from sourcewise.screening.recorded import NumericColumn
from sourcewise.statistics import Interval, with_shared_errors
from sourcewise.studies.audit.populations import Population
from sourcewise.truths.gaussian import GaussianTruth

WIDTHS = [1, 3, NARROW, NARROW + 1, 40]


def points(n, d, seed=0):
    return Noise(seed).of("points", n, d).normal(n, d)


def by_loops(x, y):
    """The estimator as it is written."""
    n, m = len(x), len(y)
    xy = sum(float((a - b).norm()) for a in x for b in y) / (n * m)
    xx = sum(float((x[i] - x[j]).norm()) for i in range(n) for j in range(n) if i != j)
    yy = sum(float((y[i] - y[j]).norm()) for i in range(m) for j in range(m) if i != j)
    return 2 * xy - xx / (n * (n - 1)) - yy / (m * (m - 1))


@pytest.mark.parametrize("d", WIDTHS)
def test_value_is_that_of_a_double_loop(d):
    x, y = points(23, d), 1.5 * points(31, d, 1) + 0.3
    x[5], y[7], x[9] = x[4], x[2], x[4] + 1e-9  # ties, and pairs that are close
    assert energy_distance(x, y) == pytest.approx(by_loops(x, y), abs=1e-10)
    rows, _ = contributions(x, y)
    assert float(rows.mean()) == pytest.approx(by_loops(x, y), abs=1e-10)


@pytest.mark.parametrize("d", WIDTHS)
def test_distances_far_from_zero_keep_their_digits(d):
    x = points(50, d) + 1e6
    y = torch.cat([x[:20], points(20, d, 1) + 1e6])
    exact = (x[:, None] - y).norm(dim=2)
    assert torch.allclose(distances(x, y), exact, rtol=1e-9, atol=1e-9)
    assert (distances(x, y)[exact == 0] == 0).all()


def test_means_by_blocks_are_those_of_all_distances(monkeypatch):
    x, y = points(70, 20), points(45, 20, 1)
    all_ = distances(x, y), distances(x, x)
    monkeypatch.setattr("sourcewise.metrics.pairs.BLOCK", 200)
    monkeypatch.setattr("sourcewise.metrics.pairs.SIDE", 16)
    rows, columns = apart(x, y)
    assert torch.allclose(rows, all_[0].mean(1), rtol=1e-12)
    assert torch.allclose(columns, all_[0].mean(0), rtol=1e-12)
    assert torch.allclose(within(x), all_[1].sum(1) / 69, rtol=1e-12)


def test_contributions_are_projections():
    """What row i adds is what leaving it out takes away, to first order."""
    x, y = points(400, 2), points(300, 2, 1) * 1.3
    rows, _ = contributions(x, y)
    for i in range(3):
        left = energy_distance(torch.cat([x[:i], x[i + 1 :]]), y)
        moved = (rows.mean() - left) * 399
        assert float(moved) == pytest.approx(float(rows[i] - rows.mean()), abs=0.02)


def test_error_of_the_draws_is_their_spread():
    """Against the spread over many sets of draws for the same rows."""
    x = points(60, 3)
    found = [contributions(x, 2 * points(256, 3, seed)) for seed in range(1, 201)]
    values = torch.stack([rows.mean() for rows, _ in found])
    told = torch.stack([draws.std() / 16 for _, draws in found]).mean()
    assert float(told) == pytest.approx(float(values.std()), rel=0.15)


def test_errors_of_two_models_that_draw_by_the_same_streams_cancel():
    """Against the spread of the difference over many streams, for the same rows."""
    x = points(60, 3)
    differences, told, errors = [], [], []
    for seed in range(1, 201):
        z = points(1000, 3, seed)
        parts, values = [], []
        for scale in (1.0, 1.1):
            rows, draws = contributions(x, scale * z)
            values.append(float(rows.mean()))
            parts.append([0.0, 0.0, 0.0, *(float(draws[b::20].mean()) for b in range(20))])
        differences.append(values[0] - values[1])
        errors = [(1.0, np.array([parts[0]])), (-1.0, np.array([parts[1]]))]
        told.append(with_shared_errors(Interval(0.0, 0.0, 9), np.ones(1), errors).standard_error)
    assert np.mean(told) == pytest.approx(np.std(differences), rel=0.15)
    alone = with_shared_errors(Interval(0.0, 0.0, 9), np.ones(1), errors[:1]).standard_error
    assert np.mean(told) < alone / 2  # much of each error is common to both


def test_many_rows_are_compared_in_parts_without_bias():
    n = 2 * TOGETHER + 10
    x, y = points(n, 2), points(500, 2, 1) + 0.1
    rows, _ = contributions(x, y)
    whole = energy_distance(x, y)
    assert float(rows.mean()) == pytest.approx(whole, abs=0.003)
    assert not torch.equal(rows, contributions(x, y, Noise(1))[0])


def test_a_row_alone_gives_the_energy_score():
    x, y = points(1, 2), points(50, 2, 1)
    rows, _ = contributions(x, y)
    assert float(rows) == pytest.approx(float(2 * apart(x, y)[0] - within(y).mean()))


def test_strategies_differ_by_their_draws_alone():
    x, one, other = points(30, 2), points(99, 2, 1), points(99, 2, 2)
    gap = contributions(x, one)[0] - contributions(x, other)[0]  # draws fewer than a part
    own = 2 * apart(x, one)[0] - within(one).mean() - 2 * apart(x, other)[0] + within(other).mean()
    assert torch.allclose(gap, own, atol=1e-13)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_closed_form_of_gaussians(d):
    m, root = points(1, d)[0], points(d, d, 1)
    S = root @ root.T
    long = points(200_000, d, 2) @ root.T + m
    assert float(mean_length(m, S)) == pytest.approx(float(long.norm(dim=1).mean()), rel=0.01)


def test_closed_form_in_one_dimension_by_quadrature():
    for mean, sd in ((0.0, 1.0), (2.0, 0.5), (-1.0, 30.0), (5.0, 0.0)):
        phi = math.exp(-(mean**2) / (2 * sd**2)) if sd else 0.0
        erf = math.erf(mean / (sd * 2**0.5)) if sd else math.copysign(1, mean)
        exact = sd * math.sqrt(2 / math.pi) * phi + mean * erf
        S = torch.tensor([[sd**2]])
        assert float(mean_length(torch.tensor([mean]), S)) == pytest.approx(exact, rel=1e-12)


def test_spread_is_the_length_between_two_standard_normals():
    for d in (1, 2, 10, 300):
        eye = 2 * torch.eye(d, dtype=torch.float64)
        assert float(mean_length(torch.zeros(d), eye)) == pytest.approx(spread(d), rel=1e-10)


def test_estimate_is_that_of_the_closed_form():
    p = GaussianTruth(torch.zeros(1, 2).double(), torch.eye(2)[None].double())
    q = GaussianTruth(torch.tensor([[1.0, 0]]).double(), torch.eye(2)[None].double())
    score = expected_energy_score(q, p.mean, p.scale_tril @ p.scale_tril.mT)
    exact = float(score) - spread(2)
    found = energy_distance(points(4000, 2), points(4000, 2, 1) + q.mean)
    assert found == pytest.approx(exact, abs=0.05)
    assert float(expected_energy_score(p, p.mean, torch.eye(2).double()[None])) == pytest.approx(
        spread(2)
    )


@pytest.mark.parametrize("tails", ["t5", "t3", "outliers"])
def test_mixture_of_scales_is_the_distribution_that_rows_have(tails):
    mixture = Population("equal", tails, (30, 30), d=1).mixture()
    p = GaussianTruth(torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double())
    score = expected_energy_score(p, p.mean, torch.ones(1, 1, 1).double(), mixture)
    df = {"t5": 5, "t3": 3}.get(tails)
    if df is None:
        variance = 0.98 + 0.02 * 100
        parts = [(0.98, variance**-0.5), (0.02, 10 * variance**-0.5)]
        laws = [(share, scipy.stats.norm(scale=scale)) for share, scale in parts]
    else:
        laws = [(1.0, scipy.stats.t(df, scale=((df - 2) / df) ** 0.5))]

    def length(v: float) -> float:
        """E|v - Y| for a standard normal Y."""
        normal = scipy.stats.norm
        return 2 * normal.pdf(v) + v * (2 * normal.cdf(v) - 1)

    to_truth = sum(share * law.expect(length, limit=200) for share, law in laws)
    assert float(score) == pytest.approx(2 * to_truth - spread(1), abs=1e-6)


def test_permutations_are_all_of_them():
    """Against every way to part few points, by the plain estimator."""
    x, y = points(4, 2), points(4, 2, 1) + 1.0
    both, every = torch.cat([x, y]), set(range(8))
    value = by_loops(x, y)
    larger = 0
    for first in combinations(range(8), 4):
        rest = sorted(every - set(first))
        larger += by_loops(both[list(first)], both[rest]) >= value - 1e-12
    found = permutation_test(x, y, Noise(0), permutations=4000)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.p == pytest.approx(larger / math.comb(8, 4), abs=0.03)


def test_permutation_test_holds_its_level():
    p = [
        permutation_test(points(12, 2, s), points(15, 2, s + 999), Noise(s), 99).p
        for s in range(400)
    ]
    share = sum(v <= 0.05 for v in p) / len(p)
    assert share <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert permutation_test(points(30, 2), points(30, 2, 1) + 1.5, Noise(0), 99).p == 0.01


def sample_of(shift, n=60, d=2):
    y = torch.arange(2 * n) % 2
    return sw.Sources(points(2 * n, d) + shift * y[:, None], y, ("a", "b"), name="points")


def test_identical_sources_never_lose_and_opposite_ones_are_found():
    same = sw.compare(sample_of(0.0, 200), metric="energy-distance", seeds=1, model="gaussian")
    assert same.verdict["overall"] in ("equivalent", "pool", "undecided")
    data = sample_of(0.0)
    first, second = as_table(data.x).matrix().unbind(1)
    skew = torch.stack([first, second + (4 * data.y - 2) * first], 1)
    opposite = sw.Sources(skew, data.y, data.names, name="points")
    found = sw.compare(opposite, metric="energy-distance", seeds=1, model="gaussian")
    assert found.verdict["overall"] == "separate"


def test_rows_are_scaled_by_pooled_training_rows():
    """Other units, the same comparison."""
    data, factors = sample_of(1.0), torch.tensor([1000.0, 0.001])
    scaled = sw.Sources(as_table(data.x).matrix() * factors, data.y, data.names, name="points")
    one, other = (
        sw.compare(d, metric="energy-distance", seeds=1, model="gaussian").document["differences"][
            -1
        ]
        for d in (data, scaled)
    )
    assert other["difference"] == pytest.approx(one["difference"], abs=1e-9)


def test_region_is_of_the_distance_and_of_the_spread():
    coding = NumericCoding((NumericColumn("a", False, None), NumericColumn("b", False, None)))
    assert METRIC.region(coding, 0.0) == pytest.approx(0.001 * spread(2))
    assert METRIC.region(coding, 3.0) == pytest.approx(0.06)


def test_a_run_keeps_its_scales(tmp_path):
    train, new = sample_of(1.0), sample_of(1.0, 40)
    sw.train(train, metric="energy-distance", out=tmp_path / "run")
    first = sw.evaluate(tmp_path / "run", new)
    document = first.document["strategies"]["pooled"]
    fitted = sw.load(tmp_path / "run").models["pooled"]
    assert isinstance(fitted.features, ColumnFeatures)
    wanted = as_table(train.x).matrix().std(0, correction=0)
    scales = torch.tensor([column.scale for column in fitted.features.columns]).double()
    assert torch.allclose(scales, wanted)
    assert set(document["per_source"]["a"]["metrics"]) == {"energy_distance"}
