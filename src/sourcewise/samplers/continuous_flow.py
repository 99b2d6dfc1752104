"""The density of rows that follow a velocity from data to normal noise.

Along `dx/dt = v(x, t)` the log density changes by minus the divergence (Chen et al., "Neural
ordinary differential equations", 2018, theorem 1), so that with data at t_0 and standard normal
noise at t_N

    log p(x) = log N(x_N; 0, 1) + integral from t_0 to t_N of div v dt,   x_0 = x.

Flows have data at t = 1 and noise at t = 0 (`paths`): their grid falls. p is exact for what the
flow draws, whatever v is. `flow_likelihood` is the same for a denoiser.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise
from sourcewise.samplers.odes import Slope, State, Velocity, arrived

__all__ = ["MOST_EXACT", "FlowDensity", "even_steps", "log_density", "transported"]

MOST_EXACT = 20  # entries of a row of which all derivatives are taken
HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class FlowDensity:
    """Log densities of rows, and how far they may be off."""

    value: Tensor  # (B,) float64 natural log
    error: Tensor  # (B,) standard error by the probes of the divergence; 0 where it is exact
    step: Tensor  # (B,) change of the value against half as many steps, at least 0
    entries: int  # numbers of a row, D
    exact: bool = True  # whether the divergence is

    @property
    def bits(self) -> Tensor:
        """(B,) `-value / (D log 2)`, bits per dimension."""
        return -self.value / (self.entries * math.log(2))


def log_density(
    velocity: Velocity,
    x: Tensor,
    grid: Tensor,
    *,
    probes: int = 0,
    noise: ExampleNoise | None = None,
    method: str = "rk4",
) -> FlowDensity:
    """`log p(x)`.

    Without probes the divergence is exact, by a derivative for each entry of a row. With M probes
    it is the mean of `v' J v` over M vectors of random signs, each the same at all times
    (Hutchinson, 1990): without bias, and with a standard error that is told. (Few probes of rows
    of few entries may agree by chance; their error is then too small.)

    >>> x = torch.zeros(1, 2, dtype=torch.float64)
    >>> found = log_density(lambda x, t: x, x, torch.linspace(1, 0, 17))  # draws are e n
    >>> round(float(found.value), 4)  # -log(2 pi) - 2
    -3.8379

    Args:
        velocity: v, which can be differentiated.
        x: (B, ...) rows, D entries each.
        grid: (N + 1,) times from data to noise, N even.
        probes: M, 0 (exact) or at least 2.
        noise: of the probes, for M > 0.
        method: a name of `odes.METHODS`.

    Raises:
        InputError: steps that are not even, one probe, probes without noise, or no probes for
            rows of more than `MOST_EXACT` entries.
    """
    D = math.prod(x.shape[1:])
    even_steps(len(grid) - 1)
    _check_probes(D, probes, noise)
    vectors = _axes(x) if noise is None or not probes else _signs(x, probes, noise)
    (end, each), (coarse, few) = (
        transported(velocity, x, times, vectors, method) for times in (grid, grid[::2])
    )
    weight = 1 / (probes or 1)
    value = _normal(end) + weight * each.sum(1)
    other = _normal(coarse) + weight * few.sum(1)
    error = each.std(1) / math.sqrt(probes) if probes else torch.zeros_like(value)
    return FlowDensity(value, error, (value - other).abs(), D, not probes)


def transported(
    velocity: Velocity, x: Tensor, grid: Tensor, vectors: Tensor, method: str = "rk4"
) -> tuple[Tensor, Tensor]:
    """Rows at the last time, and what the divergence comes to along their way.

    Args:
        velocity: v.
        x: (B, ...) rows at the first time.
        grid: (N + 1,) times.
        vectors: (V, B or 1, ...).
        method: a name of `odes.METHODS`.

    Returns:
        (B, ...) rows, and (B, V) float64 integrals of `v' (dv/dx) v`, v being each vector.
    """
    state = (x, torch.zeros(len(x), len(vectors), dtype=torch.float64, device=x.device))
    end, total = arrived(_with_divergence(velocity, vectors), state, grid, method)
    return end, total


def even_steps(steps: int) -> int:
    """The number of steps itself, if half of them is one too.

    Raises:
        InputError: it is not even, or below 2.
    """
    if steps < 2 or steps % 2:
        raise InputError(f"steps of a flow must be even and at least 2, not {steps}")
    return steps


def _check_probes(D: int, probes: int, noise: ExampleNoise | None) -> None:
    if probes == 1 or probes < 0 or (probes and noise is None):
        raise InputError(f"probes must be 0, or at least 2 with noise, not {probes}")
    if not probes and D > MOST_EXACT:
        raise InputError(
            f"rows of {D} entries: at most {MOST_EXACT} have an exact divergence; probes=8 or "
            "more estimate it"
        )


def _axes(x: Tensor) -> Tensor:
    """(D, 1, ...) unit vectors, whose `v' J v` sum to the trace of J."""
    D = math.prod(x.shape[1:])
    return torch.eye(D, dtype=x.dtype, device=x.device).view(D, 1, *x.shape[1:])


def _signs(x: Tensor, probes: int, noise: ExampleNoise) -> Tensor:
    """(M, B, ...) of 1 and -1."""
    drawn = [noise.of("probe", m).uniform(*x.shape[1:]) for m in range(probes)]
    return torch.stack([torch.where(u < 0.5, -1.0, 1.0) for u in drawn]).to(x)


def _normal(x: Tensor) -> Tensor:
    """(B,) float64 `log N(x; 0, 1)`."""
    squares = x.double().square().flatten(1)
    return -0.5 * squares.sum(1) - squares.shape[1] * HALF_LOG_2_PI


def _with_divergence(velocity: Velocity, vectors: Tensor) -> Slope:
    """The slope of rows and of their integrals (B, V)."""

    def slope(state: State, t: Tensor) -> State:
        with torch.enable_grad():
            x = state[0].detach().requires_grad_()
            v = velocity(x, t)
            found = []
            for i, vector in enumerate(vectors):
                (row,) = torch.autograd.grad(
                    (v * vector).sum(), x, retain_graph=i + 1 < len(vectors)
                )
                found.append((row * vector).flatten(1).sum(1).double())
        return v.detach(), torch.stack(found, 1)

    return slope
