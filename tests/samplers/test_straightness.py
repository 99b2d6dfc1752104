"""Straightness: closed forms of normal laws, the quantiles of two modes, the error of Euler."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.odes import solve
from sourcewise.samplers.paths import PATHS
from sourcewise.samplers.straightness import bends, straightness
from sourcewise.truths.normal_mixture import NormalMixture

LINEAR = PATHS["linear"]
ONE = torch.ones(1, 1, dtype=torch.float64)


def grid(T: int) -> Tensor:
    return torch.linspace(0, 1, T + 1, dtype=torch.float64)


def flow(*means: tuple[float, ...], scale: float = 1.0):
    """The exact velocity from N(0, I) to normals of equal weight, on the linear path."""
    mean = torch.tensor([means], dtype=torch.float64)
    same = torch.ones(1, len(means), dtype=torch.float64)
    truth = NormalMixture(same / len(means), mean, scale * same)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return truth.velocity(x, torch.zeros(len(x), dtype=torch.int64), LINEAR.at(t))

    return velocity


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_a_rectified_flow_between_normal_laws_is_straight(scale):
    """Z_t = (1 - t) z + t (m + s z): the field changes, in time and in space, but not its ways."""
    m, z = torch.tensor([2.0, -1.0], dtype=torch.float64), Noise(0).normal(30, 2)

    def rectified(x: Tensor, t: Tensor) -> Tensor:
        return m + (scale - 1) * (x - t * m) / (1 - t + t * scale)

    found = straightness(rectified, z, grid(4))
    assert float(found.rows.max()) < 1e-12
    assert float(found.change.max()) < 1e-24 * 1e6
    torch.testing.assert_close(solve(rectified, z, grid(1), "euler").x, m + scale * z)


@pytest.mark.parametrize("d", [1, 3])
def test_a_translation_of_independent_ends_has_its_closed_form(d):
    """Z_t = t m + s z, s^2 = t^2 + (1 - t)^2: S is |z|^2 (2 - pi/2), gamma |z|^2 (2 + 3 pi/4)."""
    z = Noise(0).normal(30, d)
    found = straightness(flow((2.0,) * d), z, grid(1), parts=64)
    size = z.square().sum(1)
    torch.testing.assert_close(found.rows, size * (2 - math.pi / 2), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.change[:, 0], size * (2 + 0.75 * math.pi), rtol=1e-6, atol=0)
    assert found.value == pytest.approx(float(found.rows.mean()))
    assert abs(found.value - d * (2 - math.pi / 2)) < 4 * found.error
    assert abs(found.gamma - d * (2 + 0.75 * math.pi)) < 4 * found.gamma_error


def test_intervals_have_their_own_means_and_gamma_is_the_largest():
    """Of a translation the mean of |z|^2 s^-6 over an interval, by a fine sum."""
    z, edges = ONE, torch.tensor([0.0, 0.2, 0.7, 1.0], dtype=torch.float64)
    found = straightness(flow((1.5,)), z, edges, parts=32)
    exact = []
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        t = np.linspace(low, high, 20_001)
        exact.append(np.trapezoid((t**2 + (1 - t) ** 2) ** -3.0, t) / (high - low))
    assert found.change[0].tolist() == pytest.approx(exact, rel=1e-6)
    assert found.gamma == pytest.approx(max(exact), rel=1e-6)
    whole = straightness(flow((1.5,)), z, grid(1), parts=64)
    assert float(found.change[0] @ edges.diff()) == pytest.approx(whole.gamma, rel=1e-6)
    assert found.value == pytest.approx(whole.value, rel=1e-6)


def modes(n: int) -> tuple[Tensor, Tensor]:
    """(n, 1) points of the line and (n,) their normal weights."""
    z = torch.linspace(-8, 8, n, dtype=torch.float64)[:, None]
    weight = (-z[:, 0].square() / 2).exp()
    return z, weight / weight.sum()


def quantiles(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(T, B) where x_t, on its way to modes at -2 and 2, has as much below as x_0 has below z."""
    t, level = t[:, None], ndtr(z)
    spread = np.hypot(t, 1 - t)
    low = np.full((len(t), len(z)), -30.0)
    high = -low
    for _ in range(70):
        middle = (low + high) / 2
        below = ndtr((middle + 2 * t) / spread) / 2 + ndtr((middle - 2 * t) / spread) / 2
        low, high = np.where(below < level, middle, low), np.where(below < level, high, middle)
    return (low + high) / 2


def test_two_modes_are_as_straight_as_their_quantiles():
    """On the line the flow goes from quantile to quantile, whose second differences are dv/dt."""
    z, h = torch.linspace(-4, 4, 9, dtype=torch.float64), 1e-3
    edges, times = torch.tensor([0.0, 0.25, 0.75, 1.0]).double(), np.linspace(0.25, 0.75, 201)
    found = straightness(flow((-2.0,), (2.0,)), z[:, None], edges, parts=32)
    before, at, after = (quantiles(z.numpy(), times + k * h) for k in (-1, 0, 1))
    change = np.trapezoid(((after - 2 * at + before) / h**2) ** 2, times, axis=0) / 0.5
    assert found.change[:, 1].numpy() == pytest.approx(change, rel=1e-3, abs=1e-6)
    # S by finite differences of the quantiles: the mean of v over each of many short times.
    t = np.linspace(0, 1, 4001)
    way = quantiles(z.numpy(), t)
    bent = (way[-1] - way[0] - np.diff(way, axis=0) * 4000) ** 2
    assert found.rows.numpy() == pytest.approx(bent.mean(0), rel=1e-3, abs=1e-6)


