"""The flow's likelihood, where the best denoiser and the density are known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.samplers.denoising import Denoiser, heun
from sourcewise.samplers.flow_likelihood import flow_log_density
from sourcewise.samplers.levels import power_levels

LOW = 5e-3


def numbered(n: int, seed: int = 0) -> ExampleNoise:
    return Noise(seed).each(torch.zeros(n, dtype=torch.int64))


def of_normal(covariance: Tensor) -> Denoiser:
    """The best denoiser of N(0, S), `S (S + sigma^2)^-1 z`."""
    eye = torch.eye(len(covariance), dtype=covariance.dtype)
    return lambda z, sigma: z @ torch.linalg.solve(covariance + sigma**2 * eye, covariance)


def correlated(D: int) -> Tensor:
    """(D, D) of variance 1, neighbours correlated by .6."""
    at = torch.arange(D, dtype=torch.float64)
    return 0.6 ** (at[:, None] - at).abs()


def normal_log_density(x: Tensor, covariance: Tensor) -> Tensor:
    S = covariance + LOW**2 * torch.eye(len(covariance), dtype=covariance.dtype)
    zero = torch.zeros(len(S), dtype=S.dtype)
    return torch.distributions.MultivariateNormal(zero, S).log_prob(x)


class Circle:
    """As many normals of standard deviation s on a circle, of mean 0 and variance 1."""

    def __init__(self, s: float, count: int = 8):
        angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
        self.mean = math.sqrt(2 - 2 * s**2) * torch.stack([angle.cos(), angle.sin()], 1)
        self.s = s

    def _logits(self, z: Tensor, sigma: float | Tensor) -> Tensor:
        return -(z[:, None] - self.mean).square().sum(-1) / (2 * (self.s**2 + sigma**2))

    def denoise(self, z: Tensor, sigma: Tensor) -> Tensor:
        own = self._logits(z, sigma).softmax(1) @ self.mean
        return (z * self.s**2 + own * sigma**2) / (self.s**2 + sigma**2)

    def log_density(self, x: Tensor, sigma: float = LOW) -> Tensor:
        scale = 2 * math.pi * (self.s**2 + sigma**2) * len(self.mean)
        return self._logits(x, sigma).logsumexp(1) - math.log(scale)


def error_of(found: Callable[[int], Tensor], exact: Tensor, steps: tuple[int, ...]) -> float:
    """The order at which the error falls with the number of steps."""
    errors = [float((found(n) - exact).abs().mean()) for n in steps]
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_of_standard_normal_rows_it_is_exact_in_two_steps():
    x = Noise(0).normal(50, 3)
    found = flow_log_density(lambda z, sigma: z / (1 + sigma**2), x, 2)
    exact = normal_log_density(x, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(found.value, exact, rtol=0, atol=1e-12)
    assert float(found.step.max()) < 1e-12
    torch.testing.assert_close(found.bits * 3 * math.log(2), -exact)


@pytest.mark.parametrize("D", [2, 5])
def test_it_is_of_fourth_order_on_normal_rows(D):
    x, S = Noise(0).normal(40, D), correlated(D)
    exact = normal_log_density(x, S)

    def found(steps: int) -> Tensor:
        return flow_log_density(of_normal(S), x, steps, high=1e5).value

    assert abs(error_of(found, exact, (32, 64, 128)) - 4) < 0.3
    # At the usual highest level, rows that are not independent cost this much:
    usual = flow_log_density(of_normal(S), x, 64).value
    assert 1e-6 < float((usual - exact).abs().max()) < 1e-2


@pytest.mark.parametrize("s", [0.5, 0.3])
def test_it_is_of_fourth_order_on_mixtures_and_tells_its_error(s):
    truth, x = Circle(s), Noise(0).normal(60, 2)
    exact = truth.log_density(x)
    order = error_of(lambda n: flow_log_density(truth.denoise, x, n).value, exact, (32, 64, 128))
    assert abs(order - 4) < 0.4
    found = flow_log_density(truth.denoise, x, 64)
    error = (found.value - exact).abs()
    assert float(error.max()) < 1e-4
    assert float((error <= found.step + 1e-6).double().mean()) > 0.95


def test_on_a_line_and_in_the_plane_it_integrates_to_one():
    """Also where the denoiser is no expectation of anything: a flow keeps probability."""
    axis = torch.linspace(-8, 8, 801, dtype=torch.float64)[:, None]

    def bent(z: Tensor, sigma: Tensor) -> Tensor:
        return (z + sigma * torch.sin(2 * z / (1 + sigma**2).sqrt())) / (1 + sigma**2)

    line = flow_log_density(bent, axis, 64).value
    assert float(line.exp().sum()) * 0.02 == pytest.approx(1, abs=1e-4)
    truth, at = Circle(0.2), torch.linspace(-2.6, 2.6, 61, dtype=torch.float64)
    plane = flow_log_density(truth.denoise, torch.cartesian_prod(at, at), 64).value
    assert float(plane.exp().sum() * (at[1] - at[0]) ** 2) == pytest.approx(1, abs=1e-4)


def test_it_is_the_law_of_what_the_flow_draws():
    """A cell holds as many draws as the density says, and the mean log density is the entropy."""
    truth, n = Circle(0.4, count=3), 4000
    levels = power_levels(96, LOW, 80.0)[:-1]
    z = 80.0 * Noise(1).normal(n, 2)
    drawn = heun(truth.denoise, z, levels)
    found = flow_log_density(truth.denoise, drawn, 32).value
    exact = truth.log_density(drawn)
    assert float((found - exact).abs().max()) < 0.02
    at = torch.linspace(-4, 4, 201, dtype=torch.float64)
    log_p = truth.log_density(torch.cartesian_prod(at, at))
    entropy = -float((log_p.exp() * log_p).sum() * (at[1] - at[0]) ** 2)
    assert abs(float(found.mean()) + entropy) < 4 * float(found.std()) / n**0.5


@pytest.mark.parametrize("probes", [2, 8, 64])
def test_the_interval_of_probes_covers_the_exact_value(probes):
    """z-scores of independent rows; with few probes they follow Student's t."""
    D, n = 6, 300
    x, S = Noise(0).normal(n, D), correlated(D)
    exact = flow_log_density(of_normal(S), x, 8)
    found = flow_log_density(of_normal(S), x, 8, probes=probes, noise=numbered(n))
    assert not exact.error.any()
    t = torch.tensor(_quantile(probes - 1))
    inside = ((found.value - exact.value).abs() <= t * found.error).double().mean()
    assert abs(float(inside) - 0.95) < 0.05
    z = (found.value - exact.value).mean() / ((found.value - exact.value).std() / n**0.5)
    assert abs(float(z)) < 4


