"""Every sampler, and what it makes of the study's truths in a number of steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sourcewise.samplers import denoising, discrete_steps, ornstein_uhlenbeck
from sourcewise.samplers.levels import power_levels, slow_schedule
from sourcewise.studies.samplers.laws import (
    POINTS,
    Drawn,
    Line,
    Moments,
    Step,
    kernel_step,
    moment_step,
    of_density,
    of_map,
)

__all__ = ["METHODS", "Method"]

LOW, HIGH = 0.01, 20.0  # noise levels between which denoisers are followed
CHURN = 4.0  # of all steps together
TIME = 6.0  # of the Ornstein-Uhlenbeck process
REACH, CELLS = 6.5, 401  # the grid of densities


@dataclass(frozen=True)
class Method:
    """A sampler in the study.

    Args:
        name: of the sampler.
        process: the noise that it undoes.
        evaluations: of the score (or denoiser, or Hessian) per step.
        distance: in which its error is: "W2", or "TV".
        error: of a truth and a number of steps.
        mixtures: whether it is computed for mixtures, and not for one normal law alone.
        drawn: what its steps draw beside one normal number, where densities go through them.
    """

    name: str
    process: str
    evaluations: int
    distance: str
    error: Callable[[Line, int], float]
    mixtures: bool = True
    drawn: Drawn | None = None

    def cost(self, truth: Line) -> float:
        """Of a step, in numbers that are computed."""
        if self.drawn is None or _normal(truth):
            return POINTS
        return len(self.drawn.nodes()) * CELLS**2


def _normal(truth: Line) -> bool:
    return len(truth.weight) == 1


def _flow(solver: Callable[..., Tensor], truth: Line, steps: int) -> float:
    """The map of a solver without draws, from the exact law at the highest level."""
    levels = power_levels(steps + 1, LOW, HIGH)[:-1]
    start, end = truth.noisy(1.0, HIGH**2), truth.noisy(1.0, LOW**2)
    return of_map(lambda z: solver(truth.denoise, z, levels), start, end)[0]


def _churned(truth: Line, steps: int) -> float:
    """Of a normal law: every step is linear in z and in its draw."""
    levels = power_levels(steps + 1, LOW, HIGH)[:-1]
    law = _moments(truth.noisy(1.0, HIGH**2))
    for i in range(steps):

        def step(x: Tensor, z: tuple[Tensor, Tensor], u: float, i: int = i) -> Tensor:
            def normal(_: int) -> Tensor:
                return z[1]

            # One of N steps: the amount is that of all together.
            pair, amount = levels[i : i + 2], CHURN / steps
            return denoising.churn(truth.denoise, x, pair, normal, amount, spread=1.0)

        law = moment_step(step, Drawn(), law)
    return law.wasserstein(_moments(truth.noisy(1.0, LOW**2)))


def _moments(truth: Line) -> Moments:
    mean, spread = truth.moments
    return Moments(mean, spread**2)


def _backwards(
    step_of: Callable[[Line, float, float], Step], drawn: Drawn, truth: Line, steps: int
) -> float:
    """A stochastic step of the Ornstein-Uhlenbeck process, from the exact law at its end."""
    h, start = TIME / steps, _at(truth, TIME)
    times = [TIME - k * h for k in range(steps)]
    if _normal(truth):
        law = _moments(start)
        for t in times:
            law = moment_step(step_of(truth, t, h), drawn, law)
        return law.wasserstein(_moments(truth))
    x = torch.linspace(-REACH, REACH, CELLS, dtype=torch.float64)
    p = start.density(x)
    for t in times:
        p = kernel_step(step_of(truth, t, h), drawn, x, p)
    return of_density(x, p, truth)


def _at(truth: Line, t: float) -> Line:
    """The law of X_t."""
    return truth.noisy(math.exp(-t / 2), -math.expm1(-t))


def _scored(kernel: Callable[..., Tensor], one: bool, truth: Line, t: float, h: float) -> Step:
    def score(x: Tensor, at: float) -> Tensor:
        return _at(truth, at).score(x)

    def step(x: Tensor, z: tuple[Tensor, Tensor], u: float) -> Tensor:
        return kernel(score, x, t, h, z[1]) if one else kernel(score, x, t, h, z, u)

    return step


def _linearised(truth: Line, t: float, h: float) -> Step:
    def score(x: Tensor, at: float) -> Tensor:
        return _at(truth, at).score(x[..., 0])[..., None]

    def hessian(x: Tensor, at: float) -> Tensor:
        return _at(truth, at).curvature(x[..., 0])[..., None, None]

    def step(x: Tensor, z: tuple[Tensor, Tensor], u: float) -> Tensor:
        args = x[..., None], t, h, z[1][..., None]
        return ornstein_uhlenbeck.local_linearisation(score, hessian, *args)[..., 0]

    return step


def _chain(name: str, truth: Line, steps: int) -> float:
    """TV between Y_1 and X_1 of a chain of T steps, from Y_T standard normal.

    Where steps draw, the truth is one normal law.
    """
    alpha = slow_schedule(steps).tolist()
    abar = torch.tensor(alpha, dtype=torch.float64).cumprod(0).tolist()
    laws = [truth.noisy(math.sqrt(a), 1 - a) for a in abar]

    def score(x: Tensor, t: int) -> Tensor:
        return laws[t - 1].score(x)

    def flow(y: Tensor) -> Tensor:
        for t in range(steps, 1, -1):
            if name == "probability_flow":
                y = discrete_steps.probability_flow(score, y, t, alpha[t - 1])
            else:
                after = alpha[t] if t < steps else None
                y = discrete_steps.accelerated_flow(score, y, t, alpha[t - 1], after)
        return y

    if name in ("probability_flow", "accelerated_flow"):
        return of_map(flow, Line.of((1.0, 0.0, 1.0)), laws[0])[1]
    law = Moments(0.0, 1.0)
    for t in range(steps, 1, -1):

        def step(x: Tensor, z: tuple[Tensor, Tensor], u: float, t: int = t) -> Tensor:
            if name == "ddpm":
                return discrete_steps.ddpm(score, x, t, alpha[t - 1], z[1])
            return discrete_steps.accelerated_ddpm(score, x, t, alpha[t - 1], z)

        law = moment_step(step, Drawn(), law)
    return law.total_variation(_moments(laws[0]))


def _ou(name: str, evaluations: int, midpoint: bool = False) -> Method:
    drawn, kernel = Drawn(midpoint, midpoint), getattr(ornstein_uhlenbeck, name)
    step_of = partial(_scored, kernel, not midpoint)
    if name == "local_linearisation":
        step_of = _linearised
    error = partial(_backwards, step_of, drawn)
    return Method(name, "Ornstein-Uhlenbeck", evaluations, "W2", error, drawn=drawn)


def _of_chain(name: str, evaluations: int, mixtures: bool) -> Method:
    return Method(name, "chain", evaluations, "TV", partial(_chain, name), mixtures)


METHODS = (
    Method("euler", "noise levels", 1, "W2", partial(_flow, denoising.euler)),
    Method("heun", "noise levels", 2, "W2", partial(_flow, denoising.heun)),
    Method("churn", "noise levels", 2, "W2", _churned, mixtures=False),
    Method("dpm_solver", "noise levels", 1, "W2", partial(_flow, denoising.dpm_solver)),
    _ou("euler_maruyama", 1),
    _ou("exponential_integrator", 1),
    _ou("randomised_midpoint", 2, midpoint=True),
    _ou("randomised_exponential", 2, midpoint=True),
    _ou("local_linearisation", 2),
    _of_chain("ddpm", 1, mixtures=False),
    _of_chain("probability_flow", 1, mixtures=True),
    _of_chain("accelerated_flow", 2, mixtures=True),
    _of_chain("accelerated_ddpm", 1, mixtures=False),
)
