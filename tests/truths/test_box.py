"""Truncated mixtures: integrals, tails against quadrature, samples against their own law."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.quadrature import gauss_legendre
from sourcewise.randomness import Noise
from sourcewise.truths.box import BoxMixture, fit_mixture


def mixture(K=2, C=3, D=2, seed=0, uniform=0.0, smallest=0.1) -> BoxMixture:
    noise = Noise(seed)
    weight = noise.of("weight").normal(K, C).softmax(1)
    mean = 2 * noise.of("mean").uniform(K, C, D) - 0.5  # a half of them outside
    scale = smallest + noise.of("scale").uniform(K, C, D)
    return BoxMixture(weight, mean, scale, uniform)


def normal(mean: float, scale: float) -> BoxMixture:
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    return BoxMixture(one[0], mean * one, scale * one)


def density(p: BoxMixture, x: Tensor, k: int = 0) -> Tensor:
    return p.log_prob(x, torch.tensor(k)).exp()


def graded() -> tuple[Tensor, Tensor]:
    """Points and weights on [0, 1]: panels that shrink towards 0 to 1e-12, and the rest."""
    x, log_weight = gauss_legendre(40, 1)
    edges = torch.cat([torch.zeros(1), 0.5 ** torch.arange(40.0).flip(0)]).double()
    width = edges.diff()[:, None]
    return (edges[:-1, None] + width * x[:, 0]).flatten(), (width * log_weight.exp()).flatten()


# --- densities


@pytest.mark.parametrize("D", [1, 2, 3])
@pytest.mark.parametrize("uniform", [0.0, 0.2])
def test_densities_integrate_to_one(D, uniform):
    p = mixture(D=D, uniform=uniform)
    x, log_weight = gauss_legendre({1: 200, 2: 80, 3: 40}[D], D)
    for k in range(2):
        assert abs(float(log_weight.exp() @ density(p, x, k)) - 1) < 1e-10


@pytest.mark.parametrize("mean", [-1e3, -1.0, -1e-9, 0.0, 0.3, 0.5])
@pytest.mark.parametrize("scale", [1e-3, 0.1, 10.0, 1e4])
def test_one_normal_against_quadrature_at_any_mean_and_scale(mean, scale):
    """From the nearest point r of the box, `exp(-(x - r)(x + r - 2 m) / (2 s^2))`."""
    x, weight = graded()
    r = max(mean, 0.0)
    if mean > 0:  # panels that shrink towards the mean from both sides
        x, weight = (
            torch.cat([mean * (1 - x), mean + (1 - mean) * x]),
            torch.cat([mean * weight, (1 - mean) * weight]),
        )
    log_f = -(x - r) * (x + r - 2 * mean) / (2 * scale**2)
    log_p = log_f - (weight @ log_f.exp()).log()
    tolerance = 1e-12 * max(1.0, scale)
    seen = log_f > -1e4
    found = normal(mean, scale).log_prob(x[:, None], torch.tensor(0))
    torch.testing.assert_close(found[seen], log_p[seen], rtol=1e-12, atol=tolerance)
    mirrored = normal(1 - mean, scale).log_prob(1 - x[:, None], torch.tensor(0))
    near = seen & (x > 1e-3)  # 1 - x rounds
    torch.testing.assert_close(mirrored[near], log_p[near], rtol=1e-9, atol=tolerance)


def test_far_tails_are_exact():
    """30 standard deviations away the density is 1e-200 and more precise than its logarithm."""
    p = normal(0.1, 0.03)
    inside = norm.cdf(0.9 / 0.03) - norm.cdf(-0.1 / 0.03)
    expected = norm.logpdf(1.0, 0.1, 0.03) - math.log(inside)
    found = p.log_prob(torch.ones(1, 1).double(), torch.tensor(0))
    assert found.item() == pytest.approx(expected, rel=1e-14)
    assert found.item() < -440


def test_a_mixture_is_the_weighted_sum_of_its_products():
    p, x = mixture(K=2, C=3, D=2, uniform=0.1), Noise(1).uniform(7, 2)
    for k in range(2):
        total = torch.full((7,), 0.1, dtype=torch.float64)
        for c in range(3):
            product = torch.ones(7, dtype=torch.float64)
            for d in range(2):
                one = normal(float(p.mean[k, c, d]), float(p.scale[k, c, d]))
                product = product * density(one, x[:, d : d + 1])
            total += 0.9 * p.weight[k, c] * product
        torch.testing.assert_close(density(p, x, k), total)


def test_the_limits_are_the_uniform_and_the_exponential_distribution():
    x = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
    flat = normal(0.2, 1e5).log_prob(x, torch.tensor(0))
    assert float(flat.abs().max()) < 1e-9
    rate, scale = 3.0, 200.0  # exp(-(x - m)^2 / (2 s^2)) ~ exp(m x / s^2)
    steep = normal(-rate * scale**2, scale).log_prob(x, torch.tensor(0))
    exact = math.log(rate / -math.expm1(-rate)) - rate * x[:, 0]
    torch.testing.assert_close(steep, exact, atol=2e-5, rtol=0)


def test_leading_axes_and_chunks(monkeypatch):
    p = mixture(K=3)
    x, y = Noise(0).uniform(3, 4, 5, 2), torch.arange(3)[:, None, None]
    found = p.log_prob(x, y)
    assert found.shape == (3, 4, 5)
    for k in range(3):
        flat = p.log_prob(x[k].flatten(0, 1), torch.full((20,), k))
        torch.testing.assert_close(found[k].flatten(), flat)
    monkeypatch.setattr("sourcewise.truths.box.CHUNK", 30)
    torch.testing.assert_close(p.log_prob(x, y), found)


def test_off_the_cube_the_density_is_zero():
    x = torch.tensor([[0.5, 1.1], [-0.1, 0.5], [0.0, 1.0], [math.nan, 0.5]])
    for p in (mixture(), mixture(uniform=0.5)):
        outside = p.log_prob(x, torch.zeros(4).long()) == -torch.inf
        assert outside.tolist() == [True, True, False, True]


@pytest.mark.parametrize("uniform", [0.0, 0.1, 1.0])
def test_gradient_in_x_equals_finite_differences(uniform):
    p, x = mixture(uniform=uniform), Noise(0).uniform(4, 2).requires_grad_()
    y = torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda x: p.log_prob(x, y), x)


def test_single_precision():
    p, x = mixture(uniform=0.1), Noise(0).uniform(50, 2)
    y = torch.arange(50) % 2
    found = p.to(torch.float32).log_prob(x.float(), y)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), p.log_prob(x, y), atol=1e-5, rtol=1e-5)


def test_a_uniform_share_of_one_is_the_uniform_distribution():
    p, y, noise = mixture(uniform=1.0), torch.arange(50) % 2, Noise(0)
    x = p.sample(y, noise=noise)
    assert torch.equal(x, noise.each(y).uniform(3)[:, 1:])
    assert p.log_prob(x, y).tolist() == [0.0] * 50


# --- samples


def distribution(p: BoxMixture, k: int, d: int, t: np.ndarray) -> np.ndarray:
    """The distribution function of coordinate d, by SciPy's normal one."""
    total = p.uniform * t
    for c in range(p.weight.shape[1]):
        w, m, s = float(p.weight[k, c]), float(p.mean[k, c, d]), float(p.scale[k, c, d])
        a, b = norm.cdf(0, m, s), norm.cdf(1, m, s)
        total = total + (1 - p.uniform) * w * (norm.cdf(t, m, s) - a) / (b - a)
    return total


