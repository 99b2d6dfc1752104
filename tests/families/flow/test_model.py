"""The flow model: its loss, the denoiser that its velocity is, what its draws follow."""

import math

import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.families.flow.model import Flow
from sourcewise.families.flow.settings import FlowSettings
from sourcewise.randomness import Noise
from sourcewise.samplers.paths import PATHS

TABLE = {"K": 2, "d": 3}
IMAGES = {"K": 2, "shape": (1, 8, 8), "values": (-1.0, 2.0), "top": 16}


def made(sizes, path="linear"):
    model = Flow(FlowSettings.parse({"width": 8, "levels": (1, 2), "path": path}), **sizes)
    model.reset(Noise(0))
    model.network.gain.data.fill_(0.8)
    return model.eval()


def rows_of(model, n=6):
    x = Noise(4).normal(n, math.prod(model.shape)).float()
    y = torch.arange(n) % 2
    return x, y, torch.eye(2)[y]


@pytest.mark.parametrize("sizes", [TABLE, IMAGES])
def test_the_loss_on_the_linear_path_is_half_that_of_the_velocity(sizes):
    model = made(sizes)
    x, y, label = rows_of(model)
    t = torch.linspace(0.05, 0.95, 6, dtype=torch.float64)
    s = model.settings
    level = torch.special.ndtr((((1 - t) / t).log() - s.noise_mean) / s.noise_sd)
    found = model._loss(Batch.of(x, y), Noise(5), level)
    rows = x.view(6, *model.shape)
    n = Noise(5).of("noise").normal(6, *model.shape).float()
    wide = model._wide(t).float()
    v = model.velocity(wide * rows + (1 - wide) * n, t.float(), label)
    expected = 0.5 * (v - (rows - n)).square().flatten(1).sum(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sizes", [TABLE, IMAGES])
def test_the_denoiser_is_what_the_velocity_says(sizes, path):
    model = made(sizes, path)
    x, _, label = rows_of(model)
    t = torch.linspace(0.1, 0.9, 6)
    x_t = x.view(6, *model.shape)
    place = PATHS[path].place(t, x_t)
    v = model.velocity(x_t, t, label)
    said = PATHS[path].from_velocity(v, x_t, t).denoiser
    found = model.denoise(x_t / place.a, PATHS[path].at(t).sigma, label)
    torch.testing.assert_close(found, said, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_a_network_that_says_nothing_leaves_the_noise_as_it_is(path):
    model = made(TABLE, path)
    model.network.gain.data.zero_()
    y = torch.arange(10) % 2
    drawn = model.sample(y, Noise(3).each(y), steps=3)
    assert torch.equal(drawn, Noise(3).each(y).of("start").normal(3).float())


@pytest.mark.parametrize("sampler", ["euler", "midpoint", "heun", "rk4"])
def test_solvers_agree_as_steps_grow(sampler):
    model = made(TABLE)
    y = torch.arange(20) % 2
    exact = model.sample(y, Noise(3).each(y), steps=200, sampler="rk4")
    errors = [
        float((model.sample(y, Noise(3).each(y), steps=n, sampler=sampler) - exact).norm())
        for n in (8, 32)
    ]
    assert errors[1] < errors[0]  # their orders are tested where velocities are smooth
    assert errors[1] < 0.05 * float(exact.norm())


def test_guidance_of_a_model_that_knows_no_label_changes_nothing():
    model = made(TABLE)
    y = torch.arange(8) % 2
    plain = model.sample(y, Noise(3).each(y), steps=4)
    assert not torch.allclose(plain, model.sample(y, Noise(3).each(y), steps=4, guidance=3.0))
    model.network.condition.label.weight.data.zero_()
    plain = model.sample(y, Noise(3).each(y), steps=4)
    torch.testing.assert_close(plain, model.sample(y, Noise(3).each(y), steps=4, guidance=3.0))
