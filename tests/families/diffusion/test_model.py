"""The diffusion model: what it is before training, what training holds, what it learns."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

import sourcewise as sw
from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.families.diffusion.model import Diffusion
from sourcewise.forms import Images
from sourcewise.networks.magnitude import UnitEmbedding, UnitLinear, unit
from sourcewise.randomness import Noise
from sourcewise.studies.table1.settings import SCALES

TABLE = {"K": 2, "d": 3}
IMAGES = {"K": 2, "shape": (1, 8, 8), "values": (-1.0, 2.0), "top": 16}
SMALL = DenoiserSettings(width=8, levels=(1, 2))


def made(sizes, settings=SMALL):
    model = Diffusion(settings, **sizes)
    model.reset(Noise(0))
    return model.eval()


def silent(model):
    """A denoiser of standard normal rows: F is 0."""
    model.network.gain.data.zero_()
    return model


@pytest.mark.parametrize("sizes", [TABLE, IMAGES])
def test_without_a_network_it_is_standard_normal(sizes):
    model = silent(made(sizes))
    y = torch.arange(1200 // math.prod(model.shape)) % 2
    for sampler in ("heun", "dpm-solver", "euler"):
        drawn = model.sample(y, Noise(3).each(y), steps=64, sampler=sampler)
        assert drawn.shape == (len(y), math.prod(model.shape))
        assert abs(float(drawn.mean())) < 0.1
        assert abs(float(drawn.std()) - 1) < 0.1


def test_its_bound_without_a_network_is_the_normal_log_density():
    model, x = silent(made(TABLE)), Noise(1).normal(2000, 3)
    y = torch.zeros(2000, dtype=torch.int64)
    found = model.bound(Batch.of(x.float(), y), Noise(2).each(y)).sum(1)
    exact = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    assert abs(float((found - exact).mean())) < 0.03


@pytest.mark.parametrize("sizes", [TABLE, IMAGES])
def test_the_loss_is_that_of_the_preconditioned_denoiser(sizes):
    """`lambda |D - x|^2` with `lambda = (sigma^2 + 1) / sigma^2`, as the papers write it."""
    model = made(sizes)
    model.network.gain.data.fill_(0.8)
    D = math.prod(model.shape)
    x, y = Noise(4).normal(6, D).float(), torch.arange(6) % 2
    level = torch.linspace(-1.5, 1.5, 6)
    found = model._loss(Batch.of(x, y), Noise(5), torch.special.ndtr(level.double()))
    s = model.settings
    sigma = (s.noise_mean + s.noise_sd * level).exp()
    wide, rows = model._wide(sigma), x.view(6, *model.shape)
    z = rows + wide * Noise(5).of("noise").normal(6, *model.shape).float()
    label = torch.eye(2)[y]
    error = (model.denoise(z, sigma, label) - rows).square().flatten(1).sum(1)
    u = model.uncertainty(sigma.log() / 4)
    expected = (sigma**2 + 1) / sigma**2 * error * (-u).exp() + D * u
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_guidance_leads_away_from_what_knows_no_label():
    model, y = made(TABLE), torch.zeros(5, dtype=torch.int64)
    for name, parameter in model.named_parameters():
        if name.endswith("gain"):
            parameter.data.fill_(0.5)
    plain, guided, none = (model.sample(y, Noise(3).each(y), guidance=w) for w in (1.0, 3.0, 0.0))
    assert not torch.allclose(plain, guided)
    other = model.sample(1 - y, Noise(3).each(y), guidance=0.0)
    assert torch.allclose(none, other)  # w = 0 is without any label


def test_early_weights_guide_draws_and_are_asked_for_where_there_are_none():
    model, y = made(TABLE), torch.zeros(5, dtype=torch.int64)
    with pytest.raises(InputError, match="guide=early: no early weights"):
        model.sample(y, Noise(3).each(y), guide="early", guidance=2.0)
    same = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model.averages = (same,)
    plain = model.sample(y, Noise(3).each(y))
    alike = model.sample(y, Noise(3).each(y), guide="early", guidance=2.0)
    assert torch.allclose(plain, alike, atol=1e-5)  # from itself nothing leads away
    model.averages = ({name: 0.5 * value for name, value in same.items()},)
    other = model.sample(y, Noise(3).each(y), guide="early", guidance=2.0)
    assert not torch.allclose(plain, other)


def test_training_keeps_early_weights_and_an_average_of_the_best_length():
    """Of the lengths asked for, none is better on the validation rows than the one kept."""
    data = two_rings(60)
    options = {"updates": 60, "passes": 1, "batch": 32, "width": 16, "check": 20}
    losses = {}
    for lengths in [(0.05, 0.1, 0.2), (0.05,), (0.1,), (0.2,)]:
        run = sw.train(
            data, model="diffusion", strategy="pooled", set=options | {"lengths": lengths}
        )
        (effort,) = run.models["pooled"].efforts
        losses[lengths] = effort.validation
        assert len(run.models["pooled"].model.block(0).averages) == 1
    assert losses[0.05, 0.1, 0.2] == min(losses.values())


def two_rings(n):
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 2 * n)
    radius = np.repeat([1.0, 2.5], n) + 0.1 * rng.normal(size=2 * n)
    rows = {"a": radius * np.cos(angle), "b": radius * np.sin(angle)}
    return sw.read(pd.DataFrame({"ring": np.repeat(["in", "out"], n), **rows}), source="ring")


def test_it_learns_rings_that_no_gaussian_knows_and_keeps_unit_weights():
    data = two_rings(600)
    options = {
        "updates": 700,
        "passes": 1,
        "batch": 128,
        "width": 48,
        "lengths": (),
    }  # no averages
    run = sw.train(data, model="diffusion", strategy="pooled", set=options)
    model = run.models["pooled"].model.block(0)
    for name, part in model.named_modules():
        if isinstance(part, (UnitLinear, UnitEmbedding)):
            assert torch.allclose(unit(part.weight, part.axes), part.weight, atol=2e-3), name
    drawn = sw.sample(run, n=300)
    table = drawn.frame() if hasattr(drawn, "frame") else pd.DataFrame(drawn.plain())
    radius = np.hypot(table["a"].astype(float), table["b"].astype(float))
    inner = radius[table["ring"] == "in"]
    outer = radius[table["ring"] == "out"]
    assert abs(np.median(inner) - 1.0) < 0.15
    assert abs(np.median(outer) - 2.5) < 0.25
    assert np.mean((radius > 1.5) & (radius < 2.0)) < 0.1


def test_images_that_cannot_be_halved_are_refused_in_one_line():
    with pytest.raises(InputError, match="setting levels: images of 6 x 6 pixels"):
        Diffusion(DenoiserSettings(levels=(1, 2, 2)), K=1, shape=(1, 6, 6), top=1)
    with pytest.raises(InputError, match="setting levels: images of 8 x 4 pixels"):
        Diffusion(DenoiserSettings(levels=(1,)), K=1, shape=(1, 8, 4), top=1)


def test_images_come_back_as_the_pixels_that_they_were():
    pixels = torch.randint(17, (40, 1, 8, 8), generator=Noise(0).generator())
    images = Images.of(pixels.to(torch.uint8), 16)
    data = sw.Sources(images, torch.arange(40) % 2, ("a", "b"))
    options = {"updates": 2, "passes": 1, "width": 4, "levels": "1,2"}
    run = sw.train(data, model="diffusion", strategy="separate", set=options)
    encoder = run.models["separate"].encoder
    rows = encoder.coding.prepare(data.x, Noise(0).each(data.y))
    z, log_det = encoder.encode(rows, data.y)
    assert isinstance(z, torch.Tensor)
    assert not log_det.any()
    assert abs(float(z.mean())) < 0.2
    back = encoder.decode(z)
    assert isinstance(back, Images)
    assert torch.equal(back.pixels(), images.pixels())


def test_the_papers_scale_is_the_published_network():
    """EDM2-XS on latents of 32 x 32 x 4: attention at 16 and 8 pixels, none at 4 but innermost."""
    options = SCALES["paper"]["model"] | {"width": 32}
    settings = DenoiserSettings.parse(options).suited("images")
    model = Diffusion(settings, K=10, shape=(4, 32, 32))
    assert sum(p.numel() for p in model.network.parameters()) == 7_421_765


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ema": 0.99}, "ema is for lengths"),
        ({"early": 0.01}, "allowed are 0, and .1 to 1"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(options, told):
    with pytest.raises(InputError, match=told):
        DenoiserSettings.parse(options)
