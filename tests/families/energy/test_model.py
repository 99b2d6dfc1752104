"""The energy family against finer rules, finite differences, theory's counts and a Gaussian."""

from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import Diagnosed
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.network import EnergyNetwork
from sourcewise.families.energy.sampling_grid import CELLS
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.metrics.distributions import log_prob
from sourcewise.quadrature import gauss_legendre
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.theory import energy as theory
from sourcewise.training import TrainingData, fit

ACTIVATIONS = ("relu", "silu", "softplus")


def build(K=3, D=2, seed=0, **options) -> Energy:
    values = {"embedding": 4, "width": 12, "depth": 3} | options
    model = Energy(EnergySettings.parse(values), K=K, D=D)
    model.reset(Noise(seed))
    return model.double()


def data(model: Energy, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    return Noise(1).uniform(n, model.D), Noise(2).integers(model.K, n)


def grid(model: Energy, nodes: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Densities of source k and weights of a rule."""
    x, log_weight = gauss_legendre(nodes, model.D)
    density = log_prob(model, x, torch.full((len(x),), k)).exp()
    return density.detach(), log_weight.exp()


@given(
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from(ACTIVATIONS),
)
def test_parameters_are_those_of_the_theory(K, D, d_e, depth, activation):
    options = {"embedding": d_e, "depth": depth, "activation": activation}
    counts = theory.Sizes(D=D, d_e=d_e, W=12, L=depth, B=1)
    assert build(K, D, **options).free_parameters == theory.m_pooled(counts, K)
    assert K * build(1, D, **options).free_parameters == theory.m_separate(counts, K)


@pytest.mark.parametrize("D", [1, 2, 3])
@pytest.mark.parametrize("activation", ["silu", "softplus"])
def test_density_integrates_to_one_by_a_finer_rule(D, activation):
    model = build(K=2, D=D, activation=activation)
    for k in range(2):
        density, weight = grid(model, {1: 500, 2: 150, 3: 45}[D], k)
        assert abs(float(density @ weight) - 1) < 1e-6
    assert float(model.quadrature_error(model.nodes).max()) < 1e-6


def test_log_prob_is_that_of_the_theory():
    model = build(K=3, activation="relu")
    mlp = cast(EnergyNetwork, model.network).mlp
    parts = {name: p.detach().numpy() for name, p in mlp.named_parameters()}
    none = np.zeros(1)
    layers = [(parts[f"layers.{i}.weight"], parts.get(f"layers.{i}.bias", none)) for i in range(3)]
    member = theory.Member(model.network.V_Y.weight.detach().numpy(), layers)
    x, log_weight = gauss_legendre(4 * model.nodes, 2)
    for k in range(3):
        expected = theory.log_density(member, x.numpy(), k, log_weight.numpy())
        found = log_prob(model, x, torch.full((len(x),), k))
        assert torch.allclose(found, torch.from_numpy(expected), atol=1e-10)


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("D", [1, 3])
def test_gradient_of_the_likelihood_equals_finite_differences(K, D):
    model = build(K, D, width=8, nodes=8).train()
    x, y = data(model, 20)

    def likelihood() -> torch.Tensor:
        return model.loss(Batch.of(x, y), Noise(0)).mean()

    gradients = torch.autograd.grad(likelihood(), list(model.parameters()))
    step = 1e-5
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            for i in range(0, parameter.numel(), 7):
                entry = parameter.view(-1)
                value = entry[i].item()
                ends = []
                for sign in (1, -1):
                    entry[i] = value + sign * step
                    ends.append(likelihood().item())
                entry[i] = value
                assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(
                    gradient.flatten()[i].item(), abs=1e-8, rel=1e-5
                )


def test_scores_take_the_finest_rule_and_training_the_coarsest():
    model = build(nodes=3)
    x, y = data(model, 50)
    scored = model.eval().loss(Batch.of(x, y), Noise(0))
    finer = (scored + log_prob(model, x, y)).abs()
    assert torch.allclose(finer, model.quadrature_error(2 * model.nodes)[y], rtol=1e-6, atol=1e-12)
    gap = (model.train().loss(Batch.of(x, y), Noise(0)) - scored).abs()
    assert torch.allclose(gap, model.quadrature_error(model.nodes)[y], rtol=1e-6, atol=1e-12)
    assert gap.max() > 1e-9


def test_the_rule_is_cut_in_chunks_without_a_trace(monkeypatch):
    model = build(K=3)
    whole = model.log_normaliser(20)
    monkeypatch.setattr("sourcewise.families.energy.normaliser.CHUNK", 100)
    assert torch.allclose(model.log_normaliser(20), whole, atol=1e-12)


def test_new_weights_have_a_new_normaliser():
    model = build()
    x, y = data(model, 5)
    before = log_prob(model, x, y)
    model.reset(Noise(5))
    density, weight = grid(model, 80, 0)
    assert not torch.allclose(log_prob(model, x, y), before)
    assert abs(float(density @ weight) - 1) < 1e-6


@pytest.mark.parametrize("D", [1, 2])
def test_a_truncated_gaussian_is_recovered(D):
    n, mean, sd = 20_000, 0.35, 0.15
    x = mean + sd * Noise(0).normal(2 * n, D)
    x = x[((x > 0) & (x < 1)).all(1)][:n]
    settings = EnergySettings.parse({"passes": 3, "updates": 0, "validation": 0, "width": 32})
    model = Energy(settings, K=1, D=D)
    fit(model, TrainingData.plain(x, torch.zeros(n).long()), names=("a",), settings=settings)
    points, log_weight = gauss_legendre(80, D)
    truth = (log_weight - ((points - mean) / sd).square().sum(1) / 2).softmax(0)
    density, weight = grid(model.double(), 80, 0)
    assert float((density * weight - truth).abs().sum()) / 2 < 0.05


@pytest.mark.parametrize("D", [1, 2, 3])
def test_samples_have_the_frequencies_of_the_density(D):
    model, n, bins = build(K=2, D=D), 40_000, {1: 16, 2: 4, 3: 2}[D]
    for parameter in model.parameters():
        parameter.data *= 1.6  # far from uniform
    y = torch.arange(n) % 2
    x = model.sample(y, noise=Noise(0))
    assert x.shape == (n, D)
    assert bool(((x >= 0) & (x <= 1)).all())
    corners = torch.cartesian_prod(*[torch.arange(bins)] * D).view(-1, D)
    points, log_weight = gauss_legendre(8, D)  # of one bin
    inner = ((corners[:, None] + points) / bins).flatten(0, 1)
    cells = (x * bins).long() @ bins ** torch.arange(D).flip(0)
    for k in range(2):
        density = log_prob(model, inner, torch.full((len(inner),), k)).exp().view(bins**D, -1)
        p = (density @ log_weight.exp()).detach() / bins**D
        counts = torch.bincount(cells[y == k], minlength=bins**D)
        chi2 = ((counts - n / 2 * p).square() / (n / 2 * p)).sum()
        assert chi2 < len(p) + 5 * (2 * len(p)) ** 0.5
        assert p.max() > 1.2 * p.min()


class Even:
    """Quantiles in place of draws: evenly spread cells, and places within a cell."""

    def __init__(self, key: str = ""):
        self.key = key

    def each(self, y):
        return self

    def of(self, key: str) -> "Even":
        return Even(key)

    def uniform(self, *event: int) -> torch.Tensor:
        u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
        return u if self.key == "cell" else (u * 20_000 * 0.6180339887 % 1)[:, None]


def test_error_of_sampling_is_of_second_order(monkeypatch):
    model = build(K=1, D=1)
    for parameter in model.parameters():
        parameter.data *= 2
    x, _ = gauss_legendre(200, 1)
    density, weight = grid(model, 200, 0)
    mean = float((density * weight) @ x[:, 0])

    errors = []
    for cells in (16, 32):
        monkeypatch.setitem(CELLS, 1, cells)
        drawn = model.sample(torch.zeros(20_000).long(), noise=cast(ExampleNoise, Even()))
        errors.append(abs(float(drawn.mean()) - mean))
    assert 3 < errors[0] / errors[1] < 5.5


@limits(max_examples=5)
@given(st.integers(1, 30))
def test_samples_do_not_depend_on_the_batch(cut):
    model = build(K=2, D=1)
    y = torch.arange(31) % 2
    noise = Noise(3).each(y)
    whole = model.sample(y, noise=noise)
    rows = torch.arange(31)
    parts = [model.sample(y[i], noise=noise.take(i)) for i in (rows[:cut], rows[cut:])]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-12)


def test_off_the_cube_the_density_is_zero():
    model = build(K=1)
    x = torch.tensor([[0.5, 1.1], [-0.1, 0.5], [0.0, 1.0]])
    assert (log_prob(model, x, torch.zeros(3).long()) == -torch.inf).tolist() == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("options", "D", "message"),
    [
        ({"objective": "likelihood"}, 4, "likelihood needs 1 to 3 columns"),
        ({"sampler": "grid"}, 4, "grid needs 1 to 3 columns, not 4"),
        (
            {"rule": "grid", "nodes": 100},
            4,
            "too many to sum over .*: fewer columns, or columns in",
        ),
        ({"rule": "grid"}, 2, "rule=grid needs nodes=N"),
        ({"rule": "grid", "nodes": 4, "objective": "nce"}, 2, "goes with objective=likelihood"),
        ({"rule": "grid", "nodes": 4, "sampler": "hmc"}, 2, "no slopes to follow"),
        ({"objective": "sliced", "activation": "relu"}, 2, "needs slopes of slopes"),
        ({"network": "convolutional"}, 4, "setting image: channels,height,width"),
        ({"negatives": 3, "objective": "pcd"}, 4, "negatives serves only objective=nce .here: co"),
        ({"steps": 3}, 4, "setting steps serves only objective=pcd .*objective=nce, annealing"),
        ({"smoothing": 0.2}, 2, "setting smoothing serves only objective=denoising"),
        ({"image": (1, 2, 2)}, 4, "setting image serves only network=convolutional"),
        ({"rule": "clenshaw-curtis"}, 4, "rule serves only quadrature: 1 to 3 columns .*ns 4,"),
        ({"nodes": 32}, 4, "setting nodes serves only quadrature, 1 to 3 columns, and rule=grid"),
        ({"temperatures": 10}, 2, "temperatures serves only annealed importance sampling: more"),
        ({"particles": 64}, 2, "more than 3 columns, no rule=grid .here: columns 2, .*rule=gauss"),
        ({"noise": "uniform"}, 2, "noise serves only objective=nce or pcd, sampler=hmc or mala"),
        ({"components": 3, "noise": "uniform"}, 4, "components serves only noise=mixture, with"),
        ({"objective": "pcd", "activation": "relu"}, 4, "needs slopes of slopes"),
        ({"objective": "sliced", "depth": 1}, 2, "setting depth: at least 2"),
        ({"particles": 8}, 4, "setting particles: not 8"),
        ({"width": 5}, 2, "at least the 2 columns"),
        (
            {"nodes": 1},
            2,
            "setting nodes: not 1 .allowed: a whole number in .2, 2097152., or auto.",
        ),
    ],
)
def test_what_is_not_allowed_is_said(options, D, message):
    with pytest.raises(InputError, match=message):
        build(D=D, **options)


@pytest.mark.parametrize(
    ("D", "options", "told"),
    [
        (
            2,
            {},
            {
                "objective": "likelihood",
                "normaliser": "gauss-legendre quadrature",
                "nodes": 48,
                "validation nodes": 96,
                "score nodes": 192,
                "sampler": "grid",
                "width": 12,
            },
        ),
        (
            2,
            {"rule": "grid", "nodes": 5},
            {
                "objective": "likelihood",
                "normaliser": "exact sum over a grid",
                "nodes": 5,
                "sampler": "grid",
                "width": 12,
            },
        ),
        (
            5,
            {"width": "auto"},
            {
                "objective": "nce",
                "normaliser": "annealed importance sampling",
                "temperatures": 200,
                "particles": 128,
                "sampler": "hmc",
                "width": 64,
            },
        ),
    ],
)
def test_it_tells_what_its_settings_came_to(D, options, told):
    assert Diagnosed(build(D=D, **options).diagnostics()).resolved == told


@pytest.mark.parametrize(
    ("D", "objective", "told"),
    [
        (2, "nce", ""),
        (5, "auto", "noise-contrastive loss in nats (2.83 where"),
        (5, "pcd", "sliced score matching, without a unit"),
        (5, "sliced", "sliced score matching, without a unit"),
        (5, "denoising", "denoising score matching, without a unit"),
    ],
)
def test_it_tells_what_validation_rows_are_judged_by(D, objective, told):
    found = build(D=D, objective=objective).validated_by
    assert found.startswith(told)
    assert bool(found) == bool(told)