def _quantile(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def test_probes_are_exact_where_the_derivative_is_diagonal():
    """`v' J v` is the trace for every vector of signs."""
    x = Noise(0).normal(5, 1, 4, 4)
    denoiser: Denoiser = lambda z, sigma: torch.tanh(z / (1 + sigma)) / (1 + sigma)  # noqa: E731
    exact = flow_log_density(denoiser, x, 16)
    found = flow_log_density(denoiser, x, 16, probes=2, noise=numbered(5))
    torch.testing.assert_close(found.value, exact.value)
    assert float(found.error.max()) < 1e-12


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(6)))
def test_a_row_has_the_same_density_and_probes_in_every_batch(order):
    rows = torch.tensor(order)[:3]
    x, S, each = Noise(0).normal(6, 4), correlated(4), numbered(6)
    whole = flow_log_density(of_normal(S), x, 4, probes=3, noise=each)
    part = flow_log_density(of_normal(S), x[rows], 4, probes=3, noise=each.take(rows))
    torch.testing.assert_close(whole.value[rows], part.value, rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.error[rows], part.error, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 3}, "steps of a flow must be even and at least 2, not 3"),
        ({"steps": 0}, "steps of a flow must be even"),
        ({"probes": 1}, "probes must be 0, or at least 2 with noise, not 1"),
        ({"probes": 4}, "probes must be 0, or at least 2 with noise, not 4"),
        ({}, "rows of 21 entries: at most 20 have an exact divergence"),
    ],
)
def test_what_it_cannot_do_is_told_in_one_line(options, message):
    with pytest.raises(InputError, match=message):
        flow_log_density(lambda z, sigma: z, torch.zeros(2, 21), **options)
