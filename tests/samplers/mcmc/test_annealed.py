"""Annealed importance sampling against quadrature, and its intervals against known weights."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from sourcewise.errors import InputError
from sourcewise.quadrature import gauss_legendre
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.annealed import annealed, log_mean
from sourcewise.samplers.mcmc.hamiltonian import Energy

G = 50  # energies of a kind


def networks(noise: Noise, D: int = 3, H: int = 16) -> Energy:
    """G random networks; standard deviations over the box of 2 to 10 nats."""
    first, second = 3 * noise.of("first").normal(G, D, H), noise.of("second").normal(G, H, H)
    bias = noise.of("bias").normal(G, 1, H) - first.sum(1, keepdim=True) / 2
    last = 6 * noise.of("last").normal(G, H, 1) / H**0.5
    return lambda x: (silu(silu(x @ first + bias) @ second * 1.5 / H**0.5) @ last)[..., 0]


def wells(noise: Noise, D: int = 3, M: int = 3) -> Energy:
    """G mixtures of 3 normals of standard deviations .06 to .26 anywhere, also at the walls."""
    mean = noise.of("mean").uniform(G, 1, M, D)
    sigma = 0.06 + 0.2 * noise.of("sigma").uniform(G, 1, M, D)
    depth = noise.of("depth").normal(G, 1, M) - sigma.log().sum(-1)
    return lambda x: -(depth - (((x[..., None, :] - mean) / sigma) ** 2).sum(-1) / 2).logsumexp(-1)


def both(noise: Noise) -> Energy:
    """The 2 G energies as one batch."""
    f, g = networks(noise.of("networks")), wells(noise.of("wells"))
    return lambda x: torch.cat([f(x[:G]), g(x[G:])])


def by_quadrature(energy: Energy, nodes: int, groups: int, D: int = 3) -> Tensor:
    """(groups,) log Z."""
    x, log_weight = gauss_legendre(nodes, D)
    u = [energy(part.expand(groups, -1, -1)) for part in x.split(1024)]
    return (log_weight - torch.cat(u, -1)).logsumexp(-1)


def uniform(x: Tensor) -> Tensor:
    return 0 * x.sum(-1)


def test_annealing_agrees_with_quadrature_within_its_interval():
    noise = Noise(0).of("coverage")
    energy = both(noise)
    exact = by_quadrature(energy, 24, 2 * G)
    assert (exact - by_quadrature(energy, 18, 2 * G)).abs().max() < 1e-3
    found = annealed(energy, uniform, noise.of("x").uniform(2 * G, 128, 3), noise=noise)
    inside = (found.low <= exact) & (exact <= found.high)
    assert int(inside.sum()) >= 93
    width = found.high - found.low
    assert float(width.median()) < 0.4
    assert float(width.mean()) < 0.7


def test_a_base_that_is_not_uniform():
    """The tilted base `prod_d b e^(b x_d) / (e^b - 1)` gives the same log Z."""
    b = 2.0
    u = Noise(1).uniform(10, 128, 3)
    x0 = torch.log1p(u * math.expm1(b)) / b

    def tilted(x: Tensor) -> Tensor:
        return (b * x + math.log(b / math.expm1(b))).sum(-1)

    energy = networks(Noise(2))
    exact = by_quadrature(energy, 24, G)[:10]

    def ten(x: Tensor) -> Tensor:
        return energy(torch.cat([x, x[:1].expand(G - 10, -1, -1)]))[:10]

    found = annealed(ten, tilted, x0, noise=Noise(3), temperatures=100)
    inside = (found.low <= exact) & (exact <= found.high)
    assert int(inside.sum()) >= 9
    # the base itself as the target: weights are all 1 whatever the chains do
    same = annealed(lambda x: 3 - tilted(x), tilted, x0, noise=Noise(4), temperatures=5)
    assert (same.value + 3).abs().max() < 1e-12


def test_weights_are_unbiased_at_few_temperatures():
    """The mean of w / Z over 4000 groups is 1, though log mean w is too low."""

    def waves(x: Tensor) -> Tensor:
        return 4 * torch.sin(12 * x[..., 0]) + 3 * x[..., 0]

    exact = by_quadrature(waves, 200, 1, D=1)
    x0 = Noise(6).uniform(4000, 16, 1)
    found = annealed(waves, uniform, x0, noise=Noise(7), temperatures=3, leapfrog=1)
    ratio = (found.value - exact).exp()
    error = float(ratio.std()) / 4000**0.5
    assert error < 0.02
    assert abs(float(ratio.mean()) - 1) < 3 * error
    assert float((found.value - exact).mean()) < -5 * error


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_intervals_of_log_normal_weights(sigma):
    """log w normal: log E w = sigma^2 / 2; the delta method alone covers 58 % at sigma = 3."""
    found = log_mean(sigma * Noise(8).normal(2000, 96))
    inside = (found.low <= sigma**2 / 2) & (sigma**2 / 2 <= found.high)
    assert 0.935 < float(inside.double().mean()) < 0.98
    assert float((sigma**2 / 2 < found.low).double().mean()) < 0.035


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_intervals_with_chains_that_are_stuck(share):
    """Some weights are nothing; the others log-normal: the interval knows and stays narrow."""
    stuck = Noise(9).uniform(2000, 96) < share
    log_w = torch.where(stuck, -60.0, 0.3 * Noise(10).normal(2000, 96) - math.log(1 - share))
    found = log_mean(log_w)
    inside = (found.low <= 0.045) & (found.high >= 0.045)
    assert 0.94 < float(inside.double().mean()) < 0.99
    assert float((found.high - found.low).mean()) < 0.6


def test_intervals_of_two_kinds_of_weights():
    """A tenth of the chains carries .8 of Z."""
    rare = Noise(11).uniform(2000, 96) < 0.1
    found = log_mean(torch.where(rare, math.log(8), math.log(2 / 9)).double())
    inside = (found.low <= 0) & (found.high >= 0)
    assert float(inside.double().mean()) > 0.94


def test_weights_shift_and_vanish():
    log_w = Noise(12).normal(3, 40)
    found, moved = log_mean(log_w), log_mean(log_w + 1000)
    for name in ("value", "low", "high"):
        torch.testing.assert_close(getattr(found, name) + 1000, getattr(moved, name))
    torch.testing.assert_close(found.standard_error, moved.standard_error)
    log_w[:, 0] = -torch.inf
    assert log_mean(log_w).high.isfinite().all()
    with pytest.raises(InputError, match="finite at none of the starts"):
        log_mean(torch.full((2, 5), -torch.inf))


def test_a_wall_inside_the_box():
    """Energies that are infinite or not numbers on half of the box: log Z = log 1/2."""
    for bad in (math.inf, math.nan):
        found = annealed(
            lambda x, bad=bad: torch.where(x[..., 0] > 0.5, bad, 0 * x.sum(-1)),
            uniform,
            Noise(13).uniform(200, 2),
            noise=Noise(14),
            temperatures=4,
        )
        assert float(found.low) <= math.log(0.5) <= float(found.high)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_precisions_and_any_axes(dtype):
    x0 = Noise(15).uniform(2, 3, 32, 2, dtype=dtype)
    found = annealed(
        lambda x: 4 * x.sum(-1), uniform, x0, noise=Noise(16), temperatures=20, leapfrog=1
    )
    assert found.value.shape == found.low.shape == found.high.shape == (2, 3)
    assert found.value.dtype == torch.float64
    exact = 2 * math.log(-math.expm1(-4) / 4)
    assert (found.low - 0.2 < exact).all()
    assert (found.high + 0.2 > exact).all()
    assert (found.value - exact).abs().max() < 0.6


@pytest.mark.parametrize(
    ("x0", "temperatures", "message"),
    [
        ((15, 1), 4, "at least 16 starts"),
        ((16, 1), 0, "at least 1 temperature"),
        ((16, 1), torch.tensor([0.0, 0.6, 0.5, 1.0]), "must rise from 0 to 1"),
        ((16, 1), torch.tensor([0.1, 1.0]), "must rise from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_said(x0, temperatures, message):
    with pytest.raises(InputError, match=message):
        annealed(
            uniform, uniform, Noise(0).uniform(*x0), noise=Noise(1), temperatures=temperatures
        )
