"""The kernel: reversible through walls, exact after the Metropolis test, biased by h without."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.chains import Tuning, move, run_chains
from sourcewise.samplers.mcmc.hamiltonian import State, fold, leap, transition

MEAN = torch.tensor([0.3, 0.75], dtype=torch.float64)
PRECISION = torch.linalg.inv(torch.tensor([[0.09, 0.072], [0.072, 0.09]], dtype=torch.float64))


def truncated(x: Tensor) -> Tensor:
    """A normal of correlation .8, cut at the walls: a quarter of its mass is outside."""
    centred = x - MEAN.to(x)
    return (centred @ PRECISION.to(x) * centred).sum(-1) / 2


def truncated_draws(n: int, noise: Noise) -> Tensor:
    """Exact draws of `truncated`, by rejection."""
    factor = torch.linalg.cholesky(torch.linalg.inv(PRECISION))
    z = MEAN + noise.normal(3 * n, 2) @ factor.T
    inside = z[((z >= 0) & (z <= 1)).all(-1)]
    assert len(inside) >= n
    return inside[:n]


def tuning(step: float, scale: Tensor | None = None, D: int = 2) -> Tuning:
    scale = torch.ones(D) if scale is None else scale
    return Tuning(torch.tensor([step]).double(), scale[None].double(), torch.tensor(1.0))


def chains(x: Tensor, energy, noise: Noise, *, step=0.3, transitions=100, **options) -> Tensor:
    """(T, C, D) states of a run."""
    settled = tuning(step, D=x.shape[-1])
    run = run_chains(energy, x, settled, noise=noise, transitions=transitions, **options)
    return run.history


# Reflection


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_leapfrog_is_its_own_inverse_also_through_walls(steps):
    x, v = Noise(0).uniform(200, 2), 4 * Noise(1).normal(200, 2)
    rate = 0.2 * torch.tensor([1.0, 0.5])  # stable: errors do not grow
    start = State.at(truncated, x)
    there, w = leap(truncated, start, v, rate=rate, steps=steps)
    back, z = leap(truncated, there, -w, rate=rate, steps=steps)
    # a path without walls ends elsewhere: most of these have met one
    free, _ = leap(lambda x: 0 * truncated(x), start, v, rate=rate, steps=steps)
    crossed = ((x + steps * rate * v - free.x).abs() > 1e-6).any(-1)
    assert crossed.double().mean() > 0.5
    assert (back.x - x).abs().max() < 1e-10
    assert (-z - v).abs().max() < 1e-10


def test_leapfrog_keeps_volume():
    def flow(point: Tensor) -> Tensor:
        """One step written out, with the target's linear gradient, differentiable."""
        x, v = point[:2], point[2:]
        v = v - 0.2 * (x - MEAN) @ PRECISION
        x, v = fold(x + 0.4 * v, v)
        return torch.cat([x, v - 0.2 * (x - MEAN) @ PRECISION])

    for seed in range(20):
        x, v = Noise(seed).of("x").uniform(2), Noise(seed).of("v").normal(2)
        there, w = leap(truncated, State.at(truncated, x[None]), v[None], rate=0.4, steps=1)
        assert torch.allclose(flow(torch.cat([x, v])), torch.cat([there.x[0], w[0]]))
        jacobian = torch.autograd.functional.jacobian(flow, torch.cat([x, v]))
        assert abs(abs(float(torch.linalg.det(jacobian))) - 1) < 1e-10


def test_fold_is_the_bouncing_path():
    z = torch.linspace(-3, 4, 701, dtype=torch.float64)
    x, v = fold(z, torch.ones_like(z))
    assert torch.allclose(x, torch.arccos(torch.cos(math.pi * z)) / math.pi, atol=1e-7)
    h = 1e-6
    inside = (z - z.round()).abs() > 1e-3
    slope = (fold(z + h, v)[0] - x) / h
    assert torch.allclose(slope[inside], v[inside], atol=1e-6)


@pytest.mark.parametrize("leapfrog", [1, 4])
@pytest.mark.parametrize("adjusted", [True, False])
def test_uniform_stays_uniform(leapfrog, adjusted):
    x = Noise(2).uniform(5000, 1)
    end = chains(
        x, lambda x: 0 * x[..., 0], Noise(3), transitions=20, leapfrog=leapfrog, adjusted=adjusted
    )[-1]
    assert stats.kstest(end[:, 0].numpy(), "uniform").pvalue > 0.01


@pytest.mark.parametrize("leapfrog", [1, 4])
def test_mass_at_the_walls(leapfrog):
    """Density proportional to `exp(8 |2x - 1|)`: almost all within .1 of a wall."""
    u = Noise(4).uniform(20_000)
    side = -torch.log1p(-u * -math.expm1(-8.0)) / 16  # distance to the nearer wall, inverted
    x = torch.where(Noise(5).uniform(20_000) < 0.5, side, 1 - side)[:, None]
    history = chains(
        x,
        lambda x: -8 * (2 * x[..., 0] - 1).abs(),
        Noise(6),
        step=0.15,
        transitions=40,
        leapfrog=leapfrog,
    )
    distance = torch.minimum(history[-1], 1 - history[-1])[:, 0].numpy()
    exact = stats.truncexpon(8, scale=1 / 16)
    assert stats.kstest(distance, exact.cdf).pvalue > 0.01