@pytest.mark.parametrize("uniform", [0.0, 0.3])
def test_samples_have_their_distribution_function(uniform):
    p, n = mixture(uniform=uniform), 20_000
    y = torch.arange(n) % 2
    x = p.sample(y, noise=Noise(0))
    assert x.shape == (n, 2)
    for k in range(2):
        for d in range(2):
            seen = x[y == k, d].numpy()
            assert kstest(seen, lambda t, k=k, d=d: distribution(p, k, d, t)).pvalue > 1e-3


def test_samples_have_the_frequencies_of_the_joint_density():
    p, n, cells = mixture(C=4, uniform=0.1), 50_000, 6
    y = torch.arange(n) % 2
    number = (p.sample(y, noise=Noise(1)) * cells).long() @ torch.tensor([cells, 1])
    x, log_weight = gauss_legendre(12, 2)
    corners = torch.cartesian_prod(*[torch.arange(cells)] * 2)
    for k in range(2):
        inner = density(p, (corners[:, None] + x) / cells, k)
        expected = n / 2 / cells**2 * (inner @ log_weight.exp())
        seen = torch.bincount(number[y == k], minlength=cells**2)
        chi2 = float(((seen - expected) ** 2 / expected).sum())
        assert chi2 < 80  # chi2_35: p = 2e-5


