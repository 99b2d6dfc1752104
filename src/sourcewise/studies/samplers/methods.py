"""Every sampler, and what it makes of the study's truths in a number of steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from sourcewise.samplers import denoising, discrete_steps, ornstein_uhlenbeck
from sourcewise.samplers.levels import power_levels, slow_schedule
from sourcewise.studies.samplers.densities import CELLS, WAVES, Density
from sourcewise.studies.samplers.laws import POINTS, Drawn, Line, Moments, Step, of_map

__all__ = ["METHODS", "Method"]

LOW, HIGH = 0.01, 20.0  # noise levels between which denoisers are followed
CHURN = 4.0  # of all steps together
TIME = 6.0  # of the Ornstein-Uhlenbeck process
NOISE = Line.of((1.0, 0.0, 1.0))  # what chains start from


@dataclass(frozen=True)
class Method:
    """A sampler in the study.

    Args:
        name: of the sampler.
        process: the noise that it undoes.
        evaluations: of the score (or denoiser, or Hessian) per step.
        distance: in which its error is: "W2", or "TV".
        error: of a truth and a number of steps.
        drawn: what its steps draw beside one normal number, where laws go through them; None
            where the whole sampler is one map.
    """

    name: str
    process: str
    evaluations: int
    distance: str
    error: Callable[[Line, int], float]
    drawn: Drawn | None = None

    def cost(self, truth: Line) -> float:
        """Of a step, in numbers that are computed."""
        if self.drawn is None or _by_moments(truth, self.drawn):
            return POINTS
        return len(self.drawn.nodes()) * CELLS * WAVES


def _by_moments(truth: Line, drawn: Drawn) -> bool:
    """Whether laws stay normal: a step's place in between, if drawn, makes mixtures of them."""
    return len(truth.weight) == 1 and not drawn.uniform


def _law(start: Line, truth: Line, drawn: Drawn) -> Moments | Density:
    """How a law is followed through steps."""
    return Moments.of(start) if _by_moments(truth, drawn) else Density.of(start)


def _flow(solver: Callable[..., Tensor], truth: Line, steps: int) -> float:
    """The map of a solver without draws, from the exact law at the highest level."""
    levels = power_levels(steps + 1, LOW, HIGH)[:-1]
    start, end = truth.noisy(1.0, HIGH**2), truth.noisy(1.0, LOW**2)
    return of_map(lambda z: solver(truth.denoise, z, levels), start, end)


def _churned(truth: Line, steps: int) -> float:
    """Noise at every level, then Heun's map to the next."""
    levels = power_levels(steps + 1, LOW, HIGH)[:-1]
    law = _law(truth.noisy(1.0, HIGH**2), truth, Drawn())
    share = denoising.churned_share(CHURN, steps)
    for sigma, after in pairwise(levels):
        raised = denoising.raised(sigma, share)
        pair = torch.stack([raised, after])

        def step(x: Tensor, z: tuple[Tensor, Tensor], u: float, pair: Tensor = pair) -> Tensor:
            return denoising.heun(truth.denoise, x, pair)

        law = law.noisy(float(raised**2 - sigma**2))
        law = law.through(step, Drawn(), truth.noisy(1.0, float(after) ** 2))
    return law.wasserstein(truth.noisy(1.0, LOW**2))


def _backwards(
    step_of: Callable[[Line, float, float], Step], drawn: Drawn, truth: Line, steps: int
) -> float:
    """A stochastic step of the Ornstein-Uhlenbeck process, from the exact law at its end."""
    h = TIME / steps
    law = _law(_at(truth, TIME), truth, drawn)
    for t in (TIME - k * h for k in range(steps)):
        law = law.through(step_of(truth, t, h), drawn, _at(truth, t - h))
    return law.wasserstein(truth)


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


@dataclass(frozen=True)
class _Chain:
    """A truth through T steps of noise.

    Args:
        alpha: alpha_1, ..., alpha_T.
        laws: of X_1, ..., X_T.
    """

    alpha: list[float]
    laws: list[Line]

    @classmethod
    def of(cls, truth: Line, steps: int) -> "_Chain":
        """With the schedule of the theory."""
        alpha = slow_schedule(steps)
        laws = [truth.noisy(math.sqrt(a), 1 - a) for a in alpha.cumprod(0).tolist()]
        return cls(alpha.tolist(), laws)

    def score(self, x: Tensor, t: int) -> Tensor:
        """s_t(x)."""
        return self.laws[t - 1].score(x)

    def step(self, name: str, t: int) -> Step:
        """From Y_t to Y_{t-1}; the first draw of `accelerated_ddpm` is in the law already."""
        a, after = self.alpha[t - 1], self.alpha[t] if t < len(self.alpha) else None

        def step(x: Tensor, z: tuple[Tensor, Tensor], u: float) -> Tensor:
            if name == "ddpm":
                return discrete_steps.ddpm(self.score, x, t, a, z[1])
            if name == "accelerated_ddpm":
                draws = torch.zeros_like(x), z[1]
                return discrete_steps.accelerated_ddpm(self.score, x, t, a, draws)
            if name == "probability_flow":
                return discrete_steps.probability_flow(self.score, x, t, a)
            return discrete_steps.accelerated_flow(self.score, x, t, a, after)

        return step


def _chained(name: str, truth: Line, steps: int) -> float:
    """TV between Y_1 and X_1 of a chain of T steps, from Y_T standard normal."""
    chain = _Chain.of(truth, steps)
    law = _law(NOISE, truth, Drawn())
    for t in range(steps, 1, -1):
        if name == "accelerated_ddpm":
            law = law.noisy((1 - chain.alpha[t - 1]) / 2)
        law = law.through(chain.step(name, t), Drawn(), chain.laws[t - 2])
    return law.total_variation(chain.laws[0])


def _ou(name: str, evaluations: int, midpoint: bool = False) -> Method:
    drawn, kernel = Drawn(midpoint, midpoint), getattr(ornstein_uhlenbeck, name)
    step_of = partial(_scored, kernel, not midpoint)
    if name == "local_linearisation":
        step_of = _linearised
    error = partial(_backwards, step_of, drawn)
    return Method(name, "Ornstein-Uhlenbeck", evaluations, "W2", error, drawn)


def _of_chain(name: str, evaluations: int) -> Method:
    return Method(name, "chain", evaluations, "TV", partial(_chained, name), Drawn())


METHODS = (
    Method("euler", "noise levels", 1, "W2", partial(_flow, denoising.euler)),
    Method("heun", "noise levels", 2, "W2", partial(_flow, denoising.heun)),
    Method("churn", "noise levels", 2, "W2", _churned, Drawn()),
    Method("dpm_solver", "noise levels", 1, "W2", partial(_flow, denoising.dpm_solver)),
    _ou("euler_maruyama", 1),
    _ou("exponential_integrator", 1),
    _ou("randomised_midpoint", 2, midpoint=True),
    _ou("randomised_exponential", 2, midpoint=True),
    _ou("local_linearisation", 2),
    _of_chain("ddpm", 1),
    _of_chain("probability_flow", 1),
    _of_chain("accelerated_flow", 2),
    _of_chain("accelerated_ddpm", 1),
)
