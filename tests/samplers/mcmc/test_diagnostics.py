"""Effective sample size and R-hat against chains whose answers are known."""

import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.diagnostics import effective_sample_size, split_r_hat


def autoregressive(rho: float, T: int, *shape: int, seed: int = 0) -> Tensor:
    """Stationary chains `z_t = rho z_(t-1) + sqrt(1 - rho^2) e_t`: r_t = rho^t."""
    noise = Noise(seed).normal(T, *shape)
    noise[1:] *= (1 - rho**2) ** 0.5
    return torch.from_numpy(lfilter([1.0], [1.0, -rho], noise.numpy(), axis=0))


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9, 0.97])
def test_effective_sample_size_of_autoregressive_chains(rho):
    """tau = (1 + rho) / (1 - rho)"""
    T, C = 20_000, 4
    found = effective_sample_size(autoregressive(rho, T, C, 3))
    exact = T * C * (1 - rho) / (1 + rho)
    assert (found / exact - 1).abs().max() < 0.12


def test_effective_sample_size_predicts_the_error_of_means():
    """Over 400 repetitions, the variance of the mean is 1 / size, and the size is unbiased."""
    rho, T, C, R = 0.8, 500, 4, 400
    values = autoregressive(rho, T, R, C, 1)
    error = values.mean((0, 2)).square().mean()
    found = effective_sample_size(values).mean()
    assert abs(float(error * found) - 1) < 0.25  # chi-square with 400: standard error .07
    exact = (1 + rho) / (1 - rho) / (T * C) - 2 * rho * (1 - rho**T) / (T**2 * C * (1 - rho) ** 2)
    assert abs(float(found) * exact - 1) < 0.1


def test_leading_axes_and_coordinates_are_apart():
    values = torch.stack([autoregressive(0.5, 400, 3, 2), autoregressive(0.9, 400, 3, 2)], 1)
    for of in (effective_sample_size, split_r_hat):
        found = of(values)
        assert found.shape == (2, 2)
        for g in range(2):
            for d in range(2):
                torch.testing.assert_close(found[g, d], of(values[:, g, :, d : d + 1])[0])
    assert (effective_sample_size(values)[0] > 2 * effective_sample_size(values)[1]).all()


def test_r_hat_of_shifted_means():
    """Two chains apart by 2 s: variances 1, means at +-s, so V / W = 1 + (4/3) s^2 in halves."""
    s, T = 0.7, 40_000
    values = Noise(2).normal(T, 2, 1) + torch.tensor([[-s], [s]])
    assert abs(float(split_r_hat(values)) - (1 + 4 / 3 * s**2) ** 0.5) < 0.01
    assert abs(float(split_r_hat(Noise(2).normal(T, 2, 1))) - 1) < 1e-3


def test_r_hat_by_hand():
    """Halves (0, 2), (1, 3), (4, 6), (5, 7): W = 2, means 1, 2, 5, 6 of variance 17/3."""
    values = torch.tensor([[0.0, 4.0], [2.0, 6.0], [1.0, 5.0], [3.0, 7.0]])[..., None]
    assert float(split_r_hat(values)) == pytest.approx(((1 + 17 / 3) / 2) ** 0.5)


def test_r_hat_sees_drifts_and_spreads():
    drift = Noise(3).normal(2000, 4, 1) + torch.linspace(-2, 2, 2000)[:, None, None]
    assert float(split_r_hat(drift)) > 1.3
    # halves of a step from -1 to 1: V / W = 1 + (4/3) as above with s = 1
    step = Noise(4).normal(40_000, 2, 1) + torch.ones(40_000)[:, None, None]
    step[:20_000] -= 2
    assert abs(float(split_r_hat(step)) - (1 + 4 / 3) ** 0.5) < 0.01
    wide = Noise(5).normal(2000, 4, 1) * torch.tensor([1.0, 1.0, 1.0, 4.0])[:, None]
    assert float(split_r_hat(wide)) > 1.1


def test_chains_that_stand_still_are_no_success():
    still = Noise(6).uniform(1, 4, 2).expand(100, 4, 2)
    assert split_r_hat(still).isinf().all()
    # all pairs are 2: tau = 2 N - 1 for 8 halves of N = 50 states
    assert effective_sample_size(still).tolist() == pytest.approx([400 / 99] * 2)
    same = torch.full((100, 4, 2), 0.5)
    assert split_r_hat(same).isinf().all()
    assert (effective_sample_size(same) == 1).all()


@pytest.mark.parametrize("shape", [(3, 2, 1), (10, 2)])
def test_shapes_are_checked(shape):
    with pytest.raises(InputError, match="chains need axes"):
        split_r_hat(torch.zeros(shape))
