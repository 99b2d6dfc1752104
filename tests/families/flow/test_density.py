"""The density of what a flow draws: standard normal, whole, and the same by both of its forms."""

import math

import pytest
import torch

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.flow.family import FAMILY
from sourcewise.families.flow.model import Flow, Pairs
from sourcewise.families.flow.settings import FlowSettings
from sourcewise.metrics.registry import metrics_of
from sourcewise.randomness import Noise
from sourcewise.samplers.coupling import coupled
from sourcewise.samplers.flow_likelihood import flow_log_density
from sourcewise.samplers.paths import PATHS


def made(path="linear", d=2, gain=0.8, **settings):
    chosen = FlowSettings.parse({"width": 16, "path": path, **settings})
    model = Flow(chosen, K=2, d=d).double()
    model.reset(Noise(0))
    model.network.gain.data.fill_(gain)
    return model.eval()


def batch_of(x):
    return Batch.of(x, torch.arange(len(x)) % 2)


@pytest.mark.parametrize("path", PATHS)
def test_a_network_that_says_nothing_has_the_density_of_the_noise(path):
    model, x = made(path, gain=0.0), Noise(1).normal(20, 2)
    found = model.log_density(batch_of(x), Noise(0))
    expected = -0.5 * x.square().sum(1) - math.log(2 * math.pi)
    assert found.kind == "exact"
    assert found.shared is not None
    assert float(found.shared.either_way.max()) < 1e-6
    torch.testing.assert_close(found.value, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("path", PATHS)
def test_it_integrates_to_one(path):
    model = made(path, gain=0.3)  # of which a grid this fine shows every hill
    line = torch.linspace(-6, 6, 81, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    batch = Batch.of(x, torch.zeros(len(x), dtype=torch.long))
    density = model.log_density(batch, Noise(0)).value.exp()
    assert float(density.sum()) * float(line[1] - line[0]) ** 2 == pytest.approx(1, abs=1e-3)
    assert float(density.max()) > 1.1 / (2 * math.pi)  # it is not that of the noise


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_it_is_that_of_the_denoiser_where_noise_is_independent(path):
    model, x = made(path, gain=0.1), Noise(1).normal(20, 2)
    batch = batch_of(x)
    label = torch.eye(2, dtype=torch.float64)[batch.y]
    other = flow_log_density(model._denoiser(label, None), x, 256, high=1e4, low=1e-4)
    found = model.flow_log_density(batch, Noise(0).each(batch.y), 64)
    torch.testing.assert_close(found.value, other.value, atol=1e-3, rtol=0)
    assert float(found.step.max()) < 1e-3


def test_many_columns_have_an_estimate():
    x = Noise(1).normal(4, 25)
    assert made(d=25).log_density(batch_of(x), Noise(0)).kind == "estimate"


def test_coupled_noise_is_what_the_loss_takes():
    x, level = Noise(1).normal(9, 2), torch.full((9,), 0.4, dtype=torch.float64)
    plain, paired = made(), made(coupling="optimal-transport")
    batch = batch_of(x)
    n, label = Noise(5).of("noise").normal(9, 2), paired._labels(batch)
    t = paired.path.time_of(paired._sigma(level))
    same = Pairs(x, coupled(n, x, batch.y), label, None)
    found = paired._loss(batch, Noise(5), level)
    torch.testing.assert_close(found, plain._matched(same, t, Noise(5)))
    assert not torch.allclose(found, plain._loss(batch, Noise(5), level))


def test_what_decides_depends_on_the_coupling_and_the_data():
    paired = FlowSettings.parse({"coupling": "optimal-transport"})
    for settings, form, name in (
        (FlowSettings(), "table", "likelihood-bound"),
        (FlowSettings(), "images", "likelihood-bound"),
        (paired, "table", "log-likelihood"),
        (paired, "images", "kernel-distance"),
    ):
        assert metrics_of(FAMILY, "auto", settings, form)[0].name == name
    with pytest.raises(InputError, match="no metric that decides for flow 'likelihood-bound'"):
        metrics_of(FAMILY, "likelihood-bound", paired)
    with pytest.raises(InputError, match="no metric that decides for flow 'log-likelihood'"):
        metrics_of(FAMILY, "log-likelihood", FlowSettings(), "images")


def test_given_columns_are_refused_by_a_coupling():
    with pytest.raises(InputError, match="setting coupling: with given columns only independent"):
        Flow(FlowSettings.parse({"coupling": "optimal-transport"}), K=2, d=2, C=1)


def test_a_coupling_looks_at_whole_batches():
    wine = sw.read("wine")
    few = {"coupling": "optimal-transport", "updates": 3, "passes": 0.1, "width": 8}
    with pytest.raises(InputError, match="microbatch=0 is allowed"):
        sw.train(wine, model="flow", set={**few, "microbatch": 8})
    one, other = (
        sw.train(wine, model="flow", strategy="separate", set=few, stacked=stacked)
        for stacked in (True, False)
    )
    pairs = zip(*(run.models["separate"].model.parameters() for run in (one, other)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
