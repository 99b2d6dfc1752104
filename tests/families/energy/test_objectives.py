"""Objectives of the energy family: identities by quadrature, limits, and a truth recovered."""

import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import functional

from sourcewise.batch import Batch
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.objectives import (
    _heat_score,
    base_of,
    random_signs,
    sliced,
)
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.metrics.distributions import log_prob
from sourcewise.quadrature import gauss_legendre
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.stack import StepNoise

from . import conftest

build = partial(conftest.build, K=1, gain=2.0, embedding=2, width=6)
MEAN, COVARIANCE = torch.tensor([0.35, 0.6]), torch.tensor([[0.04, 0.02], [0.02, 0.03]])


def zeros(x: Tensor) -> Tensor:
    return torch.zeros(len(x), dtype=torch.int64)


def score(model: Energy, x: Tensor) -> Tensor:
    """(B, D) `-grad u` of the first source."""
    x = x.clone().requires_grad_()
    return -torch.autograd.grad(model.network(x, zeros(x)).sum(), x)[0]


def masses(model: Energy, x: Tensor, log_weight: Tensor) -> Tensor:
    """(N,) of the points of a rule under the first source."""
    return (log_weight - model.network(x, zeros(x))).softmax(0).detach()


def gradient(model: Energy, value: Tensor) -> Tensor:
    """All parameters' in one row."""
    parts = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


def deviation(gradients: Tensor, exact: Tensor) -> Tensor:
    """Means of replicates (R, P) from their limit (P,), in Monte Carlo standard errors."""
    return (gradients.mean(0) - exact).abs() / (gradients.std(0) / len(gradients) ** 0.5)


def likelihood_gradient(model: Energy, x: Tensor, y: Tensor) -> Tensor:
    log_Z = model.log_normaliser(100)
    return gradient(model, (model.network(x, y) + log_Z[y]).mean())


class Given:
    """Draws that a test has chosen, in place of noise."""

    def __init__(self, draws: Tensor):
        self.draws = draws

    def of(self, *key: int | str) -> "Given":
        return self

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        assert shape == self.draws.shape
        return self.draws.to(dtype)

    uniform = normal


def given(draws: Tensor) -> Any:
    return Given(draws)


def step_noise(rows: int, *key: int) -> Any:
    """Of one model's batch."""
    return StepNoise([Noise(3).of(*key)], [rows])


# A correlated Gaussian on the box, from 20 000 rows.

CHAINS = {"objective": "pcd", "restart": 0.0}
FREE = {"adjusted": False, "acceptance": 0.995}  # a small step: it is biased like its square
RECOVERED = {
    "nce": {"objective": "nce", "depth": 2, "updates": 400},
    "denoising": {"objective": "denoising", "updates": 600},
    "sliced": {"objective": "sliced", "updates": 600},
    "pcd": CHAINS | {"steps": 3, "chains": 256, "replay": 256, "updates": 600},
    "pcd, not adjusted": CHAINS
    | FREE
    | {"steps": 10, "chains": 512, "replay": 512, "updates": 1000},
}


def gaussian_rows(n: int) -> Tensor:
    x = MEAN.double() + Noise(0).normal(3 * n, 2) @ torch.linalg.cholesky(COVARIANCE.double()).mT
    return x[((x > 0) & (x < 1)).all(1)][:n]


def distance(model: Energy) -> float:
    """Total variation to the Gaussian on the box, by quadrature."""
    x, log_weight = gauss_legendre(100, 2)
    d = x - MEAN
    truth = (log_weight - (d @ torch.linalg.inv(COVARIANCE.double()) * d).sum(1) / 2).softmax(0)
    with torch.no_grad():
        found = (log_prob(model, x, zeros(x)).double() + log_weight).exp()
    return float((found - truth).abs().sum()) / 2


@pytest.mark.parametrize("how", RECOVERED)
def test_a_correlated_gaussian_is_recovered(how):
    """By the objective alone: no validation rows, whose exact likelihood could choose weights."""
    x = gaussian_rows(20_000)
    plain = {"width": 32, "embedding": 2, "learning_rate": 0.01, "passes": 1, "validation": 0}
    settings = EnergySettings.parse(plain | {"schedule": "cosine"} | RECOVERED[how])
    model, y = Energy(settings, K=1, D=2), zeros(x)
    assert len(x) == 20_000
    model.reset(Noise(0))
    assert distance(model) > 0.2
    fit(model, TrainingData.plain(x, y), names=("a",), noise=Noise(1), settings=settings)
    assert distance(model) < 0.03


