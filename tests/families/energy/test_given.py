"""Energies with given columns: at fixed c they are energies without any, which witness them."""

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import ConditionalModel
from sourcewise.families.energy import normaliser
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.network import EnergyNetwork, ImageEnergyNetwork
from sourcewise.families.energy.normaliser import annealed_rows, log_normaliser
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training.stack import StepNoise

from .conftest import FEW, FINISH, columns

C = 2


def given_model(D: int, K: int = 2, seed: int = 0, gain: float = 1.5, **options) -> Energy:
    model = Energy(EnergySettings.parse(FEW | {"width": 14} | options), K=K, D=D, C=C)
    ConditionalModel.reset(model, Noise(seed))
    for parameter in model.parameters():
        parameter.data *= gain
    first = model.network
    assert isinstance(first, EnergyNetwork)
    first.mlp.first.weight.data[:, :D] *= 4.0
    return model.double()


def at(model: Energy, c: Tensor, **options) -> Energy:
    """The model at c (C,) as one without given columns: W c is a part of the first offset."""
    out = Energy(
        EnergySettings.parse(FEW | {"width": 14} | options), K=model.K, D=model.D
    ).double()
    state = model.network.state_dict()
    weight = state["mlp.layers.0.weight"]
    state["mlp.layers.0.weight"] = weight[:, :-C]
    state["mlp.layers.0.bias"] = state["mlp.layers.0.bias"] + weight[:, -C:] @ c
    out.network.load_state_dict(state)
    return out


def rows(n: int, D: int, seed: int = 0) -> Batch:
    noise = Noise(seed)
    return Batch.of(noise.of("x").uniform(n, D), torch.arange(n) % 2, noise.of("c").normal(n, C))


@pytest.mark.parametrize("options", [{}, {"rule": "grid", "nodes": 20}])
def test_densities_are_those_of_energies_at_c(options):
    model, batch = given_model(1, **options), rows(6, 1)
    found = model.log_density(batch, Noise(0))
    assert batch.c is not None
    for i in range(6):
        alone, one = at(model, batch.c[i], **options), batch.take(torch.tensor([i]))
        plain = alone.log_density(Batch.of(one.tensor, one.y), Noise(0))
        torch.testing.assert_close(found.value[i : i + 1], plain.value, rtol=1e-10, atol=1e-10)
        loss = [m.eval().loss(one, StepNoise([Noise(0)], [1])) for m in (model, alone)]
        torch.testing.assert_close(*loss, rtol=1e-10, atol=1e-10)
    points = (torch.arange(4000, dtype=torch.float64)[:, None] + 0.5) / 4000
    for c in batch.c[:2]:
        fine = Batch.of(points, torch.zeros(4000).long(), c.expand(4000, C))
        mass = model.log_density(fine, Noise(0)).value.exp().mean()
        assert float(mass.detach()) == pytest.approx(1, abs=1e-5)


def test_the_error_of_the_rule_is_a_mean_over_rows():
    model, batch = given_model(1, nodes=2), rows(8, 1)
    assert batch.c is not None
    error = columns(model.log_density(batch, Noise(0)))[:, 2]
    alone = torch.stack([at(model, c, nodes=2).quadrature_error(4) for c in batch.c])  # (8, K)
    for k in range(2):
        torch.testing.assert_close(error[k], alone[batch.y == k, k].mean())


def test_stacked_networks_are_each_of_them():
    models = [given_model(3, seed=s) for s in range(3)]
    x, y, c = Noise(1).uniform(3, 5, 3), Noise(2).integers(2, 3, 5), Noise(3).normal(3, 5, C)
    stacked = given_model(3)
    for name, parameter in stacked.named_parameters():
        parameter.data = torch.stack([m.get_parameter(name).detach() for m in models])
    points = Noise(4).uniform(7, 3)
    u, shared = stacked.network(x, y, c), stacked.network.at(points, y, c)
    for s, model in enumerate(models):
        torch.testing.assert_close(u[s], model.network(x[s], y[s], c[s]))
        torch.testing.assert_close(shared[s], model.network.at(points, y[s], c[s]))


@pytest.mark.parametrize("image", [False, True])
def test_the_same_points_under_conditions(image):
    network: EnergyNetwork | ImageEnergyNetwork
    if image:
        network = ImageEnergyNetwork(2, (1, 4, 4), 3, 5, 3, C=C)
    else:
        network = EnergyNetwork(2, 16, 3, 20, 3, "silu", C=C)
    for i, parameter in enumerate(network.parameters()):
        parameter.data = Noise(i).normal(*parameter.shape, dtype=torch.float64) / 4
    points, y, c = Noise(8).uniform(5, 16), torch.tensor([1, 0, 1]), Noise(9).normal(3, C)
    found = network.at(points, y, c)
    for m in range(3):
        each = network(points, y[m].expand(5), c[m].expand(5, C))
        torch.testing.assert_close(found[m], each)
    zero = network.at(points, torch.arange(2), torch.zeros(2, C, dtype=torch.float64))
    torch.testing.assert_close(network.at(points), zero)


