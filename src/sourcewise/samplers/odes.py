"""Ordinary differential equations `dx/dt = v(x, t)`, from any time to any other.

A velocity v takes x, of any shape, and t, a tensor of one number. An explicit Runge-Kutta method
takes a step h from t by S slopes:

    k_i = v(x + h sum_j A_ij k_j, t + c_i h),   x <- x + h sum_i b_i k_i.

| method | order | evaluations per step | source |
|---|---|---|---|
| `euler` | 1 | 1 | |
| `midpoint` | 2 | 2 | Runge, 1895 |
| `heun` | 2 | 2 | Heun, 1900 |
| `rk4` | 4 | 4 | Kutta, 1901 |
| `adaptive` | 5 | as many as it needs | Dormand and Prince, 1980 |

With steps of -h for the way back, `euler` finds the start again with an error of order 1, and the
others of orders 3, 3 and 5: the first error of a method of even order cancels. (In models of flows
data are at t = 1, see `paths`; here t is any time.)
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.theory.checks import positive

__all__ = [
    "METHODS",
    "Method",
    "Slope",
    "Solution",
    "State",
    "Velocity",
    "adaptive",
    "alone",
    "arrived",
    "followed",
    "method_named",
    "rising_or_falling",
    "solve",
]

Velocity = Callable[[Tensor, Tensor], Tensor]  # x and t (one number) to v, the shape of x
State = tuple[Tensor, ...]  # tensors that move together
Slope = Callable[[State, Tensor], State]


@dataclass(frozen=True)
class Method:
    """An explicit Runge-Kutta method: c, b, and the rows of A."""

    order: int
    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    within: tuple[tuple[float, ...], ...]

    @property
    def evaluations(self) -> int:
        """Slopes of a step, S."""
        return len(self.nodes)

    def step(self, slope: Slope, state: State, t: Tensor, h: Tensor) -> State:
        """The state at t + h."""
        slopes: list[State] = []
        for c, row in zip(self.nodes, self.within, strict=True):
            slopes.append(slope(_moved(state, h, row, slopes), t + c * h))
        return _moved(state, h, self.weights, slopes)


METHODS = {
    "euler": Method(1, (0.0,), (1.0,), ((),)),
    "midpoint": Method(2, (0.0, 0.5), (0.0, 1.0), ((), (0.5,))),
    "heun": Method(2, (0.0, 1.0), (0.5, 0.5), ((), (1.0,))),
    "rk4": Method(
        4,
        (0.0, 0.5, 0.5, 1.0),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
        ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
    ),
}


@dataclass(frozen=True)
class Solution:
    """Where x went, and what it took."""

    x: Tensor
    evaluations: int  # of the velocity


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        InputError: there is none.
    """
    if name not in METHODS:
        raise InputError(f"method of a flow must be one of {', '.join(METHODS)}, not {name!r}")
    return METHODS[name]


def solve(velocity: Velocity, x: Tensor, grid: Tensor, method: str = "heun") -> Solution:
    """x at the last time of a grid, by one step from each time to the next.

    >>> x = torch.ones(1, dtype=torch.float64)
    >>> there = solve(lambda x, t: x, x, torch.linspace(0, 1, 11), "rk4")
    >>> round(float(there.x), 5), there.evaluations
    (2.71828, 40)

    Args:
        velocity: v.
        x: of any shape, at the first time.
        grid: (N + 1,) times, which rise or fall.
        method: a name of `METHODS`.

    Raises:
        InputError: no such method, or times that neither rise nor fall.
    """
    (end,) = arrived(alone(velocity), (x,), grid, method)
    return Solution(end, (len(grid) - 1) * METHODS[method].evaluations)


def followed(slope: Slope, state: State, grid: Tensor, method: str = "heun") -> Iterator[State]:
    """The states at all times of a grid, the first included; see `solve`."""
    own, times = method_named(method), rising_or_falling(grid).to(state[0].device)
    yield state
    for t, after in pairwise(times):
        state = own.step(slope, state, t, after - t)
        yield state


def arrived(slope: Slope, state: State, grid: Tensor, method: str = "heun") -> State:
    """The state at the last time of a grid; see `solve`."""
    return deque(followed(slope, state, grid, method), maxlen=1)[0]  # none before it is kept


def alone(velocity: Velocity) -> Slope:
    """The slope of a state of one tensor."""
    return lambda state, t: (velocity(state[0], t),)


def rising_or_falling(grid: Tensor) -> Tensor:
    """The times themselves, if they are.

    Raises:
        InputError: they are not, or are fewer than two.
    """
    steps = grid.diff() if grid.ndim == 1 else grid.new_zeros(0)
    if not len(steps) or not (bool((steps > 0).all()) or bool((steps < 0).all())):
        raise InputError("times of a flow must be at least two numbers that rise, or that fall")
    return grid


def adaptive(
    velocity: Velocity,
    x: Tensor,
    start: float,
    end: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Solution:
    """x at the end, by the method of Dormand and Prince, whose steps keep to a tolerance.

    Each step does, so that the error at the end may be some ten times as large. The steps are
    chosen for all rows of x together: a row comes out the same in another batch to within such an
    error only. Where draws must not depend on their batch, take `solve`.

    Args:
        velocity: v.
        x: of any shape, at the start.
        start: the first time.
        end: the last one, above or below.
        rtol: error of a step in proportion to x, above 0.
        atol: error of a step besides, above 0.

    Raises:
        InputError: torchdiffeq is not installed; tolerances that are not above 0, or that no step
            keeps to.
    """
    try:
        from torchdiffeq import odeint
    except ImportError:
        raise InputError(
            "adaptive steps need torchdiffeq: pip install 'sourcewise[flows]'"
        ) from None
    positive("rtol", rtol)
    positive("atol", atol)
    count = 0

    def counted(t: Tensor, x: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return velocity(x, t)

    times = torch.tensor([start, end], dtype=torch.float64, device=x.device)
    try:
        found = odeint(counted, x, times, rtol=rtol, atol=atol, method="dopri5")
    except AssertionError as error:  # its word for steps that shrink to nothing, and for NaN
        raise InputError(
            f"no step of the flow keeps to rtol={rtol:g}, atol={atol:g} ({error})"
        ) from None
    assert isinstance(found, Tensor)
    return Solution(found[-1], count)


def _moved(state: State, h: Tensor, weights: Sequence[float], slopes: Sequence[State]) -> State:
    """`x + h sum_j w_j k_j` of each tensor."""
    used = [(w, k) for w, k in zip(weights, slopes, strict=True) if w]
    if not used:
        return state
    return tuple(x + h * sum(w * k[i] for w, k in used) for i, x in enumerate(state))
