"""Samplers of noise levels: orders on exact denoisers, guidance, and levels that convert."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.samplers import denoising, levels
from sourcewise.samplers.denoising import churn, dpm_solver, euler, guided, heun

MEAN, SD, LOW, HIGH = 2.0, 0.5, 0.01, 20.0


def exact(z, sigma):
    """E[x | z] of x normal."""
    return MEAN + (z - MEAN) * SD**2 / (SD**2 + sigma**2)


def flown(z, start, end):
    """The probability flow of a normal truth, solved."""
    return MEAN + (z - MEAN) * ((SD**2 + end**2) / (SD**2 + start**2)) ** 0.5


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1.0), (heun, 2.0), (dpm_solver, 2.0)])
def test_each_has_its_order(sampler, order):
    z, counts, errors = torch.tensor([-15.0, 4.0, 30.0], dtype=torch.float64), (40, 80, 160), []
    for n in counts:
        found = sampler(exact, z, levels.power_levels(n + 1, LOW, HIGH)[:-1])
        errors.append(float((found - flown(z, HIGH, LOW)).abs().max()))
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.1


@pytest.mark.parametrize("sampler", [euler, heun, dpm_solver])
def test_at_no_noise_the_last_step_is_the_denoiser(sampler):
    z, last = torch.tensor([1.0, 3.0], dtype=torch.float64), torch.tensor([0.2, 0.0])
    assert torch.allclose(sampler(exact, z, last), exact(z, 0.2))


def test_churn_keeps_the_law_that_heun_misses():
    """With the exact denoiser noise that is added is noise that is taken away again."""
    n, rng = 20_000, torch.Generator().manual_seed(0)

    def normal(_=0):
        return torch.randn(n, generator=rng, dtype=torch.float64)

    z = MEAN + (SD**2 + HIGH**2) ** 0.5 * normal()
    grid = levels.power_levels(60, LOW, HIGH)
    out = churn(exact, z, grid, normal, amount=20.0, spread=1.0)
    assert abs(float(out.mean()) - MEAN) < 4 * SD / n**0.5
    assert abs(float(out.std()) / SD - 1) < 0.03
    # Without noise to add it is Heun's method.
    assert torch.equal(churn(exact, z, grid, normal, amount=0.0), heun(exact, z, grid))


def test_guidance_is_linear_and_off_at_one():
    calls = []

    def away(z, sigma):
        calls.append(sigma)
        return torch.zeros_like(z)

    z, sigma = torch.tensor([1.0, 2.0]), torch.tensor(1.0)
    assert guided(exact, away, 1.0) is exact
    assert torch.allclose(guided(exact, away, 3.0)(z, sigma), 3 * exact(z, sigma))
    assert torch.allclose(guided(exact, away, 0.0)(z, sigma), torch.zeros(2))
    assert len(calls) == 2


@given(st.floats(1e-4, 1e4), st.integers(2, 50))
def test_scales_of_noise_convert_there_and_back(sigma, steps):
    s = torch.tensor(sigma, dtype=torch.float64)
    for there, back in (
        (levels.abar_of, levels.sigma_of_abar),
        (levels.ou_time_of, levels.sigma_of_ou_time),
        (levels.path_time_of, levels.sigma_of_path_time),
    ):
        assert torch.allclose(back(there(s)), s, rtol=1e-6)
    # The three say the same of what is left of x.
    a = levels.abar_of(s)
    assert torch.allclose((-levels.ou_time_of(s)).exp(), a)
    t = levels.path_time_of(s)
    assert torch.allclose((1 - t) / t, s)
    grid = levels.power_levels(steps, 0.1 * sigma, sigma)
    assert grid[[0, -2]].tolist() == pytest.approx([sigma, 0.1 * sigma])
    assert grid[-1] == 0
    assert bool((grid[:-1] > grid[1:]).all())


def test_the_score_and_the_slope_agree():
    z, sigma = torch.tensor([0.3, 2.5], dtype=torch.float64), torch.tensor(0.7)
    score = -(z - MEAN) / (SD**2 + sigma**2)
    assert torch.allclose(denoising.slope(exact, z, sigma), -sigma * score)