# Sliced score matching.


def test_sliced_over_all_signs_is_score_matching_with_second_derivatives():
    model, x, a = build(K=2, D=3), Noise(1).uniform(5, 3), torch.tensor([0.1, 0.3, 0.25]).double()
    y = torch.arange(5) % 2
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3))).double()
    batch = Batch.of(x, y)
    mean = torch.stack([sliced(model.network, batch, a, v.expand(5, 3)) for v in signs]).mean(0)
    for i in range(5):

        def u(point: Tensor, i: int = i) -> Tensor:
            return model.network(point[None], y[i : i + 1])[0]

        slopes: Any = functional.jacobian(u, x[i])
        curvatures: Any = functional.hessian(u, x[i])
        s, curvature = -slopes, -curvatures.diagonal()  # ds_j / dx_j
        h, slope = 4 * a**2 * x[i] * (1 - x[i]), 4 * a**2 * (1 - 2 * x[i])
        by_hand = (h * s**2 / 2 + slope * s + h * curvature).sum()
        assert mean[i].item() == pytest.approx(by_hand.item(), abs=1e-10)


def test_sliced_expectation_is_the_weighted_distance_of_scores():
    truth, model = build(seed=1), build(seed=2)
    x, log_weight = gauss_legendre(60, 2)
    p, a = masses(truth, x, log_weight), torch.tensor([0.3, 0.2]).double()

    def expected(m: Energy) -> Tensor:
        signs = [torch.tensor(v).double().expand_as(x) for v in ((1.0, 1.0), (1.0, -1.0))]
        batch = Batch.of(x, zeros(x))
        values = [sliced(m.network, batch, a, v) for v in signs]  # v and -v are the same
        return p @ torch.stack(values).mean(0)

    h = 4 * a**2 * x * (1 - x)
    gap = p @ (h * (score(model, x) - score(truth, x)).square()).sum(1) / 2
    assert gap.item() > 1e-2
    assert (expected(model) - expected(truth)).item() == pytest.approx(gap.item(), abs=1e-8)


def test_sliced_takes_random_signs_and_spreads_of_the_rows():
    a = (0.1, 0.3, 0.25)
    model, x = build(K=2, D=3, spread=a, objective="sliced"), Noise(1).uniform(4000, 3)
    y, noise = torch.arange(4000) % 2, step_noise(4000)
    carried = model.begin(Batch.of(x, y), Noise(2))
    assert torch.allclose(carried["spread"], torch.tensor(a).double())
    v = random_signs(x, noise)
    assert v.unique().tolist() == [-1, 1]
    covariance = v.mT @ v / 4000
    assert (covariance - torch.eye(3)).abs().max() < 4.5 / 4000**0.5
    assert v.mean(0).abs().max() < 4.5 / 4000**0.5
    found = model.train().carried_loss(Batch.of(x, y), carried, noise)
    assert torch.equal(found, sliced(model.network, Batch.of(x, y), carried["spread"], v))


# Denoising.


def kernel(z: Tensor, x: Tensor, a: Tensor, images: int = 20) -> Tensor:
    """Log of the heat kernel (up to a factor), coordinates summed, of many images."""
    turns = 2 * torch.arange(-images, images + 1).double()
    centres = torch.cat([x[..., None] + turns, -x[..., None] + turns], -1)
    exponent = -(z[..., None] - centres).square() / (2 * a[..., None].square())
    return exponent.logsumexp(-1).sum(-1)


@pytest.mark.parametrize("a", [0.001, 0.03, 0.15])
def test_the_heat_kernel_has_all_images(a):
    """.3 spreads are at most .15: half the rows at each wall have a spread of .5."""
    ends = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.999], [0.0, 0.0, 0.0]]).double()
    x = torch.cat([ends, Noise(1).uniform(200, 3)])
    z = torch.cat([ends.flip(0), Noise(2).uniform(200, 3)])
    spread = torch.tensor([a, a / 2, a]).double()
    near = x + spread * Noise(3).normal(len(x), 3)
    z = torch.cat([z, near.clamp(0, 1)]).requires_grad_()
    x = torch.cat([x, x])
    (exact,) = torch.autograd.grad(kernel(z, x, spread.expand_as(x)).sum(), z)
    found = _heat_score(z.detach(), x, spread.expand(1, 3))
    assert torch.allclose(found, exact, atol=1e-9 / a, rtol=1e-9)


