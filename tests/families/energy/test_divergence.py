"""Failed trainings of energies: what is judged, and what is said."""

import math

import numpy as np
import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.errors import TrainingFailed
from sourcewise.families.base import Diagnosed, Occasion
from sourcewise.families.energy.divergence import (
    MARGIN,
    divergence_of_fit,
    gain_over_one_normal,
    knobs,
    same_everywhere,
)
from sourcewise.families.energy.model import RESOLVED, Energy
from sourcewise.families.energy.network import EnergyNetwork
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.distributions import log_prob
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.training.stack import StepNoise
from sourcewise.truths.box import BoxMixture

from .conftest import FEW, build

TOLD = (EnergySettings.parse({}), "nce", 5)


@pytest.mark.parametrize("objective", ["likelihood", "nce", "pcd", "denoising", "sliced"])
def test_excess_of_an_exact_density_is_over_the_uniform_one(objective):
    model = build(objective=objective)
    x, y, noise = Noise(1).uniform(9, 2), torch.arange(9) % 2, StepNoise([Noise(2)], [9])
    found = model.excess(Batch.of(x, y), model.begin(Batch.of(x, y), Noise(3)), noise)
    assert torch.allclose(found, -log_prob(model, x, y), atol=1e-6)  # log 1 = 0


@pytest.mark.parametrize("objective", ["nce", "pcd", "denoising", "sliced"])
def test_excess_is_of_the_objective_where_no_density_is_exact(objective):
    model = build(D=4, objective=objective)
    x, y, noise = Noise(1).uniform(9, 4), torch.arange(9) % 2, StepNoise([Noise(2)], [9])
    carried = model.begin(Batch.of(x, y), Noise(3))
    before = [p.clone() for p in model.parameters()]
    found = model.excess(Batch.of(x, y), carried, noise)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    own = model.carried_loss(Batch.of(x, y), carried, noise).detach()
    for parameter in model.parameters():
        parameter.data.zero_()
    assert torch.allclose(
        found, own - model.carried_loss(Batch.of(x, y), carried, noise), atol=1e-9
    )
    assert found.abs().min() > 1e-6
    assert bool((model.excess(Batch.of(x, y), carried, noise) == 0).all())


def test_a_failure_is_worse_than_nothing_and_than_the_start():
    margin = 5 * MARGIN
    for start, end, failed in (
        (0.3, -2.0, False),  # it has learnt
        (0.0, 0.9 * margin, False),
        (0.0, 1.1 * margin, True),
        (-2.0, 0.9 * margin, False),  # no worse than knowing nothing
        (2.0, 2.0 + 0.9 * margin, False),  # drawn as badly as that
        (2.0, 2.0 + 1.1 * margin, True),
        (0.0, float("nan"), True),
        (0.0, float("inf"), True),
    ):
        for exact in (True, False):
            assert (divergence_of_fit(*TOLD, exact, start, end) is not None) == failed
    told = divergence_of_fit(*TOLD, True, 0.0, 28512.0)
    assert told is not None
    assert "objective=nce diverged: its own training rows are 2.85e+04 nats per row less" in told
    other = divergence_of_fit(*TOLD, False, 0.0, 28512.0)
    assert other is not None
    assert "it is 2.85e+04 above the value of a constant energy" in other


def test_energies_that_are_alike_are_those_of_a_dead_network():
    model = build()
    assert same_everywhere(model.settings, "nce", model.network) is None
    for bias in (0.0, -1e3):  # of the first layer: below, SiLU is 0
        assert isinstance(model.network, EnergyNetwork)
        first = model.network.mlp.first.bias
        assert first is not None
        first.data[:] = bias
        told = same_everywhere(model.settings, "nce", model.network)
        assert (told is None) == (bias == 0.0)
    for held in ({"bound": 1e-3}, {"spectral": 1e-3}):
        assert same_everywhere(EnergySettings.parse(held), "nce", model.network) is None


