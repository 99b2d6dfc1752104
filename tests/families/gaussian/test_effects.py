import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from sourcewise.families.gaussian import effects
from sourcewise.families.gaussian.effects import (
    directions,
    random_effects,
    variance_between,
    variances_between,
)
from sourcewise.randomness import Noise


def sample(K: int, p: int, t: float, v: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Means m (K, p) around 1, and what is seen of them."""
    m = 1 + math.sqrt(t) * Noise(seed).of("m").normal(K, p)
    return m, m + v.sqrt()[:, None] * Noise(seed).of("z").normal(K, p)


def restricted(z: Tensor, v: Tensor, t: float) -> float:
    """The log density of all contrasts of z (K,), which know nothing of the common mean."""
    K = len(z)
    ones = torch.ones(K, 1, dtype=z.dtype)
    contrasts = torch.linalg.qr(ones, mode="complete").Q[:, 1:]
    density = torch.distributions.MultivariateNormal(
        torch.zeros(K - 1, dtype=z.dtype), contrasts.T @ torch.diag(v + t) @ contrasts
    )
    return float(density.log_prob(contrasts.T @ z))


@pytest.mark.parametrize("seed", range(6))
def test_variance_has_the_most_restricted_likelihood(seed):
    v = 0.05 + Noise(seed).of("v").uniform(8)
    _, z = sample(8, 3, 0.4, v, seed)
    found = variance_between(z, v)
    for i in range(3):

        def loss(t: float, i: int = i) -> float:
            return -restricted(z[:, i], v, t)

        best = minimize_scalar(loss, bounds=(0, 10), method="bounded", options={"xatol": 1e-12})
        assert loss(float(found[i])) <= best.fun + 1e-10
        assert math.isclose(found[i], best.x, abs_tol=2e-4)
    together = float(variance_between(z, v, common=True)[0])
    for t in (0.9 * together, 1.1 * together):
        every = [sum(restricted(z[:, i], v, s) for i in range(3)) for s in (t, together)]
        assert every[0] < every[1]


@pytest.mark.parametrize("K", [2, 3, 10])
def test_variance_of_equal_sizes_is_the_textbooks(K):
    for seed in range(20):
        v = torch.full((K,), 0.3, dtype=torch.float64)
        _, z = sample(K, 2, 0.2, v, seed)
        wanted = (z.var(0) - 0.3).clamp(min=0)
        assert torch.allclose(variance_between(z, v), wanted, atol=1e-12)
        common = (z.var(0).mean() - 0.3).clamp(min=0)
        assert torch.allclose(variance_between(z, v, common=True), common[None], atol=1e-12)


def test_how_many_variances_are_tried_at_once_makes_no_difference(monkeypatch):
    v = 0.05 + Noise(0).of("v").uniform(8)
    for t in (0.0, 0.01, 0.4, 50.0):
        _, z = sample(8, 3, t, v)
        for common in (False, True):
            many = variance_between(z, v, common)
            monkeypatch.setattr(effects, "NUMBERS", 0)  # one by one
            assert torch.allclose(variance_between(z, v, common), many, rtol=1e-12, atol=1e-14)
            monkeypatch.undo()


def test_posterior_is_that_of_a_normal_distribution_conditioned_densely():
    v = torch.tensor([0.1, 0.5, 2.0, 0.3], dtype=torch.float64)
    _, z = sample(4, 1, 0.7, v)
    t = 0.7
    precision = torch.zeros(5, 5, dtype=z.dtype)  # of m_1 to m_4, and of m, which is unknown
    precision[:4, :4] = torch.diag(1 / v + 1 / t)
    precision[4, :4] = precision[:4, 4] = -1 / t
    precision[4, 4] = 4 / t
    covariance = torch.linalg.inv(precision)
    found = random_effects(z, v, torch.tensor([t], dtype=z.dtype))
    assert torch.allclose(found.mean, covariance[:4, :4] @ (z / v[:, None]))
    assert torch.allclose(found.variance[:, 0], covariance.diagonal()[:4])
    assert torch.allclose(found.share[:, 0], v / (v + t))


def test_sources_alike_share_all_and_sources_apart_share_nothing():
    v = torch.full((5,), 0.2, dtype=torch.float64)
    same = torch.ones(5, 2, dtype=torch.float64)
    found = random_effects(same, v, variances_between(same, v))
    assert torch.equal(found.share, torch.ones_like(found.share))
    assert torch.allclose(found.variance, torch.tensor(0.04, dtype=v.dtype))  # v / K
    apart = 1e6 * torch.arange(10, dtype=torch.float64).view(5, 2) ** 2
    found = random_effects(apart, v, variances_between(apart, v))
    assert torch.allclose(found.mean, apart)
    assert torch.allclose(found.variance, v[:, None])


def test_one_source_keeps_its_mean():
    z, v = torch.tensor([[3.0, 4.0]]), torch.tensor([0.5])
    found = random_effects(z, v, variances_between(z, v))
    assert torch.equal(found.mean, z)
    assert torch.equal(found.variance, torch.full((1, 2), 0.5))


def test_directions_are_orthogonal_and_uncorrelated():
    v = torch.full((7,), 0.1, dtype=torch.float64)
    _, z = sample(7, 4, 1.0, v)
    U = directions(z, v)
    turned = (z - z.mean(0)) @ U
    inner = turned.T @ turned
    assert torch.allclose(U.T @ U, torch.eye(4, dtype=U.dtype), atol=1e-12)
    assert torch.allclose(inner, torch.diag(inner.diagonal()), atol=1e-10)


@pytest.mark.parametrize("t", [0.0, 0.05, 0.2, 1.0])
def test_loss_is_near_that_of_the_true_strength(t):
    """The mean squared error, over data sets, within 5 % of what knowing t gives.

    Of sources that are all alike, within 5 % of what separate means lose.
    """
    n = torch.tensor([5.0, 10.0, 20.0, 40.0] * 10, dtype=torch.float64)
    losses = torch.zeros(2, dtype=torch.float64)
    for seed in range(100):
        m, z = sample(40, 3, t, 1 / n, seed)
        known = torch.full((3,), t, dtype=torch.float64)
        for i, between in enumerate((variances_between(z, 1 / n), known)):
            losses[i] += (random_effects(z, 1 / n, between).mean - m).square().mean()
    allowed = 1.05 * losses[1] if t else losses[1] + 0.05 * 100 * (1 / n).mean()
    assert losses[0] < allowed