def test_denoising_averages_over_the_kernel():
    """Over all draws, the loss of a row is the integral over z; both sides by quadrature."""
    model, a = build(D=1, smoothing=0.3, objective="denoising"), torch.tensor([0.12]).double()
    model.train()
    carried = {"spread": a / 0.3}
    nodes, log_w = gauss_legendre(40, 1)
    z, log_weight = gauss_legendre(300, 1)
    for place in (0.0, 0.07, 0.5, 0.9):
        folds = (np.arange(-2, 4) - place) / a.item()  # draws that end at a wall
        cuts = np.unique(np.clip([-9, 9, 0, *np.linspace(-9, 9, 7), *folds, *-folds], -9, 9))
        draws = torch.cat([b + (c - b) * nodes for b, c in itertools.pairwise(cuts.tolist())])
        weight = torch.cat([(c - b) * log_w.exp() for b, c in itertools.pairwise(cuts.tolist())])
        weight *= (-draws[:, 0].square() / 2).exp() / math.sqrt(2 * math.pi)
        x = torch.full_like(draws, place)
        loss, opposite = (
            model.carried_loss(Batch.of(x, zeros(x)), carried, given(d)) for d in (draws, -draws)
        )
        assert torch.allclose(loss, opposite, atol=1e-12)  # each row is moved both ways
        k = (kernel(z, torch.full_like(z, place), a.expand_as(z)) + log_weight).softmax(0)
        target = _heat_score(z, torch.full_like(z, place), a.expand(1, 1))
        integral = k @ (a * (score(model, z) - target)).square().sum(1) / 2
        assert weight.sum().item() == pytest.approx(1, abs=1e-10)
        assert (loss @ weight).item() == pytest.approx(integral.item(), abs=1e-9)


def test_denoising_fits_the_density_with_noise():
    """Up to a constant, E of the objective is `1/2 E a^2 (s - s~)^2`, s~ of the blurred truth."""
    truth, a = build(D=1, seed=1), torch.tensor([0.1]).double()
    x, log_weight = gauss_legendre(300, 1)
    p = masses(truth, x, log_weight)
    z, from_x = x[:, None].expand(-1, 300, 1), x[None].expand(300, -1, 1)  # (z, x, 1)
    log_k = kernel(z, from_x, a.expand_as(z))
    log_k = log_k - (log_k + log_weight[:, None]).logsumexp(0)  # sums to 1 over z
    joint = log_k.exp() * p * log_weight.exp()[:, None]  # (z, x)
    target = _heat_score(z, from_x, a.expand(1, 1))[..., 0]
    blurred = (joint * target).sum(1) / joint.sum(1)  # d/dz of the log of E_p k(z|x)

    def gap(m: Energy) -> tuple[float, float]:
        s = score(m, x)[:, 0]
        objective = (joint * a**2 * (s[:, None] - target).square()).sum() / 2
        return objective.item(), (joint.sum(1) * a**2 * (s - blurred).square()).sum().item() / 2

    blurred_density = (log_k.exp() @ p).log()  # at the nodes; differentiate by its polynomial
    fitted = np.polynomial.Legendre.fit(x[:, 0], blurred_density.numpy(), 60, domain=[0, 1])
    assert np.allclose(fitted.deriv()(x[:, 0].numpy()), blurred.numpy(), atol=1e-6)
    (first, distance_1), (second, distance_2) = gap(build(D=1, seed=2)), gap(build(D=1, seed=3))
    assert abs(distance_1 - distance_2) > 1e-4
    assert first - second == pytest.approx(distance_1 - distance_2, abs=1e-10)


# Noise-contrastive estimation.


def test_nce_is_its_definition():
    model = build(K=2, objective="nce", negatives=3, components=2)
    x, y = Noise(1).uniform(4, 2), torch.tensor([0, 1, 1, 0])
    carried = model.begin(Batch.of(Noise(2).uniform(50, 2), torch.arange(50) % 2), Noise(7))
    draws = Noise(3).uniform(4, 3, 3)
    found = model.train().carried_loss(Batch.of(x, y), carried, given(draws))
    base = base_of(carried, model.settings)
    assert base.uniform == 0.05
    for i in range(4):
        against = base.points(draws[i], torch.zeros(3).long())
        points = torch.cat([x[i : i + 1], against])
        u = model.network(points, y[i].expand(4))
        r = ((-u).exp() / log_prob(base, points, zeros(points)).exp()).detach()
        assert found[i].item() == pytest.approx(-math.log(r[0] / r.sum()), abs=1e-12)


