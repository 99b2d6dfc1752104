"""What the study of rectified flows measures, where the right answer is known."""

import math

import pytest
import torch

from sourcewise.metrics.energy_distance import energy_distance
from sourcewise.randomness import Noise
from sourcewise.studies.reflow.measures import apart, euler, wasserstein, ways
from sourcewise.studies.reflow.sets import SETS, drawn
from sourcewise.studies.reflow.settings import ReflowSettings
from sourcewise.studies.reflow.study import grid
from sourcewise.theory import rectified

SMALL = {
    "rectifications": 2,
    "updates": 30,
    "width": 8,
    "rows": 300,
    "draws": 100,
    "points": 60,
    "ways": 40,
    "steps": (1, 2, 4),
    "intervals": 16,
}


def grown(x, t):
    """v = x: ways are `e^t z`, and T steps take z to `(1 + 1/T)^T z`."""
    return x


def test_steps_on_a_field_that_grows():
    z = Noise(0).normal(200, 2)
    square = float(z.square().sum(1).mean())
    exact = ways(grown, z)
    for T in (1, 4, 16):
        found = euler(grown, exact, T)
        error = (math.e - (1 + 1 / T) ** T) * math.sqrt(square)
        assert found.error == pytest.approx(error, rel=1e-6)
        assert found.L == pytest.approx(0 if T == 1 else 1, abs=1e-6)
        gamma = square * T * (math.e**2 - math.exp(2 - 2 / T)) / 2
        assert exact.gamma(T) == pytest.approx(gamma, rel=1e-6)
        assert found.error < rectified.w2_of_steps(found.L, 0, exact.gamma(T), T)


def test_straight_ways_cost_nothing():
    z = Noise(0).normal(50, 3)
    exact = ways(lambda x, t: torch.ones_like(x), z)
    assert exact.S == pytest.approx(0, abs=1e-20)
    assert euler(lambda x, t: torch.ones_like(x), exact, 1).error == pytest.approx(0, abs=1e-12)


def test_distances_of_samples():
    x, y = Noise(0).normal(300, 1), 0.5 + Noise(1).normal(300, 1)
    sorted_ = (x.sort(0).values - y.sort(0).values).square().mean().sqrt()
    assert wasserstein(x, y) == pytest.approx(float(sorted_), rel=1e-9)
    found = apart(x, y)
    assert found.value == pytest.approx(energy_distance(x, y), rel=1e-9)
    again = [apart(Noise(i).of("x").normal(300, 1), y).value for i in range(200)]
    of_rows = apart(x, y.repeat(20, 1) + 1e-9 * Noise(2).normal(6000, 1)).error
    assert float(torch.tensor(again).std()) == pytest.approx(of_rows, rel=0.3)


@pytest.mark.parametrize("name", SETS)
def test_sets_have_mean_0_and_variance_1_and_hold_rows_out(name):
    found = drawn(name, 4000, 500, Noise(0))
    x = found.data.train.tensor
    assert float(x.mean()) == pytest.approx(0, abs=0.06)
    assert float(x.std()) == pytest.approx(1, abs=0.06)
    rows = {tuple(row.tolist()) for row in x}
    if name != "digits":  # of these some are drawn twice
        assert not rows & {tuple(row.tolist()) for row in found.held_out.tensor.float()}
    assert found.held_out.tensor.shape[1] == found.D


def test_bounds_hold_and_the_exact_field_is_the_monotone_map():
    settings = ReflowSettings.parse(SMALL | {"sets": ("line", "normals")})
    found = grid(settings).run()
    assert found.bounds_hold
    assert all(p.bound is not None for p in found.select(method="euler") if p.flow != "distilled")
    (exact,) = found.select(data="line", flow="exact field", method="rk4")
    assert exact.map_error is not None
    assert exact.map_error < 1e-2
    flows = list(dict.fromkeys(p.flow for p in found.select(data="line")))
    assert flows == ["data", "exact field", "1-rectified", "2-rectified", "distilled"]
    lines = str(found).splitlines()
    assert len({line.count("|") for line in lines[:12] if line}) == 1
