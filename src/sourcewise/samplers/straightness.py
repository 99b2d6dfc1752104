"""How straight the ways of a flow are, and how much that costs steps of Euler's method.

For `dZ/dt = v(Z, t)` from Z_0 at t = 0 to Z_1 at t = 1,

    S = integral of E|(Z_1 - Z_0) - v(Z_t, t)|^2 dt

is 0 if and only if every way is straight and of one speed, so that one step of Euler's method is
exact (Liu, Gong and Liu, "Flow straight and fast: learning to generate and transfer data with
rectified flow", 2023, equation 5). On intervals I_1, ..., I_T

    gamma_{2,T} = max_j 1/|I_j| integral over I_j of E|dv(Z_t, t)/dt|^2 dt,
    dv/dt = v_t + (v . grad) v   along the way,

is what the error of Euler's method with these T steps grows with, as sqrt(gamma) / T (arXiv
2410.14949). Of a flow between N(0, I) and N(m, I) on the linear path of `paths`, in d dimensions,
S is d (2 - pi/2) and, for T = 1, gamma is d (2 + 3 pi/4): its map is a translation, but its ways
change speed. Both are 0 after one rectification.

Ways are followed on a grid within each interval, and integrals are Simpson's. dv/dt is taken by
forward-mode differentiation, at twice the cost of v.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.samplers.odes import Velocity, alone, followed, rising_or_falling

__all__ = ["Straightness", "bends", "straightness"]


@dataclass(frozen=True)
class Straightness:
    """S and gamma of rows, whose means are those of the flow."""

    rows: Tensor  # (B,) S of each row
    change: Tensor  # (B, T) mean of |dv/dt|^2 over each interval

    @property
    def value(self) -> float:
        """S."""
        return float(self.rows.mean())

    @property
    def error(self) -> float:
        """Standard error of S by the rows."""
        return float(self.rows.std() / len(self.rows) ** 0.5)

    @property
    def gamma(self) -> float:
        """gamma_{2,T}; as the largest of T means it is too large by chance, where rows are few."""
        return float(self.change.mean(0).max())

    @property
    def gamma_error(self) -> float:
        """Standard error of the mean that is the largest."""
        largest = self.change[:, self.change.mean(0).argmax()]
        return float(largest.std() / len(largest) ** 0.5)


def straightness(
    velocity: Velocity, z: Tensor, grid: Tensor, parts: int = 8, method: str = "rk4"
) -> Straightness:
    """S and gamma_{2,T} of a flow that starts at rows z.

    >>> z = torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=torch.float64)
    >>> moved = straightness(lambda x, t: torch.ones_like(x), z, torch.linspace(0, 1, 3))
    >>> round(moved.value, 12), moved.gamma
    (0.0, 0.0)

    Args:
        velocity: v, which forward-mode differentiation can go through.
        z: (B, ...) rows at the first time.
        grid: (T + 1,) ends of the intervals, which rise or fall. Between other times than 0 and 1
            `Z_1 - Z_0` is divided by the time between them.
        parts: steps within an interval, even.
        method: a name of `odes.METHODS`.

    Raises:
        InputError: parts that are not even, or times that neither rise nor fall.
    """
    if parts < 2 or parts % 2:
        raise InputError(f"parts of an interval must be even and at least 2, not {parts}")
    grid = rising_or_falling(grid).double().to(z.device)
    times = _refined(grid, parts)
    ways, way = _ways(velocity, z, times, method)
    bent, change = [], []
    for x, t in zip(ways, times, strict=True):
        v, dv = _velocity_and_change(velocity, x, t)
        bent.append(_squared(way - v.double()))
        change.append(_squared(dv.double()))
    weights = _simpson(parts).to(z.device)
    S = _means(torch.stack(bent, 1), weights) @ grid.diff().abs()
    return Straightness(S, _means(torch.stack(change, 1), weights))


def bends(velocity: Velocity, z: Tensor, parts: int = 16, method: str = "heun") -> Tensor:
    """(B,) S of each row alone, of a flow from t = 0 to 1: nothing is differentiated.

    >>> z = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    >>> bends(lambda x, t: 2 * t * torch.ones_like(x), z)  # integral of (1 - 2 t)^2
    tensor([0.3333, 0.3333], dtype=torch.float64)

    Args:
        velocity: v.
        z: (B, ...) rows at t = 0.
        parts: steps, even.
        method: a name of `odes.METHODS`.
    """
    times = torch.linspace(0, 1, parts + 1, dtype=torch.float64, device=z.device)
    ways, way = _ways(velocity, z, times, method)
    bent = [_squared(way - velocity(x, t).double()) for x, t in zip(ways, times, strict=True)]
    return torch.stack(bent, 1) @ _simpson(parts).to(z.device)


def _ways(
    velocity: Velocity, z: Tensor, times: Tensor, method: str
) -> tuple[list[Tensor], Tensor]:
    """Rows at all times, and the mean velocity between the first and the last."""
    ways = [x for (x,) in followed(alone(velocity), (z,), times, method)]
    return ways, (ways[-1] - ways[0]).double() / (times[-1] - times[0])


def _refined(grid: Tensor, parts: int) -> Tensor:
    """(T parts + 1,) times, evenly within each interval."""
    share = torch.arange(parts, dtype=grid.dtype, device=grid.device) / parts
    inner = grid[:-1, None] + grid.diff()[:, None] * share
    return torch.cat([inner.flatten(), grid[-1:]])


def _velocity_and_change(velocity: Velocity, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """v and dv/dt along the way."""
    v = velocity(x, t)
    with warnings.catch_warnings():  # the first use makes torch warn of its own code
        warnings.filterwarnings("ignore", ".*torch.jit.script", DeprecationWarning)
        return v, torch.func.jvp(velocity, (x, t), (v, torch.ones_like(t)))[1]


def _squared(x: Tensor) -> Tensor:
    return x.flatten(1).square().sum(1)


def _simpson(parts: int) -> Tensor:
    """(parts + 1,) weights of a mean over an interval: 1, 4, 2, ..., 4, 1 over `3 parts`."""
    weights = torch.full((parts + 1,), 2.0, dtype=torch.float64)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights / (3 * parts)


def _means(values: Tensor, weights: Tensor) -> Tensor:
    """(B, T) means over intervals of values (B, T parts + 1)."""
    return values.unfold(1, len(weights), len(weights) - 1) @ weights