# Calibration


def ranks(draws: Tensor, noise: Noise, *, L: int = 19, thin: int = 5, **options) -> Tensor:
    """(n, 4) ranks 0..L of exact draws among L states of chains through them.

    A draw is put at a random place of its chain, with transitions to both sides, which is the same
    as forwards alone for a reversible kernel: all L + 1 states are then exchangeable in rank if
    and only if the kernel leaves the truth invariant (Besag and Clifford, "Generalized Monte Carlo
    significance tests", 1989). Quantities: both coordinates, their product, the energy.
    """
    sides = [
        chains(draws, truncated, noise.of(side), transitions=L * thin, thin=thin, **options)
        for side in range(2)
    ]
    after = noise.of("place").integers(L + 1, len(draws))
    # the first `after` states of one side, the first L - after of the other
    t = torch.arange(L)[:, None]
    other = (t - after).clamp(min=0)[..., None].expand(-1, -1, 2)
    states = torch.where((t < after)[..., None], sides[0], sides[1].gather(0, other))

    def quantities(x: Tensor) -> Tensor:
        return torch.stack([x[..., 0], x[..., 1], x.prod(-1), truncated(x)], -1)

    found, own = quantities(states), quantities(draws)
    ties = (found == own).sum(0)  # states that a refusal left at the draw: in random order
    broken = (noise.of("ties").uniform(len(draws), 4) * (ties + 1)).long()
    return (found < own).sum(0) + broken


def p_values(found: Tensor, noise: Noise, L: int = 19) -> list[float]:
    """Chi-square of the ranks and Kolmogorov-Smirnov of ranks made continuous."""
    spread = (found + noise.uniform(*found.shape)) / (L + 1)
    values = []
    for ranks_of, one in zip(found.T, spread.T, strict=True):
        values.append(float(stats.chisquare(torch.bincount(ranks_of, minlength=L + 1)).pvalue))
        values.append(float(stats.kstest(one.numpy(), "uniform").pvalue))
    return values


@pytest.mark.parametrize(
    ("step", "leapfrog"), [(0.2, 1), (0.35, 1), (0.2, 6)], ids=["MALA", "MALA, large", "HMC"]
)
def test_simulation_based_calibration(step, leapfrog):
    draws = truncated_draws(4000, Noise(7))
    found = ranks(draws, Noise(8), step=step, leapfrog=leapfrog)
    assert min(p_values(found, Noise(9))) > 0.05 / 8


@pytest.mark.parametrize("wrong", ["unadjusted", "other truth"])
def test_calibration_finds_out_who_is_not_calibrated(wrong):
    draws = truncated_draws(4000, Noise(7))
    if wrong == "other truth":
        draws = 0.5 + 0.95 * (draws - 0.5)
    found = ranks(draws, Noise(8), step=0.25, adjusted=wrong != "unadjusted")
    assert min(p_values(found, Noise(9))) < 1e-6


# The bias of Langevin


def langevin_variance(c: float, adjusted: bool, seed: int = 10, n: int = 50_000) -> float:
    """Stationary variance over sigma^2 for h = c sigma^2, a normal 14 sigma from the walls."""
    sigma, noise = 0.035, Noise(seed)

    def well(x: Tensor) -> Tensor:
        return ((x[..., 0] - 0.5) / sigma) ** 2 / 2

    state = State.at(well, 0.5 + sigma * noise.of("x").normal(n, 1))
    total, step = 0.0, math.sqrt(2 * c) * sigma
    for t in range(100):
        state, _ = move(
            well, state, noise=noise.of(t), step=step, scale=None, leapfrog=1, adjusted=adjusted
        )
        if t >= 30:  # (1 - c)^60 of the start's error is left
            total += float((state.x - 0.5).square().mean()) / 70
    return total / sigma**2


def test_langevin_bias_is_of_first_order_and_removed_by_the_metropolis_test():
    """With the test: 1. Without, by the same draws, `1 / (1 - c/2)`: halving h halves the bias."""
    sizes = [0.4, 0.2, 0.1]
    adjusted = [langevin_variance(c, adjusted=True) for c in sizes]
    biases = [
        langevin_variance(c, adjusted=False) - value
        for c, value in zip(sizes, adjusted, strict=True)
    ]
    for c, one, bias in zip(sizes, adjusted, biases, strict=True):
        tau = (1 + (1 - c) ** 2) / (1 - (1 - c) ** 2)
        assert abs(one - 1) < 4 * math.sqrt(2 * tau / (50_000 * 70))
        assert abs(bias - (1 / (1 - c / 2) - 1)) < 0.0022  # 4 standard errors
    for large, small in pairwise(biases):
        assert 2.05 < large / small < 2.32  # (2 - c/2) / (1 - c/2): exact 2.25 and 2.11


