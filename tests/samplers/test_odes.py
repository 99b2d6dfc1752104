"""Solvers: orders on the exact velocity of a mixture, ways back, counts, what is refused."""

import math
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.odes import METHODS, adaptive, followed, solve
from sourcewise.samplers.paths import PATHS
from sourcewise.truths.normal_mixture import NormalMixture

MEAN = torch.tensor([[[-1.5, 0.0], [1.0, 0.8]]], dtype=torch.float64)
WEIGHT = torch.tensor([[0.4, 0.6]], dtype=torch.float64)
TRUTH = NormalMixture(WEIGHT, MEAN, torch.tensor([[0.8, 0.7]], dtype=torch.float64))
START = Noise(0).normal(12, 2)
COUNTS = (32, 64, 128)
RETURNS = {"euler": 1, "midpoint": 3, "heun": 3, "rk4": 5}  # see the module


def velocity(x: Tensor, t: Tensor) -> Tensor:
    return TRUTH.velocity(x, torch.zeros(len(x), dtype=torch.int64), PATHS["linear"].at(t))


def grid(steps: int, start: float = 0.0, end: float = 1.0) -> Tensor:
    return torch.linspace(start, end, steps + 1, dtype=torch.float64)


@cache
def arrived(*ends: float) -> Tensor:
    return solve(velocity, START, grid(512, *ends), "rk4").x


def slope(error: Callable[[int], Tensor]) -> float:
    errors = [float(error(n).square().mean().sqrt()) for n in COUNTS]
    return -np.polyfit(np.log(COUNTS), np.log(errors), 1)[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0)])
def test_each_has_its_order_in_both_directions(method, ends):
    exact = arrived(*ends)
    found = slope(lambda n: solve(velocity, START, grid(n, *ends), method).x - exact)
    assert abs(found - METHODS[method].order) < 0.2


@pytest.mark.parametrize("method", METHODS)
def test_the_way_back_ends_at_the_start(method):
    def error(n: int) -> Tensor:
        there = solve(velocity, START, grid(n), method).x
        return solve(velocity, there, grid(n, 1.0, 0.0), method).x - START

    assert abs(slope(error) - RETURNS[method]) < 0.3


@pytest.mark.parametrize("method", METHODS)
def test_evaluations_are_counted_and_weights_are_consistent(method):
    own, calls = METHODS[method], []

    def counted(x: Tensor, t: Tensor) -> Tensor:
        calls.append(float(t))
        return velocity(x, t)

    found = solve(counted, START, grid(5), method)
    assert found.evaluations == len(calls) == 5 * own.evaluations
    assert min(calls) >= 0
    assert max(calls) <= 1 + 1e-12
    assert sum(own.weights) == pytest.approx(1)
    assert [sum(row) for row in own.within] == pytest.approx(list(own.nodes))


@pytest.mark.parametrize("method", METHODS)
def test_polynomials_in_time_are_exact_up_to_the_order(method):
    """`dx/dt = (q + 1) t^q` has x = t^(q + 1), for q below the order, on any grid."""
    times = torch.tensor([0.2, 0.5, 0.6, 1.5], dtype=torch.float64)
    for q in range(METHODS[method].order):
        x = times[:1] ** (q + 1)
        found = solve(lambda x, t, q=q: (q + 1) * t**q + 0 * x, x, times, method).x  # pyright: ignore
        torch.testing.assert_close(found, times[-1:] ** (q + 1))


def test_all_times_of_the_way_are_there_and_tensors_move_together():
    x = torch.ones(2, dtype=torch.float64)
    way = list(followed(lambda s, t: (-s[1], s[0]), (x, 0 * x), grid(100, 0, math.pi), "rk4"))
    assert len(way) == 101
    assert torch.equal(way[0][0], x)
    torch.testing.assert_close(way[50][1], x, rtol=0, atol=1e-7)  # cos and sin at pi / 2
    torch.testing.assert_close(way[-1][0], -x, rtol=0, atol=1e-7)


def test_a_row_comes_out_the_same_in_every_batch_and_keeps_its_type():
    whole = solve(velocity, START, grid(8)).x
    torch.testing.assert_close(solve(velocity, START[3:5], grid(8)).x, whole[3:5])
    single = solve(lambda x, t: -x, START.float(), grid(8)).x
    assert single.dtype == torch.float32


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0)])
def test_adaptive_steps_keep_to_their_tolerance(ends):
    pytest.importorskip("torchdiffeq")
    exact, before = arrived(*ends), 0
    for tolerance in (1e-5, 1e-7, 1e-9):
        found = adaptive(velocity, START, *ends, rtol=tolerance, atol=tolerance)
        assert float((found.x - exact).abs().max()) < 50 * tolerance
        assert found.evaluations > before
        before = found.evaluations


def test_adaptive_steps_take_single_precision():
    pytest.importorskip("torchdiffeq")
    found = adaptive(velocity, START.float(), 0, 1)
    assert found.x.dtype == torch.float32
    assert float((found.x - arrived(0, 1)).abs().max()) < 1e-3


def test_adaptive_rows_depend_on_their_batch_within_the_tolerance():
    pytest.importorskip("torchdiffeq")
    whole = adaptive(velocity, START, 0, 1, rtol=1e-6, atol=1e-6).x[:1]
    alone = adaptive(velocity, START[:1], 0, 1, rtol=1e-6, atol=1e-6).x
    assert 0 < float((whole - alone).abs().max()) < 5e-5


def test_what_adaptive_steps_cannot_do_is_told_in_one_line(monkeypatch):
    pytest.importorskip("torchdiffeq")
    with pytest.raises(InputError, match="no step of the flow keeps to rtol=1e-05, atol=1e-05"):
        adaptive(lambda x, t: x / 0 * 0, START, 0, 1)
    with pytest.raises(InputError, match="rtol must be above 0 and finite"):
        adaptive(velocity, START, 0, 1, rtol=0)
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(InputError, match=r"need torchdiffeq: pip install 'sourcewise\[flows\]'"):
        adaptive(velocity, START, 0, 1)


@pytest.mark.parametrize(
    "times", [[0.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.5], [0.0, math.nan], [[0.0]]]
)
def test_times_that_are_none_are_refused(times):
    with pytest.raises(InputError, match="at least two numbers that rise, or that fall"):
        solve(velocity, START, torch.tensor(times))


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="must be one of euler, midpoint, heun, rk4, not 'rk5'"):
        solve(velocity, START, grid(2), "rk5")