@pytest.mark.parametrize(
    ("options", "objective", "told"),
    [
        ({}, "likelihood", "learning_rate=0.001, --set spectral=3"),
        ({"learning_rate": 30.0}, "likelihood", "learning_rate=0.01, --set spectral=3"),
        ({"learning_rate": 1e-4}, "sliced", "learning_rate=1e-05, --set spectral=3"),
        ({"learning_rate": 1.0}, "denoising", "spectral=3, --set smoothing=0.2"),
        ({"learning_rate": 1.0, "smoothing": 0.3}, "denoising", "=0.002, --set spectral=3"),
        ({"spectral": 2.0}, "nce", "spectral=1"),
        ({"energy_decay": 0.1}, "pcd", "energy_decay=1, --set steps=20"),
    ],
)
def test_what_helps_is_gentler_than_what_was(options, objective, told):
    chosen = EnergySettings.parse({"objective": objective} | options)
    line = knobs(chosen, objective)
    assert told in line
    pairs = [part.strip().removeprefix("--set ") for part in line.split(": ")[1].split(",")]
    EnergySettings.parse(chosen.model_dump() | dict(pair.split("=") for pair in pairs))  # allowed


def test_the_gain_over_one_normal_is_the_information_in_the_rows():
    """Of two narrow clusters: log (scale of both / of one) - log 2, and what the cut adds."""
    centre, width, n = 0.25, 0.02, 20_000
    mean, half = torch.tensor([centre, 1 - centre]), torch.tensor([0.5, 0.5])
    truth = BoxMixture(half[None], mean.view(1, 2, 1), torch.full((1, 2, 1), width))
    y = torch.zeros(n).long()
    x = truth.sample(y, noise=Noise(0))
    found = gain_over_one_normal(lambda rows: truth.log_prob(rows.tensor, rows.y), Batch.of(x, y))
    both = math.hypot(0.5 - centre, width)
    inside = math.erf(0.5 / both / math.sqrt(2))
    exact = math.log(both / width) - math.log(2) + math.log(inside)
    assert found.shape == (1,)
    assert found.item() == pytest.approx(exact, abs=0.04)  # 2048 rows: .016 is their error
    flat = gain_over_one_normal(lambda rows: torch.zeros(len(rows)), Batch.of(x, y))
    entropy = 0.5 + math.log(2 * width * math.sqrt(2 * math.pi))
    assert flat.item() == pytest.approx(exact + entropy, abs=0.04)


def test_a_flat_energy_gains_nothing_and_is_told_of():
    """A model that learnt next to nothing from rows that a normal describes well."""
    rows = (0.5 + 0.05 * Noise(4).normal(200, 2)).clamp(0, 1)
    y = torch.arange(200) % 2
    gains = {}
    for rate in (1e-6, 1e-2):
        options = {"objective": "likelihood", "updates": 200, "learning_rate": rate}
        settings = EnergySettings.parse(FEW | options)
        model = Energy(settings, K=2, D=2)
        fit(model, TrainingData.plain(rows, y), names=("a", "b"), settings=settings)
        found = Diagnosed(model.diagnostics())
        gains[rate] = found.fitted["gain over one normal"]
        said = Energy.cautions({"pooled": found}, Occasion("train", 1.0, 2))
        told = [item.text for item in said if "worse than one normal" in item.text]
        assert len(told) == (rate < 1e-3)
        if told:
            assert told[0].startswith("1 of 1 pooled models fit their own training rows worse")
    assert gains[1e-6][0] < -1
    assert gains[1e-2][0] > -0.1


def errors_of_tiny_models() -> list[float]:
    """Errors of the rule of scores, of a model for each of 30 sources with 8 rows and 1 more."""
    rows = np.random.default_rng(0).standard_t(2, size=(30, 9, 1))
    rows += np.random.default_rng(1).normal(size=(30, 1, 1))
    x = torch.from_numpy((rows - rows.min() + 0.5) / (np.ptp(rows) + 1)).flatten(0, 1)
    y = torch.arange(30).repeat_interleave(9)
    last = torch.arange(len(y)) % 9 == 8
    data = TrainingData(Batch.of(x[~last], y[~last]), Batch.of(x[last], y[last]))
    settings, names = EnergySettings.parse({}), tuple(map(str, range(30)))
    model = PartitionedModel(Partition.separate(30), lambda K: Energy(settings, K=K, D=1), names)
    fit(model, data, names=names, settings=settings)
    return Diagnosed(model.diagnostics()).fitted["quadrature error"]


def test_no_mass_is_kept_between_nodes(monkeypatch):
    """Eight rows are few enough to be learnt between 64 nodes, and one more does not tell."""
    assert max(errors_of_tiny_models()) < RESOLVED / 10
    monkeypatch.setattr(Energy, "reliable", lambda model: True)
    try:
        worst = max(errors_of_tiny_models())
    except TrainingFailed:  # their own rows are between the nodes, too
        worst = math.inf
    assert worst > 10 * RESOLVED
