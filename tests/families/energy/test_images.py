"""Energies of images: what is settled for them, and how their draws and errors count."""

import pytest
import torch

import sourcewise as sw
from sourcewise.families.energy.model import Energy
from sourcewise.families.energy.plan import choose
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.forms import Images
from sourcewise.metrics.base import HeldOut
from sourcewise.metrics.registry import metric
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

D, N = 6, 40
QUICK = {"updates": 4, "passes": 1, "temperatures": 2, "particles": 16, "chains": 4, "replay": 8}


def data() -> Sources:
    pixels = Noise(0).integers(256, N, 1, 2, 3).to(torch.uint8)
    return Sources(Images.of(pixels), torch.arange(N) % 2, ("a", "b"), name="made")


@pytest.fixture(scope="module")
def trained() -> TrainedStrategy:
    settings = QUICK | {"network": "convolutional"}
    return sw.train(data(), model="energy", strategy="pooled", set=settings).models["pooled"]


@pytest.fixture
def energy(trained) -> Energy:
    block = trained.model.block(0)
    assert isinstance(block, Energy)
    return block


def held_out(trained: TrainedStrategy) -> HeldOut:
    coding, rows = trained.encoder.coding, data()
    prepared = coding.prepare(rows.x, Noise(1).each(rows.y))
    return trained.held_out(rows, prepared, coding.sizes(rows.x))


def test_convolutions_and_chains_are_for_images_unless_others_are_asked_for():
    usual = EnergySettings().suited("images")
    assert usual == EnergySettings.parse({"network": "convolutional"})
    assert (usual.learning_rate, usual.updates, usual.validation) == (2e-3, 600, 0.0)
    assert usual.energy_decay == 0.01
    plan = choose(usual, D, shape=(1, 2, 3))
    assert (plan.objective, plan.sampler, plan.width) == ("pcd", "hmc", 16)
    flat = EnergySettings.parse({"network": "mlp"})
    assert flat.suited("images") == flat
    assert choose(flat, D, shape=(1, 2, 3)).shape is None
    assert EnergySettings().suited("table") == EnergySettings()
    given = EnergySettings.parse({"updates": 7, "objective": "nce"}).suited("images")
    assert (given.updates, given.objective, given.learning_rate) == (7, "nce", 1e-2)


def test_draws_do_not_depend_on_the_batch_to_the_last_bit(energy):
    y = torch.arange(90) % 2
    noise = Noise(3).each(y)
    whole = energy.sample(y, noise)
    for rows in (torch.arange(5, 12), torch.tensor([41]), torch.arange(90).flip(0)):
        assert torch.equal(energy.sample(y[rows], noise.take(rows)), whole[rows])


def test_errors_of_normalisers_count_by_pixel_value(trained, energy):
    found = metric("log-likelihood").measure(trained, held_out(trained), Noise(2))
    assert found.rows.shape == (N,)
    torch.testing.assert_close(found.shared[:, 0], energy.annealed_error / D)


def test_few_draws_are_taken_of_what_draws_slowly(trained, energy, monkeypatch):
    monkeypatch.setattr(energy, "transitions", torch.full((2,), 2.0))
    drawn = []
    plain = TrainedStrategy.draw

    def counted(self, y, noise):
        drawn.append(torch.bincount(y).tolist())
        return plain(self, y, noise)

    monkeypatch.setattr(TrainedStrategy, "draw", counted)
    found = metric("energy-distance").measure(trained, held_out(trained), Noise(2))
    assert drawn == [[128, 128]]  # 20 rows each: at least 128
    assert bool((found.shared[:, 3:].std(1) > 0).all())