@pytest.mark.parametrize("mean", [-1e3, -1.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1e-3, 0.1, 10.0, 1e3])
def test_tails_are_sampled_as_they_are(mean, scale):
    p, n = normal(mean, scale), 4000
    x = p.sample(torch.zeros(n).long(), noise=Noise(0))[:, 0]
    assert bool(((x >= 0) & (x <= 1)).all())
    # the distribution function by integrating the density from the wall that is near
    t, weight = graded()
    side, start = (-1, 1.0) if mean > 0.5 else (1, 0.0)
    if 0 < mean < 1:
        assert kstest(x.numpy(), lambda v: distribution(p, 0, 0, v)).pvalue > 1e-3
        return
    points, order = start + side * t, t.argsort()
    mass = (weight * density(p, points[:, None]))[order]
    below = (mass.cumsum(0) - mass / 2).numpy()
    u = np.interp(((x - start) * side).numpy(), t[order].numpy(), below)
    assert kstest(u, "uniform").pvalue > 1e-3
    assert float((x - start).abs().min()) > 0


@settings(max_examples=10)
@given(st.integers(1, 30))
def test_samples_do_not_depend_on_the_batch(cut):
    p, y = mixture(uniform=0.3), torch.arange(31) % 2
    noise = Noise(3).each(y)
    rows = torch.arange(31)
    parts = [p.sample(y[i], noise=noise.take(i)) for i in (rows[:cut], rows[cut:])]
    assert torch.equal(torch.cat(parts), p.sample(y, noise=noise))


def test_points_take_levels_of_any_shape():
    p, y = mixture(uniform=0.2), torch.arange(30) % 2
    u = Noise(0).each(y).uniform(3)
    flat = p.sample(y, noise=Noise(0))
    torch.testing.assert_close(p.points(u.view(2, 3, 5, 3), y.view(2, 3, 5)).flatten(0, 2), flat)


# --- fits


def test_a_fit_of_a_far_from_walls_mixture_is_that_mixture():
    weight = torch.tensor([[0.3, 0.7]]).double()
    mean = torch.tensor([[[0.3, 0.4], [0.7, 0.6]]]).double()
    scale = torch.tensor([[[0.05, 0.1], [0.08, 0.04]]]).double()
    truth, n = BoxMixture(weight, mean, scale), 20_000
    x = truth.sample(torch.zeros(n).long(), noise=Noise(0))
    fitted = fit_mixture(x, 2, Noise(1))
    assert (fitted.K, fitted.D, fitted.uniform) == (1, 2, 0.05)
    order = fitted.weight[0].argsort()
    assert fitted.weight[0, order].tolist() == pytest.approx([0.3, 0.7], abs=0.02)
    torch.testing.assert_close(fitted.mean[0, order], mean[0], atol=0.005, rtol=0)
    expected = (scale.square() + 0.01**2).sqrt()  # the floor is added in quadrature
    torch.testing.assert_close(fitted.scale[0, order], expected[0], atol=0.005, rtol=0)
    again = fit_mixture(x, 2, Noise(1))
    assert torch.equal(again.mean, fitted.mean)


@pytest.mark.parametrize("x", [torch.full((1, 2), 0.3), torch.full((9, 2), 1.0), torch.eye(2)])
def test_few_or_equal_points_degenerate_nothing(x):
    fitted = fit_mixture(x, 5, Noise(0), floor=0.02)
    assert fitted.weight.shape[1] <= len(x)
    assert float(fitted.scale.min()) > 0.02 - 1e-12
    points, log_weight = gauss_legendre(400, 2)
    assert abs(float(log_weight.exp() @ density(fitted, points)) - 1) < 1e-6
    assert float(density(fitted, points).min()) >= 0.05


# --- what is refused


def test_bad_input():
    p = mixture()
    with pytest.raises(InputError, match="weights \\(K, C\\) and means"):
        BoxMixture(p.weight[:1], p.mean, p.scale)
    with pytest.raises(InputError, match="scales of a mixture must be above 0"):
        BoxMixture(p.weight, p.mean, 0 * p.scale)
    with pytest.raises(InputError, match="sum to 1"):
        BoxMixture(2 * p.weight, p.mean, p.scale)
    with pytest.raises(InputError, match="uniform must be in \\[0, 1\\], got 1.5"):
        BoxMixture(p.weight, p.mean, p.scale, 1.5)
    with pytest.raises(InputError, match="at least one point"):
        fit_mixture(torch.zeros(0, 2), 2, Noise(0))
    with pytest.raises(InputError, match="components must be a whole number, at least 1"):
        fit_mixture(torch.zeros(3, 2), 0, Noise(0))