@pytest.mark.parametrize("objective", ["nce", "denoising", "sliced"])
def test_objectives_at_c(objective):
    """The value of each row is that of an energy without given columns at its c."""
    options = {"objective": objective, **FINISH}
    model, batch = given_model(4, **options), rows(5, 4)
    assert batch.c is not None
    assert model.objective is not None
    carried = model.begin(batch, Noise(3))
    noise = StepNoise([Noise(4)], [5])
    values = model.train().carried_loss(batch, carried, noise)
    for i in range(5):
        alone = at(model, batch.c[i], **options).train()
        plain = alone.carried_loss(Batch.of(batch.x, batch.y), carried, noise)
        torch.testing.assert_close(values[i], plain[i], rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def annealed_model() -> Energy:
    model, batch = given_model(2, gain=1.2, temperatures=40, particles=64), rows(200, 2)
    model.finish(batch, model.begin(batch, Noise(3)), Noise(4))
    return model


def test_more_columns_are_annealed_for_every_different_condition(annealed_model, monkeypatch):
    """Against quadrature at the same conditions; the same without the other rows."""
    model, batch = annealed_model, rows(40, 2, seed=5)
    assert batch.c is not None
    batch.c[20:] = batch.c[:20]  # every value twice
    assert not model.exact
    base = model.noise_distribution()
    found = annealed_rows(model.network, base, model.settings, batch.y, batch.c, Noise(6))
    exact = log_normaliser(model.network, "gauss-legendre", 40, batch.y, batch.c).detach()
    inside = (found.value - 4 * found.standard_error <= exact) & (exact <= found.high)
    assert int(inside.sum()) >= 37
    assert float((found.value - exact).abs().max()) < 0.5
    assert exact.std() > 0.1  # they do depend on the condition
    assert torch.equal(found.value[:20], found.value[20:])
    whole = model.log_density(batch, Noise(6))
    assert whole.kind == "estimate"
    u = model.network(batch.tensor, batch.y, batch.c)
    torch.testing.assert_close(whole.value, -u - found.value)
    some = torch.tensor([7, 30, 2])
    part = model.log_density(batch.take(some), Noise(6))
    torch.testing.assert_close(part.value, whole.value[some], rtol=1e-6, atol=1e-6)
    error = columns(whole)
    for k in range(2):
        own = batch.y == k
        torch.testing.assert_close(error[k, 0], found.standard_error[own].mean())
    monkeypatch.setattr(normaliser, "MOST_CONDITIONS", 10)
    with pytest.raises(
        InputError, match="20 different values of source and given columns.*most 10"
    ):
        model.log_density(batch, Noise(6))


def test_what_is_said_of_annealing_is_of_training_rows(annealed_model):
    said = {item.name: item.values for item in annealed_model.diagnostics()}
    assert 0 < said["annealing error"][0] < 2
    assert 1 < said["effective weights"][0] <= 48
    assert said["gain over one normal"][0] == pytest.approx(said["gain over one normal"][0])


def test_chains_follow_the_density_at_c(annealed_model):
    model, c, n = annealed_model, torch.tensor([2.0, -2.0]).double(), 1500
    y = torch.ones(n, dtype=torch.int64)
    x = model.sample(y, Noise(7), c.expand(n, C))
    exact = at(model, c).sample(y, Noise(8))
    other = at(model, -c).sample(y, Noise(8))
    for j in range(2):
        assert kstest(x[:, j].numpy(), exact[:, j].numpy()).pvalue > 1e-3
    assert min(kstest(x[:, j].numpy(), other[:, j].numpy()).pvalue for j in range(2)) < 1e-3


def test_the_grid_draws_what_it_draws_at_c():
    model, n = given_model(1), 30
    y, c = torch.arange(n) % 2, Noise(1).normal(3, C).repeat(10, 1)
    x = model.sample(y, Noise(2), c)
    for i in range(3):
        own = (c == c[i]).all(1)
        alone = at(model, c[i]).sample(y, Noise(2))
        torch.testing.assert_close(x[own], alone[own], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("D", "options", "told"),
    [
        (1, {"objective": "pcd"}, "pcd keeps chains for every source"),
        (2, {"objective": "likelihood"}, "likelihood needs 1 column where others are given"),
        (2, {"sampler": "grid"}, "grid needs 1 column where others are given"),
        (2, {"rule": "grid", "nodes": 65}, "too many to sum over for every row, given columns"),
        (1, {"width": 6}, r"numbers of an embedding \+ 2 of given columns, not 6"),
    ],
)
def test_what_does_not_go_with_given_columns(D, options, told):
    with pytest.raises(InputError, match=told):
        Energy(EnergySettings.parse(FEW | options), K=2, D=D, C=C)


def test_only_rows_that_train_are_counted_before_training(monkeypatch):
    model = PartitionedModel(Partition(((0,),)), lambda K: given_model(2, K=K), ("a", "b"))
    batch = rows(40, 2)  # 20 of a
    monkeypatch.setattr(normaliser, "MOST_CONDITIONS", 20)
    model.refuse_rows(batch)
    monkeypatch.setattr(normaliser, "MOST_CONDITIONS", 19)
    with pytest.raises(InputError, match="20 different values"):
        model.refuse_rows(batch)
