"""The normaliser of an energy, by annealing and by quadrature, against exact sums."""

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.normaliser import annealed_normaliser
from sourcewise.families.energy.objectives import base_of, begin_base
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.metrics.distributions import log_prob
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

from .conftest import FEW, build, columns, finished


def trained_on_gaussians(K: int) -> Energy:
    """A network trained by nce on K normals of three columns."""
    y = torch.arange(K).repeat_interleave(100)
    mean = 0.2 + 0.6 * Noise(11).uniform(K, 3)
    x = (mean[y] + 0.12 * Noise(12).normal(len(y), 3)).clamp(0, 1)
    options = {"objective": "nce", "updates": 150, "passes": 0.1, "validation": 0}
    settings = EnergySettings.parse(FEW | options)
    model = Energy(settings, K=K, D=3)
    names = tuple(map(str, range(K)))
    fit(model, TrainingData.plain(x, y), names=names, settings=settings)
    return model.double()


def test_annealing_agrees_with_quadrature_within_its_interval():
    inside, K, spreads, widths = 0, 25, [], []
    models = [build(K, 3, seed, gain) for seed, gain in ((0, 1.5), (1, 2.0), (2, 2.5))]
    for number, model in enumerate([*models, trained_on_gaussians(K)]):
        rows = Noise(number).of("rows").uniform(300, 3).square()  # the base is no uniform
        base = base_of(begin_base(rows, model.settings, Noise(0)), model.settings)
        found = annealed_normaliser(model.network, base, 50, 128, Noise(number).of("annealing"))
        exact = model.log_normaliser(32).detach()
        assert (exact - model.log_normaliser(24)).abs().max() < 1e-3
        inside += int(((found.low <= exact) & (exact <= found.high)).sum())
        widths += (found.high - found.low).tolist()
        spreads += model.network.at(Noise(9).uniform(500, 3)).std(1).tolist()
    assert inside >= 93
    assert sorted(widths)[50] < 0.8
    assert max(spreads) > 5  # nats: some are far from uniform


@pytest.mark.parametrize("D", [1, 3])
def test_up_to_three_columns_the_error_is_that_of_the_rule(D):
    model = build(K=2, D=D, nodes=2, gain=1.0)
    x, y = Noise(1).uniform(30, D), torch.arange(30) % 2
    found = model.log_density(Batch.of(x, y), Noise(0))
    by_hand = -model.network(x, y) - model.log_normaliser(8)[y]  # 4 times those of training
    assert torch.equal(found.value, by_hand)
    assert found.kind == "estimate"
    error = (model.log_normaliser(4) - model.log_normaliser(8)).abs().detach()
    assert error.min() > 1e-12
    expected = torch.stack([0 * error, 0 * error, error], 1).double()
    assert torch.equal(columns(found), expected)


def test_beyond_three_columns_the_error_is_that_of_annealing(quick):
    model = finished(build(K=40, D=4, gain=1.3, temperatures=30, particles=64))
    x, y = Noise(1).uniform(40, 4), torch.arange(40)
    exact = -model.network(x, y).detach() - model.log_normaliser(12).detach()
    a, b = (
        annealed_normaliser(model.network, model.noise_distribution(), 30, 64, Noise(seed))
        for seed in (1, 2)
    )
    assert a.method.startswith("annealed importance sampling, 30 temperatures")
    assert bool((a.standard_error > 0).all())
    apart = (a.value - b.value) / (a.standard_error**2 + b.standard_error**2).sqrt()
    assert 0.7 < apart.square().mean().sqrt() < 1.4  # 40 normals: 1 +- .11
    log_Z = model.log_normaliser(12).detach()
    off = (a.value - log_Z) / a.standard_error
    assert 0.7 < off.square().mean().sqrt() < 1.5
    found = model.log_density(Batch.of(x, y), Noise(0))
    assert found.kind == "estimate"
    error, beyond, either = columns(found).unbind(1)
    assert bool((beyond >= 0).all())
    assert not either.any()
    kept = log_prob(model, x, y).detach() - exact
    assert ((kept < 1.96 * error + beyond) & (-1.96 * error < kept)).double().mean() > 0.85


def test_log_probs_of_annealing_are_overstated_in_expectation():
    """Over 2000 runs, by half the squared error; the mean of Z itself is exact."""
    model = build(K=2000, D=2)
    model.network.V_Y.weight.data[:] = model.network.V_Y.weight[0].clone()  # all sources alike
    rows = Noise(1).uniform(200, 2).square()
    base = base_of(begin_base(rows, model.settings, Noise(0)), model.settings)
    found = annealed_normaliser(model.network, base, 3, 32, Noise(1))
    gap = model.log_normaliser(48)[0].detach() - found.value
    error = gap.std() / 2000**0.5
    assert gap.mean() > 5 * error
    assert 0.5 < gap.mean() / (gap.var() / 2) < 2
    ratio = (-gap).exp()
    assert (ratio.mean() - 1).abs() < 4 * ratio.std() / 2000**0.5


def test_two_rules_agree():
    x, y = Noise(1).uniform(50, 2), torch.arange(50) % 2
    legendre, curtis = (build(rule=rule) for rule in ("gauss-legendre", "clenshaw-curtis"))
    found = log_prob(curtis, x, y)
    assert torch.allclose(log_prob(legendre, x, y), found, atol=1e-6)
    assert not torch.equal(log_prob(build(rule="clenshaw-curtis", nodes=2), x, y), found)
