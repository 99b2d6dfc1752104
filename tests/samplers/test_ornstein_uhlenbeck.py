"""Stochastic steps through an Ornstein-Uhlenbeck process: orders by exact laws."""

import math

import numpy as np
import pytest
import torch

from sourcewise.samplers import ornstein_uhlenbeck as ou
from sourcewise.studies.samplers import methods
from sourcewise.studies.samplers.laws import Line, Moments
from sourcewise.studies.samplers.methods import METHODS

NORMAL = Line.of((1.0, 2.0, 0.5))
ORDERS = {
    "euler_maruyama": (0.9, 1.1),
    "exponential_integrator": (0.9, 1.1),
    "randomised_midpoint": (1.8, 2.1),
    "randomised_exponential": (1.75, 2.1),
    "local_linearisation": (1.85, 2.1),
}


@pytest.mark.parametrize("name", ORDERS)
def test_each_has_its_order(name, monkeypatch):
    """The moments after each step are known exactly; the truth is of algorithms.md, section 7."""
    monkeypatch.setattr(methods, "_law", lambda start, *_: Moments.of(start))
    method = next(m for m in METHODS if m.name == name)
    counts = (160, 320, 640)
    errors = [method.error(NORMAL, n) for n in counts]
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    low, high = ORDERS[name]
    assert low < slope < high


def test_without_its_correction_the_linearisation_is_of_order_one(monkeypatch):
    method = next(m for m in METHODS if m.name == "local_linearisation")
    counts = (80, 160, 320)
    with_it = method.error(NORMAL, 80)
    monkeypatch.setattr(ou, "_phi2", torch.zeros_like)
    errors = [method.error(NORMAL, n) for n in counts]
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert 0.9 < slope < 1.1
    assert errors[0] > 5 * with_it


def test_the_linearised_step_is_exact_where_the_drift_is_linear():
    """A score -x, for ever: an Ornstein-Uhlenbeck process forwards again, but for time."""
    x, h = torch.tensor([[0.7, -1.2]], dtype=torch.float64), 0.3
    hessian = -torch.eye(2, dtype=torch.float64)[None]

    def step(z):
        return ou.local_linearisation(lambda x, t: -x, lambda x, t: hessian, x, 1.0, h, z)

    none, one = step(torch.zeros_like(x)), step(torch.ones_like(x))
    # J = -1/2, b = -x/2; M = -(s/2 + H b) = x/2 - x/2 = 0
    assert torch.allclose(none, x * math.exp(-h / 2))
    # Directions are those of eigenvectors: the spread is the same in all of them.
    spread = math.sqrt(-math.expm1(-h))
    assert torch.allclose((one - none).norm(), torch.tensor(spread * math.sqrt(2)).double())


def test_functions_of_small_numbers_are_smooth():
    v = torch.tensor([0.0, 1e-9, 9.9e-6, 1.1e-5, 9.9e-4, 1.01e-3, 0.5], dtype=torch.float64)
    exact = [math.fsum(x**k / math.factorial(k + 1) for k in range(20)) for x in v.tolist()]
    assert torch.allclose(ou._phi1(v), torch.tensor(exact, dtype=v.dtype), rtol=1e-10)
    exact = [math.fsum(x**k / math.factorial(k + 2) for k in range(20)) for x in v.tolist()]
    assert torch.allclose(ou._phi2(v), torch.tensor(exact, dtype=v.dtype), rtol=1e-9)


def test_the_midpoint_shares_its_noise():
    """What is drawn up to the midpoint is in the result, with the weight that it has there."""
    x = torch.zeros(1, dtype=torch.float64)
    one, none, h, u = torch.ones(1).double(), torch.zeros(1).double(), 0.2, 0.5
    moved = ou.randomised_midpoint(lambda x, t: 0 * x, x, 1.0, h, (one, none), u)
    assert torch.allclose(moved, math.sqrt(u * h) * (1 + h / 2) * one)
    moved = ou.randomised_exponential(lambda x, t: 0 * x, x, 1.0, h, (one, none), u)
    assert torch.allclose(moved, math.exp(h / 4) * math.sqrt(math.expm1(u * h)) * one)
