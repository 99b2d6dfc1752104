"""How far draws are from data, how straight ways are, and what Euler's steps cost beside a bound.

Of a field v and noise Z_0, with the exact way Z_t and the T steps E_{j+1} = E_j + v(E_j, j/T) / T,

    error^2 = E|E_T - Z_1|^2  <=  (((1 + L/T)^T - 1)/L)^2 gamma_{2,T} / (3 T^2)

(`theory.rectified.w2_of_steps`), where L is the largest slope that the steps meet,
`|v(E_j, t) - v(Z_j, t)| / |E_j - Z_j|`: all that the bound asks of the field. The error is that of
a coupling, and so never below W2 between the draws of T steps and those of the exact flow. It says
nothing of how far these are from data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sourcewise.metrics.energy_distance import contributions
from sourcewise.samplers.odes import Velocity, alone, followed
from sourcewise.samplers.straightness import straightness

__all__ = ["Apart", "Steps", "Ways", "apart", "euler", "wasserstein", "ways"]


@dataclass(frozen=True)
class Apart:
    """An energy distance, without bias, and its standard error by both samples."""

    value: float
    error: float


def apart(x: Tensor, draws: Tensor) -> Apart:
    """Of two samples (n, D) and (m, D)."""
    rows, columns = contributions(x, draws)
    error = math.sqrt(float(rows.var() / len(rows) + columns.var() / len(columns)))
    return Apart(float(rows.mean()), error)


def wasserstein(x: Tensor, y: Tensor) -> float:
    """W2 between two samples of n points each, (n, D), by the best pairs of all.

    Between samples of one law it is above 0, by chance.

    >>> wasserstein(torch.tensor([[0.0], [3.0]]), torch.tensor([[4.0], [0.0]]))
    0.7071067811865476
    """
    cost = torch.cdist(x, y).square().numpy()
    return math.sqrt(cost[linear_sum_assignment(cost)].mean())


@dataclass(frozen=True)
class Ways:
    """Exact ways of a field from noise."""

    places: Sequence[Tensor]  # (B, ...) at N + 1 times from 0 to 1
    S: float
    change: Tensor  # (N,) mean of |dv/dt|^2 over each interval

    def gamma(self, T: int) -> float:
        """gamma_{2,T}; T divides N."""
        return float(self.change.view(T, -1).mean(1).max())


def ways(velocity: Velocity, n: Tensor, intervals: int = 64) -> Ways:
    """From noise n (B, ...), by N steps of the classical Runge-Kutta method."""
    grid = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    places = [x for (x,) in followed(alone(velocity), (n,), grid, "rk4")]
    found = straightness(velocity, n, grid, parts=2)
    return Ways(places, found.value, found.change.mean(0))


@dataclass(frozen=True)
class Steps:
    """What T steps of Euler's method do."""

    error: float  # root of the mean square of what they end away from the exact way
    L: float  # largest slope of the field between the exact way and theirs; 0 for one step


def euler(velocity: Velocity, exact: Ways, T: int) -> Steps:
    """Along exact ways; T divides N."""
    x, L, each = exact.places[0], 0.0, len(exact.change) // T
    for j in range(T):
        t, on_way = torch.tensor(j / T, dtype=torch.float64), exact.places[j * each]
        v = velocity(x, t)
        if j:
            L = max(L, _slope(velocity(on_way, t) - v, on_way - x))
        x = x + v / T
    away = (x - exact.places[-1]).double().flatten(1)
    return Steps(float(away.square().sum(1).mean().sqrt()), L)


def _slope(rise: Tensor, run: Tensor) -> float:
    sizes = [v.double().flatten(1).norm(dim=1) for v in (rise, run)]
    return float((sizes[0] / sizes[1].clamp(min=1e-12)).max())
