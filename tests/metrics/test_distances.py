"""Total variation and Kullback-Leibler against integrals, enumeration and known closed forms."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from sourcewise.errors import InputError
from sourcewise.metrics.likelihood import kl_monte_carlo, kullback_leibler
from sourcewise.metrics.total_variation import (
    total_variation,
    tv_gaussian_1d,
    tv_gaussian_equal_covariance,
    tv_monte_carlo,
    tv_quadrature,
)
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.truths.box import BoxMixture
from sourcewise.truths.gaussian import GaussianTruth
from sourcewise.truths.square import checkerboard

quiet = settings(deadline=None, derandomize=True)
means = st.floats(-5, 5)
spreads = st.floats(0.1, 5)


def gaussians(*pairs: tuple[float, float]) -> GaussianTruth:
    """One-dimensional: (mean, standard deviation) of each source."""
    table = torch.tensor(pairs, dtype=torch.float64)
    return GaussianTruth(table[:, :1], table[:, 1:, None])


def random_gaussian(seed: int, K: int = 2, d: int = 3) -> GaussianTruth:
    noise = Noise(seed)
    L = 0.3 * noise.of("L").normal(K, d, d).tril(-1)
    return GaussianTruth(noise.normal(K, d), L + torch.eye(d) * (1 + noise.uniform(K, 1, 1)))


@dataclass
class Laplace:
    """`exp(-|x - m_k|)/2`: has a density and samples, and nothing of a Gaussian."""

    location: Tensor  # (K,)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        return -(x - self.location[y]).abs() - math.log(2)

    def sample(self, y: Tensor, *, noise: Noise | ExampleNoise) -> Tensor:
        u = noise.each(y).uniform(1).squeeze(1) - 0.5
        return self.location[y] - u.sign() * torch.log1p(-2 * u.abs())


# --- closed forms of total variation


@quiet
@given(means, spreads, means, spreads)
def test_tv_of_one_dimensional_gaussians_is_the_integral(m_p, s_p, m_q, s_q):
    x = np.linspace(-60, 60, 400_001)
    integral = np.abs(norm.pdf(x, m_p, s_p) - norm.pdf(x, m_q, s_q)).sum() * (x[1] - x[0]) / 2
    assert abs(tv_gaussian_1d(m_p, s_p, m_q, s_q) - integral) < 1e-6


@quiet
@given(means, spreads, means, spreads, st.floats(-3, 3), st.floats(0.1, 10))
def test_tv_of_one_dimensional_gaussians_is_symmetric_and_invariant(m_p, s_p, m_q, s_q, a, b):
    tv = tv_gaussian_1d(m_p, s_p, m_q, s_q)
    assert -1e-15 <= tv <= 1
    assert tv_gaussian_1d(m_q, s_q, m_p, s_p) == pytest.approx(tv, abs=1e-12)
    moved = tv_gaussian_1d(a + b * m_p, b * s_p, a + b * m_q, b * s_q)
    assert moved == pytest.approx(tv, abs=1e-9)


@quiet
@given(means, means, spreads, st.floats(-14, -3))
def test_unequal_variances_tend_to_equal_ones(m_p, m_q, s, log10):
    near = tv_gaussian_1d(m_p, s, m_q, s * (1 + 10**log10))
    assert abs(near - tv_gaussian_1d(m_p, s, m_q, s)) < 10**log10


def test_tv_with_equal_covariance_is_the_integral():
    L = torch.tensor([[1.0, 0.0], [0.7, 0.5]], dtype=torch.float64)
    p, q = torch.tensor([0.2, -0.3]).double(), torch.tensor([-0.5, 0.1]).double()
    axis = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    densities = [MultivariateNormal(m, scale_tril=L).log_prob(grid).exp() for m in (p, q)]
    integral = (densities[0] - densities[1]).abs().sum().item() * 0.01**2 / 2
    assert abs(tv_gaussian_equal_covariance(p, q, L) - integral) < 1e-6


@quiet
@given(st.integers(0, 1000))
def test_tv_with_equal_covariance_is_invariant_under_linear_maps(seed):
    p, shift = random_gaussian(seed, K=1), Noise(seed).of("shift").normal(3)
    A = Noise(seed).of("A").normal(3, 3) + 4 * torch.eye(3)
    L = p.scale_tril[0]
    moved = torch.linalg.cholesky(A @ L @ L.T @ A.T)
    before = tv_gaussian_equal_covariance(p.mean[0], p.mean[0] + shift, L)
    after = tv_gaussian_equal_covariance(A @ p.mean[0], A @ (p.mean[0] + shift), moved)
    assert after == pytest.approx(before, abs=1e-9)


def test_per_source_average_and_worst():
    result = total_variation(gaussians((0, 1), (0, 1)), gaussians((2, 1), (0, 2)))
    first, second = 2 * norm.cdf(1) - 1, tv_gaussian_1d(0, 1, 0, 2)
    assert result.values == (pytest.approx(first, abs=1e-14), pytest.approx(second, abs=1e-14))
    assert result.average.value == pytest.approx((first + second) / 2)
    assert result.worst_source == 0
    assert [e.method for e in result] == [
        "exact: Gaussians with equal covariance",
        "exact: one-dimensional Gaussians",
    ]
    assert result.average.low == result.average.high == result.average.value


def test_a_shared_covariance_is_that_of_every_source():
    own = random_gaussian(3, K=1)
    mean = Noise(0).normal(4, 3)
    shared, repeated = (
        GaussianTruth(mean, own.scale_tril),
        GaussianTruth(mean, own.scale_tril.repeat(4, 1, 1)),
    )
    other = GaussianTruth(mean + 0.3, own.scale_tril)
    for metric in (total_variation, kullback_leibler):
        assert metric(shared, other).values == metric(repeated, other).values


@pytest.mark.parametrize("metric", [total_variation, kullback_leibler])
def test_a_distribution_is_at_distance_zero_from_itself(metric):
    p = random_gaussian(1)
    table = torch.log_softmax(Noise(0).normal(3, 6), 1)
    laplace = Laplace(torch.tensor([0.0, 1.0]))
    assert metric(p, GaussianTruth(p.mean.clone(), p.scale_tril.clone())).values == (0.0, 0.0)
    assert metric(table, table.clone()).values == (0.0, 0.0, 0.0)
    assert metric(laplace, laplace, K=2, samples=100).values == (0.0, 0.0)


def test_float32_models_are_taken():
    p = random_gaussian(1)
    q = GaussianTruth(p.mean.float(), p.scale_tril.float())
    assert 0 < total_variation(p, q).average.value < 1e-4  # simulated: covariances differ by 1e-8
    assert 0 < kullback_leibler(p, q).average.value < 1e-12


# --- closed forms of the divergence


@quiet
@given(st.integers(0, 1000))
def test_kl_of_gaussians(seed):
    p, q = random_gaussian(seed), random_gaussian(seed + 5000)
    expected = [
        kl_divergence(
            MultivariateNormal(p.mean[k], scale_tril=p.scale_tril[k]),
            MultivariateNormal(q.mean[k], scale_tril=q.scale_tril[k]),
        ).item()
        for k in range(2)
    ]
    assert kullback_leibler(p, q).values == pytest.approx(expected, rel=1e-10)


def test_pinsker():
    for seed in range(50):
        p, q = random_gaussian(seed, d=1), random_gaussian(seed + 5000, d=1)
        tv, kl = total_variation(p, q).values, kullback_leibler(p, q).values
        assert all(t <= math.sqrt(v / 2) for t, v in zip(tv, kl, strict=True))


# --- finite spaces


def test_enumeration():
    p, q = torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([[0.5, 0.25, 0.25]])
    tv, kl = total_variation(p.log(), q.log())[0], kullback_leibler(p.log(), q.log())[0]
    assert tv.value == pytest.approx(0.3, abs=1e-7)
    direct = 0.2 * math.log(0.4) + 0.3 * math.log(1.2) + 0.5 * math.log(2)
    assert kl.value == pytest.approx(direct, abs=1e-6)
    assert tv.method == kl.method == "exact: enumeration"


def test_impossible_outcomes():
    p, q = torch.tensor([[1.0, 0.0]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert total_variation(p, q).values == (0.5,)
    assert kullback_leibler(p, q).values == (pytest.approx(math.log(2)),)
    assert kullback_leibler(q, p).values == (math.inf,)


# --- simulation


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (gaussians((0, 1)), gaussians((0.3, 1))),
        (gaussians((0, 1)), gaussians((1, 3))),
        (gaussians((0, 1)), gaussians((4, 0.5))),
    ],
)
def test_intervals_of_simulated_tv_cover_the_closed_form(p, q):
    exact = total_variation(p, q)[0].value
    estimates = [tv_monte_carlo(p, q, 0, 400, Noise(seed)) for seed in range(400)]
    covered = sum(e.low <= exact <= e.high for e in estimates)
    assert covered >= 366  # 95 % of 400 is 380, standard deviation 4.4
    z = (np.mean([e.value for e in estimates]) - exact) / np.std([e.value for e in estimates])
    assert abs(z) * 20 < 4  # unbiased


def test_intervals_of_simulated_kl_cover_the_closed_form():
    p, q = gaussians((0, 1)), gaussians((1, 1.5))
    exact = kullback_leibler(p, q)[0].value
    estimates = [kl_monte_carlo(p, q, 0, 400, Noise(seed)) for seed in range(400)]
    assert 366 <= sum(e.low <= exact <= e.high for e in estimates) < 400


def test_unequal_covariances_in_several_dimensions_are_simulated():
    scale = torch.eye(3, dtype=torch.float64)
    wide = scale.clone()
    wide[1, 1] = 2.0
    p, q = (GaussianTruth(torch.zeros(1, 3).double(), L[None]) for L in (scale, wide))
    estimate = total_variation(p, q, samples=100_000)[0]
    assert estimate.method.startswith("Monte Carlo: balanced tanh")
    assert estimate.standard_error < 0.001
    # only one coordinate differs
    assert abs(estimate.value - tv_gaussian_1d(0, 1, 0, 2)) < 4 * estimate.standard_error


def test_laplace_against_its_closed_forms():
    p, q = Laplace(torch.zeros(2).double()), Laplace(torch.tensor([0.5, 2.0]).double())
    for k, m in enumerate((0.5, 2.0)):
        tv, kl = (f(p, q, K=2, samples=50_000)[k] for f in (total_variation, kullback_leibler))
        assert abs(tv.value - (1 - math.exp(-m / 2))) < 4 * tv.standard_error
        assert abs(kl.value - (m + math.exp(-m) - 1)) < 4 * kl.standard_error
        assert max(tv.standard_error, kl.standard_error) < 0.01


def test_densities_far_below_the_smallest_float_are_no_problem():
    p, q = Laplace(torch.zeros(1).double()), Laplace(torch.full((1,), 1e5).double())
    tv, kl = (f(p, q, K=1, samples=1000)[0] for f in (total_variation, kullback_leibler))
    assert tv.value == tv.high == 1.0
    assert tv.low == pytest.approx(1 - 1.96 / 1000, abs=1e-5)  # 1000 draws do not show more
    assert abs(kl.value - 1e5) < 4 * kl.standard_error + 10


def test_impossible_draws_make_the_divergence_infinite():
    class Half(Laplace):
        def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.where(x > 0, -x, -math.inf)

    p, half = Laplace(torch.zeros(1)), Half(torch.zeros(1))
    assert kullback_leibler(p, half, K=1, samples=100)[0].value == math.inf
    assert 0 < total_variation(p, half, K=1, samples=100)[0].value < 1


def test_simulation_is_reproducible_and_sources_do_not_share_draws():
    p, q = Laplace(torch.zeros(3)), Laplace(torch.ones(3))
    first = total_variation(p, q, K=3, samples=200, noise=Noise(1))
    assert total_variation(p, q, K=3, samples=200, noise=Noise(1)) == first
    assert total_variation(p, q, K=1, samples=200, noise=Noise(1))[0] == first[0]
    assert total_variation(p, q, K=3, samples=200, noise=Noise(2)) != first
    assert len(set(first.values)) == 3


# --- quadrature on the cube


def truncated(mean: float, scale: float, D: int = 1) -> BoxMixture:
    """A normal in the first coordinate, the same for all in the others."""
    means, scales = (torch.full((1, 1, D), v).double() for v in (0.4, 0.3))
    means[..., 0], scales[..., 0] = mean, scale
    return BoxMixture(torch.ones(1, 1).double(), means, scales)


def tv_of_truncated(m_p: float, m_q: float, s: float) -> float:
    """`|P(t) - Q(t)|` where the densities cross: their log ratio is a line."""

    def below(m: float, t: float) -> float:
        a, b = norm.cdf([0, 1], m, s)
        return (norm.cdf(t, m, s) - a) / (b - a)

    masses = [norm.cdf(1, m, s) - norm.cdf(0, m, s) for m in (m_p, m_q)]
    t = (m_p + m_q) / 2 - s**2 * math.log(masses[0] / masses[1]) / (m_q - m_p)
    return abs(below(m_p, t) - below(m_q, t))


@pytest.mark.parametrize(("D", "nodes"), [(1, 200), (2, 60), (3, 20)])
@pytest.mark.parametrize("rule", ["gauss-legendre", "clenshaw-curtis", "midpoints"])
def test_tv_of_truncated_gaussians_by_quadrature(D, nodes, rule):
    p, q = truncated(0.2, 0.3, D), truncated(0.9, 0.3, D)
    found, exact = tv_quadrature(p, q, 0, nodes, D, rule), tv_of_truncated(0.2, 0.9, 0.3)
    assert abs(found.value - exact) < 1.5 / (2 * nodes) ** 2
    assert 0 < found.standard_error < 10 / nodes**2
    assert found.method == f"quadrature: {rule}, {2 * nodes} per axis"


def test_the_stated_error_of_quadrature_covers_the_true_one():
    """Where the kink sits among the nodes is chance."""
    covered, below, cases = 0, 0, 0
    for m_q in np.linspace(0.31, 0.89, 30):
        exact = tv_of_truncated(0.2, float(m_q), 0.15)
        for nodes in (10, 25, 60):
            found = tv_quadrature(truncated(0.2, 0.15), truncated(float(m_q), 0.15), 0, nodes, 1)
            covered += found.low <= exact <= found.high
            below += abs(found.value - exact) <= found.standard_error
            cases += 1
    assert covered >= 0.95 * cases
    assert below >= 0.9 * cases


def test_spikes_that_the_rule_does_not_see_are_in_the_stated_error():
    p, q = truncated(0.2, 1e-4), truncated(0.7, 1e-4)
    found = tv_quadrature(p, q, 0, 8, 1)  # all nodes miss both
    assert found.value < 1e-6
    assert found.high > 0.9


def test_quadrature_of_a_distribution_from_itself_and_of_two_without_overlap():
    p = truncated(0.2, 0.1, 2)
    same = tv_quadrature(p, p, 0, 40, 2)
    assert (same.value, same.standard_error) == (0.0, 0.0)
    board, shifted = checkerboard(1, 0.0), checkerboard(1, 0.125)  # by half a cell
    assert tv_quadrature(board, shifted, 0, 16, 2, "midpoints").value == pytest.approx(0.5)
    far = tv_quadrature(truncated(0.1, 0.01), truncated(0.9, 0.01), 0, 100, 1)
    assert far.value == pytest.approx(1, abs=1e-9)
    assert far.value <= 1


def test_quadrature_agrees_with_simulation():
    board, p = checkerboard(2, 0.1, smooth=True, contrast=0.8), truncated(0.3, 0.2, 2)
    weight, mean, scale = (torch.cat([part] * 2) for part in (p.weight, p.mean, p.scale))
    twice = BoxMixture(weight, mean, scale)
    for k in range(2):
        found = tv_quadrature(board, twice, k, 40, 2)
        simulated = tv_monte_carlo(board, twice, k, 20_000, Noise(0))
        assert abs(found.value - simulated.value) < 4 * simulated.standard_error
        assert found.standard_error < 1e-3


def test_bad_input_of_quadrature():
    p = truncated(0.2, 0.1)
    with pytest.raises(InputError, match="no rule 'midpoint': did you mean 'midpoints'"):
        tv_quadrature(p, p, 0, 8, 1, "midpoint")

    class Broken(Laplace):
        def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.full((len(x),), math.nan)

    with pytest.raises(InputError, match="source 0 is not a number"):
        tv_quadrature(p, Broken(torch.zeros(1)), 0, 8, 1)


# --- bad input


@pytest.mark.parametrize("metric", [total_variation, kullback_leibler])
def test_bad_input(metric: Any):
    laplace, table = Laplace(torch.zeros(1)), torch.tensor([[0.5, 0.5]]).log()
    with pytest.raises(InputError, match="K, the number of sources"):
        metric(laplace, laplace)
    with pytest.raises(InputError, match="samples must be at least 2"):
        metric(laplace, laplace, K=1, samples=1)
    with pytest.raises(InputError, match="one shape"):
        metric(table, table[:, :1])
    with pytest.raises(InputError, match="or neither"):
        metric(table, laplace, K=1)
    with pytest.raises(InputError, match="row of q must hold log probabilities"):
        metric(table, table.exp())
    with pytest.raises(InputError, match="differ in shape"):
        metric(random_gaussian(0, K=2), random_gaussian(0, K=3))
    with pytest.raises(InputError, match="not a number"):
        metric(laplace, Laplace(torch.full((1,), math.nan)), K=1)