def test_nce_without_a_difference_cannot_tell():
    """Where the energy is that of the noise, all `1 + negatives` points are alike."""
    model = build(objective="nce", negatives=5, noise="uniform", gain=0.0)
    x = Noise(1).uniform(20, 2)
    carried = model.begin(Batch.of(x, zeros(x)), Noise(7))
    found = model.train().carried_loss(Batch.of(x, zeros(x)), carried, step_noise(len(x)))
    assert torch.allclose(found, torch.full_like(found, math.log(6)), atol=1e-12)


@pytest.mark.parametrize("negatives", [1, 2000])
def test_nce_tends_to_the_likelihood(negatives):
    """100 gradients: their mean is the likelihood's within 4.5 of its standard errors, or not."""
    model = build(K=2, D=1, objective="nce", negatives=negatives)
    x, y = Noise(1).uniform(6, 1), torch.arange(6) % 2
    carried = model.train().begin(
        Batch.of(Noise(2).uniform(50, 1), torch.arange(50) % 2), Noise(7)
    )
    losses = [model.carried_loss(Batch.of(x, y), carried, step_noise(6, i)) for i in range(100)]
    found = torch.stack([gradient(model, loss.mean()) for loss in losses])
    worst = deviation(found, likelihood_gradient(model, x, y)).max().item()
    assert worst > 10 if negatives == 1 else worst < 4.5


# Persistent contrastive divergence; its chains are in test_energy_chains.py.


@pytest.mark.parametrize("exactly", [True, False])
def test_pcd_has_the_gradient_of_the_likelihood_if_its_chains_follow_the_model(exactly):
    model = build(K=2, objective="pcd")
    x, y = Noise(1).uniform(6, 2), torch.arange(6) % 2
    C, R = 400, 100  # chains, replicates
    drawn = Noise(3).uniform(2 * C * R, 2)
    if exactly:
        drawn = model.sample(torch.arange(2).repeat_interleave(C * R), noise=Noise(2))
    chains = drawn.view(2, R, C, 2).transpose(0, 1)
    model.train()
    losses = [
        model.carried_loss(Batch.of(x, y), {"moved": part}, step_noise(6)) for part in chains
    ]
    found = torch.stack([gradient(model, loss.mean()) for loss in losses])
    worst = deviation(found, likelihood_gradient(model, x, y)).max().item()
    assert worst < 4.5 if exactly else worst > 10


def test_energy_decay_is_followed_and_not_counted():
    """Its gradient is that of squares; the value stays the difference, which tells failures."""
    model = build(K=2, objective="pcd", energy_decay=0.1).train()
    x, y, moved = Noise(1).uniform(5, 2), torch.arange(5) % 2, Noise(2).uniform(2, 7, 2)
    found = model.carried_loss(Batch.of(x, y), {"moved": moved}, step_noise(5))
    for i in range(5):
        u = model.network(x[i : i + 1], y[i : i + 1])[0]
        of_chains = model.network(moved[y[i]], y[i].expand(7))
        apart = u - of_chains.mean()
        by_hand = apart + 0.1 * (u**2 + (of_chains**2).mean())
        assert found[i].item() == pytest.approx(apart.item(), abs=1e-12)
        followed = gradient(model, found[i])
        assert torch.allclose(followed, gradient(model, by_hand), atol=1e-12)
        assert not torch.allclose(followed, gradient(model, apart), atol=1e-3)


@pytest.mark.parametrize("objective", ["nce", "pcd", "denoising", "sliced"])
def test_validation_is_the_likelihood_where_it_is_exact(objective):
    model = build(K=2, objective=objective)
    x, y = Noise(1).uniform(9, 2), torch.arange(9) % 2
    noise: Any = StepNoise([Noise(2)], [9])
    carried = model.begin(Batch.of(x, y), noise.members[0])
    held = model.eval().carried_loss(Batch.of(x, y), carried, noise)
    assert torch.allclose(held, -log_prob(model, x, y), atol=1e-6)
    trained = model.train().carried_loss(Batch.of(x, y), carried, noise)
    assert (trained - held).abs().min() > 1e-4