# Contract


def test_one_leapfrog_step_is_langevin():
    x, z = Noise(12).uniform(50, 2), Noise(13).normal(50, 2)
    state, s, h = State.at(truncated, x), torch.tensor([0.5, 0.2]), 0.02
    new, _ = transition(
        truncated,
        state,
        step=math.sqrt(2 * h),
        normal=z,
        uniform=torch.zeros(50),
        scale=s,
        adjusted=False,
    )
    expected = fold(x - h * s**2 * state.grad + math.sqrt(2 * h) * s * z, z)[0]
    assert torch.allclose(new.x, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("leading", [(5,), (3, 5), (2, 3, 5)])
def test_groups_run_as_if_alone(dtype, leading):
    """Any leading axes and both precisions; a step per group; no group sees another."""
    D, groups = 3, math.prod(leading[:-1])
    x = Noise(14).uniform(*leading, D, dtype=dtype)
    normal, uniform = Noise(15).normal(*leading, D), Noise(16).uniform(*leading)
    step = (0.1 + 0.2 * Noise(17).uniform(*leading[:-1], 1)).to(dtype)
    shift = Noise(18).uniform(*leading[:-1], 1, D, dtype=dtype)

    def energy(shift):
        return lambda x: (3 * torch.sin(5 * (x - shift))).sum(-1)

    whole = State.at(energy(shift), x)
    new, accept = transition(
        energy(shift), whole, step=step, normal=normal, uniform=uniform, leapfrog=3
    )
    assert new.x.dtype == accept.dtype == dtype
    assert new.x.shape == x.shape
    assert accept.shape == leading

    def rows(values: Tensor) -> Tensor:
        return values.reshape(groups, *values.shape[len(leading) - 1 :])

    for g in range(groups):
        alone = energy(rows(shift)[g])
        one, accepted = transition(
            alone,
            State.at(alone, rows(x)[g]),
            step=rows(step)[g],
            normal=rows(normal)[g],
            uniform=rows(uniform)[g],
            leapfrog=3,
        )
        torch.testing.assert_close(rows(new.x)[g], one.x)
        torch.testing.assert_close(rows(accept)[g], accepted)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("adjusted", [True, False])
def test_energies_that_are_not_finite_are_refused(bad, adjusted):
    def energy(x):
        return torch.where(x[..., 0] > 0.5, bad, x[..., 0])

    x = 0.5 * Noise(19).uniform(500, 1)
    run = run_chains(
        energy, x, tuning(0.5, D=1), noise=Noise(20), transitions=20, adjusted=adjusted
    )
    assert run.history.max() <= 0.5
    assert (run.history[1:] != run.history[:-1]).any()
    assert 0 < run.acceptance.mean() < 1
    assert (run.acceptance <= 1).all()


def test_gradients_of_parameters_are_left_alone():
    weight = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        state = State.at(lambda x: (x * weight).sum(-1), Noise(21).uniform(4, 2).float())
    assert weight.grad is None
    assert not any(part.requires_grad for part in (state.x, state.u, state.grad))
    assert torch.equal(state.grad, torch.ones(4, 2))
    flat = State.at(lambda x: x.new_zeros(x.shape[:-1]), torch.zeros(3, 2))
    assert torch.equal(flat.grad, torch.zeros(3, 2))


def test_each_chain_can_have_its_own_stream():
    """With a noise per example, the other chains of a batch change nothing."""
    x = Noise(22).uniform(6, 2)
    each = Noise(23).each(torch.tensor([0, 1, 2, 0, 1, 2]))
    part = torch.tensor([4, 1])
    whole = run_chains(truncated, x, tuning(0.3), noise=each, transitions=5, leapfrog=5)
    some = run_chains(
        truncated, x[part], tuning(0.3), noise=each.take(part), transitions=5, leapfrog=5
    )
    torch.testing.assert_close(some.history, whole.history[:, part], rtol=0, atol=1e-12)


def test_a_run_keeps_what_it_is_asked_to():
    x = Noise(24).uniform(4, 2)
    options = {"noise": Noise(25), "transitions": 7}
    every = run_chains(truncated, x, tuning(0.3), **options)
    third = run_chains(truncated, x, tuning(0.3), thin=3, **options)
    none = run_chains(truncated, x, tuning(0.3), keep=False, **options)
    assert torch.equal(third.history, every.history[2::3])
    assert none.history.shape == (0, 4, 2)
    assert torch.equal(none.x, every.history[-1])
    for wrong in (0, 8):
        with pytest.raises(InputError, match="thin must be 1 to transitions"):
            run_chains(truncated, x, tuning(0.3), thin=wrong, **options)
