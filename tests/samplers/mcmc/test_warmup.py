"""Warm-up reaches its target acceptance, finds scales, and leaves the rest alone."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.chains import run_chains
from sourcewise.samplers.mcmc.diagnostics import effective_sample_size, split_r_hat
from sourcewise.samplers.mcmc.warmup import DualAveraging, adapted, warm_up

SIGMA = torch.tensor([[0.2, 0.02], [0.05, 0.05]], dtype=torch.float64)  # of two groups
MEAN = torch.tensor([[0.1, 0.5], [0.5, 0.7]], dtype=torch.float64)


def normals(x: Tensor) -> Tensor:
    """(2, C) energies of two groups of normals, the first cut at a wall."""
    return (((x - MEAN[:, None].to(x)) / SIGMA[:, None].to(x)) ** 2).sum(-1) / 2


@pytest.mark.parametrize(("leapfrog", "target"), [(1, None), (1, 0.7), (6, None)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_target_acceptance_is_met_and_the_truth_is_sampled(leapfrog, target, dtype):
    x, tuning = warm_up(
        normals,
        Noise(0).uniform(2, 20, 2, dtype=dtype),
        noise=Noise(1),
        iterations=300,
        leapfrog=leapfrog,
        target=target,
    )
    assert tuning.step.shape == (2, 1)
    assert tuning.scale.shape == (2, 1, 2)
    assert tuning.acceptance.shape == (2,)
    assert tuning.step.dtype == tuning.scale.dtype == x.dtype == dtype
    run = run_chains(
        normals, x, tuning, noise=Noise(2), transitions=400, leapfrog=leapfrog, thin=2
    )
    wanted = target or (0.574 if leapfrog == 1 else 0.8)
    assert (run.acceptance.mean(-1) - wanted).abs().max() < 0.07
    assert (tuning.acceptance - wanted).abs().max() < 0.07
    low, high = -MEAN / SIGMA, (1 - MEAN) / SIGMA
    exact = stats.truncnorm(low.numpy(), high.numpy(), loc=MEAN.numpy(), scale=SIGMA.numpy())
    scale = torch.from_numpy(exact.std())
    assert (tuning.scale.squeeze(1) / scale - 1).abs().max() < 0.25
    effective = effective_sample_size(run.history)
    error = run.history.double().mean((0, 2)) - torch.from_numpy(exact.mean())
    assert (error / (scale / effective.sqrt())).abs().max() < 4
    assert split_r_hat(run.history).max() < 1.02


def test_groups_settle_as_if_alone():
    x = Noise(3).uniform(2, 10, 2)
    both, tuning = warm_up(normals, x, noise=Noise(4), iterations=64)
    again, same = warm_up(
        lambda x: torch.stack([normals(x)[0], 50 * normals(x)[1]]),
        x,
        noise=Noise(4),
        iterations=64,
    )
    assert torch.equal(both[0], again[0])
    assert torch.equal(tuning.step[0], same.step[0])
    assert not torch.equal(tuning.step[1], same.step[1])


def test_a_known_scale_is_kept_and_a_flat_energy_bounded():
    scale = torch.full((1, 2), 0.3, dtype=torch.float64)
    x, tuning = warm_up(
        lambda x: 0 * x.sum(-1), Noise(5).uniform(8, 2), noise=Noise(6), iterations=40, scale=scale
    )
    assert torch.equal(tuning.scale, scale)
    assert float(tuning.step) <= 10
    assert float(tuning.acceptance) == pytest.approx(1)
    assert ((x >= 0) & (x <= 1)).all()


def test_dual_averaging_finds_the_root():
    """Acceptance `exp(-e)` is .8 at e = -log .8; what the start leaves falls as 1 / sqrt(t)."""
    root = torch.tensor(-math.log(0.8)).log()
    state, errors = DualAveraging.start(torch.tensor([1e-4, 5.0])), {}
    for t in range(1, 1601):
        state = state.update((-state.log_step.exp()).exp(), 0.8)
        errors[t] = (state.average - root).abs()
    assert (errors[1600] < 0.03).all()
    assert ((errors[400] / errors[1600] > 1.7) & (errors[400] / errors[1600] < 2.3)).all()


def test_robbins_monro_finds_the_root():
    log_step = torch.tensor([1e-4, 1.0, 5.0]).log()
    for t in range(400):
        log_step = adapted(log_step, (-log_step.exp()).exp(), 0.8, 5 / (1 + t) ** 0.5)
    assert (log_step - math.log(-math.log(0.8))).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"iterations": 15}, "at least 16 iterations"), ({"target": 1.0}, "above 0 and below 1")],
)
def test_what_cannot_be_done_is_said(options, message):
    with pytest.raises(InputError, match=message):
        warm_up(normals, torch.zeros(2, 2, 2), noise=Noise(0), **({"iterations": 20} | options))