def test_two_modes_in_the_plane_have_the_known_values():
    """Section 8 of algorithms.md: modes (+-2, 5 / sqrt 2), the second number a translation."""
    z, weight = modes(121)
    velocity = flow((-2.0,), (2.0,))
    change = float(weight @ straightness(velocity, z, grid(1), parts=64).change[:, 0])
    gamma = change + 2 + 0.75 * math.pi
    assert gamma == pytest.approx(22.1, rel=0.01)  # they are given with draws, to three digits
    exact = solve(velocity, z, grid(128), "rk4").x
    shift = torch.ones_like(z)  # of a translation the error is that of z alone, E z^2 = 1
    moved = flow((5 / 2**0.5,))
    arrived = solve(moved, shift, grid(128), "rk4").x
    known = {1: 2.46, 2: 1.24, 4: 0.636, 8: 0.328, 16: 0.167, 32: 0.084, 64: 0.042, 128: 0.021}
    lipschitz = 4.1
    for T, value in known.items():
        first = weight @ (solve(velocity, z, grid(T), "euler").x - exact)[:, 0].square()
        second = (solve(moved, shift, grid(T), "euler").x - arrived).square().mean()
        error = math.sqrt(float(first + second))
        assert error == pytest.approx(value, rel=0.02)
        if T not in (1, 4, 16):
            continue
        parts = max(4, 32 // T)
        each = straightness(velocity, z, grid(T), parts=parts).change
        other = straightness(moved, shift, grid(T), parts=parts).change
        bent = float((weight @ each + other[0]).max())
        assert error < math.expm1(lipschitz) / lipschitz * math.sqrt(bent / 3) / T


def test_it_is_the_variance_of_the_velocity_along_the_way():
    """As v integrates to Z_1 - Z_0, S is `int |v|^2 dt - |Z_1 - Z_0|^2`."""
    velocity, z = flow((-2.0, 1.0), (1.0, 0.5)), Noise(0).normal(20, 2)
    found = straightness(velocity, z, grid(8), parts=8)
    x, squares, times = z, [], torch.linspace(0, 1, 129, dtype=torch.float64)
    for i, t in enumerate(times):
        squares.append(velocity(x, t).square().sum(1))
        if i + 1 < len(times):
            x = solve(velocity, x, times[i : i + 2], "rk4").x
    whole = torch.trapezoid(torch.stack(squares, 1), times, dim=1)
    exact = whole - (x - z).square().sum(1)
    torch.testing.assert_close(found.rows, exact, rtol=0, atol=5e-3)


def test_bends_alone_are_those_of_one_interval():
    velocity, z = flow((-2.0,), (2.0,), scale=0.5), Noise(0).normal(20, 1)
    expected = straightness(velocity, z, grid(1), parts=32).rows
    torch.testing.assert_close(bends(velocity, z, 32, "rk4"), expected, rtol=1e-12, atol=1e-12)


def test_it_takes_rows_of_any_shape_in_single_precision():
    z = Noise(0).normal(3, 1, 2, 2).float()
    found = straightness(lambda x, t: t.to(x) + 0 * x, z, grid(2), parts=2)
    # Z_1 - Z_0 = 1/2, S = 4 int (1/2 - t)^2 = 1/3, dv/dt = 1 in four entries.
    torch.testing.assert_close(found.rows, torch.full((3,), 1 / 3, dtype=torch.float64))
    torch.testing.assert_close(found.change, torch.full((3, 2), 4.0, dtype=torch.float64))


def test_what_is_no_grid_of_intervals_is_refused():
    z = torch.zeros(1, 1)
    with pytest.raises(
        InputError, match="parts of an interval must be even and at least 2, not 3"
    ):
        straightness(lambda x, t: x, z, grid(1), parts=3)
    with pytest.raises(InputError, match="at least two numbers that rise, or that fall"):
        straightness(lambda x, t: x, z, grid(2)[:1])


def test_the_way_back_is_as_straight_and_units_of_time_are_units():
    """In half the time all goes twice as fast: S and gamma are 2 and 16 times as large."""
    velocity, z = flow((-2.0,), (2.0,)), Noise(0).normal(5, 1)
    there = straightness(velocity, z, grid(2), parts=32)
    end = solve(velocity, z, grid(64), "rk4").x
    back = straightness(velocity, end, grid(2).flip(0), parts=32)
    torch.testing.assert_close(back.rows, there.rows, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(back.change.flip(1), there.change, rtol=1e-4, atol=1e-6)
    fast = straightness(lambda x, t: 2 * velocity(x, 2 * t), z, grid(2) / 2, parts=32)
    torch.testing.assert_close(fast.rows, 2 * there.rows)
    torch.testing.assert_close(fast.change, 16 * there.change)
