"""Warm-up: a step that is accepted as often as it should be, and the scale of each coordinate.

Dual averaging (Hoffman and Gelman, "The No-U-Turn sampler", 2014, equation 6) with the mean
acceptance a_t of a group's chains and its target a:

    E_t = (1 - 1/(t + t_0)) E_(t-1) + (a - a_t) / (t + t_0),
    log e_t = mu - sqrt(t) E_t / g,     log e <- t^-k log e_t + (1 - t^-k) log e,

t_0 = 10, g = .05, k = .75, mu the log of ten times the first step. Chains of several windows, each
as long as all before it, give the scale: the standard deviation of each coordinate over the chains
and transitions of the window before. After warm-up both are frozen.

Training that never ends its warm-up (persistent chains) takes `adapted`, the plain recursion of
Robbins and Monro (1951), whose state is one tensor.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.chains import Tuning, move
from sourcewise.samplers.mcmc.hamiltonian import Energy, State

__all__ = ["DualAveraging", "Moments", "adapted", "target_acceptance", "warm_up"]

DELAY, SHRINKAGE, DECAY = 10, 0.05, 0.75  # t_0, g, k
LOWEST, HIGHEST = 1e-6, 10.0  # of a step, in units of the scale: a flat energy accepts any step
SMALLEST = 1e-4  # of a scale
UNIFORM = 1 / math.sqrt(12)  # standard deviation of a coordinate before anything is known
WINDOWS = 4


def target_acceptance(leapfrog: int) -> float:
    """The best acceptance in high dimension: .574 of MALA, .8 of longer paths, which is safer.

    Roberts and Rosenthal (1998); Hoffman and Gelman (2014).
    """
    return 0.574 if leapfrog == 1 else 0.8


def adapted(log_step: Tensor, accept: Tensor, target: float, rate: float) -> Tensor:
    """`log e + rate (a_t - a)`, within bounds.

    >>> adapted(torch.zeros(2), torch.tensor([1.0, 0.5]), target=0.5, rate=0.1)
    tensor([0.0500, 0.0000])

    Args:
        log_step: log e, of any shape.
        accept: a_t in [0, 1], of the same shape.
        target: a in (0, 1).
        rate: > 0; falling as 1/t to 1/sqrt(t) to converge, constant to follow a moving target.
    """
    moved = log_step + rate * (accept - target)
    return moved.clamp(math.log(LOWEST), math.log(HIGHEST))


@dataclass(frozen=True)
class DualAveraging:
    """The state of dual averaging; any shape, the same for all tensors.

    Args:
        centre: mu.
        error: E_t.
        log_step: log e_t, to be used next.
        average: log e, to be used in the end.
        t: updates so far.
    """

    centre: Tensor
    error: Tensor
    log_step: Tensor
    average: Tensor
    t: int = 0

    @staticmethod
    def start(step: Tensor) -> "DualAveraging":
        """Begin at a step e > 0."""
        log_step = step.log()
        return DualAveraging(log_step + math.log(10), torch.zeros_like(step), log_step, log_step)

    def update(self, accept: Tensor, target: float) -> "DualAveraging":
        """The next state, from mean acceptances in [0, 1] and their target in (0, 1)."""
        t = self.t + 1
        error = torch.lerp(self.error, target - accept, 1 / (t + DELAY))
        log_step = self.centre - math.sqrt(t) / SHRINKAGE * error
        log_step = log_step.clamp(math.log(LOWEST), math.log(HIGHEST))
        average = torch.lerp(self.average, log_step, t**-DECAY)
        return DualAveraging(self.centre, error, log_step, average, t)


class Moments:
    """Running standard deviations of the coordinates, over chains and transitions.

    >>> moments = Moments()
    >>> for x in (0.1, 0.3, 0.8):
    ...     moments.add(torch.tensor([[x], [x]]))
    >>> round(float(moments.spread), 4)  # standard deviation of .1, .1, .3, .3, .8, .8
    0.3225
    """

    def __init__(self):
        self.count, self.total, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, x: Tensor) -> None:
        """Take in x (..., C, D); sums are in float64, about the middle of the box."""
        centred = x.double() - 0.5
        self.count += x.shape[-2]
        self.total = self.total + centred.sum(-2, keepdim=True)
        self.squares = self.squares + centred.square().sum(-2, keepdim=True)

    @property
    def spread(self) -> Tensor:
        """(..., 1, D) float64, at least `SMALLEST`."""
        about = self.squares - self.total.square() / self.count
        return (about / max(self.count - 1, 1)).clamp(min=SMALLEST**2).sqrt()


def warm_up(
    energy: Energy,
    x: Tensor,
    *,
    noise: Noise,
    iterations: int,
    target: float | None = None,
    leapfrog: int = 1,
    scale: Tensor | None = None,
) -> tuple[Tensor, Tuning]:
    """Move the chains towards the target and settle their step and scale.

    Args:
        energy: u, maps (..., C, D) to (..., C).
        x: (..., C, D) starts, in the box; the last chain axis C is the group.
        noise: which draws.
        iterations: transitions, >= 16.
        target: a in (0, 1); by `target_acceptance` if None.
        leapfrog: most leapfrog steps of a transition; 1 is MALA.
        scale: (..., 1, D) if it is known; from the chains if None.

    Returns:
        (..., C, D) where the chains are; the tuning.

    Raises:
        InputError: too few iterations, or a target out of range.
    """
    if iterations < 16:
        raise InputError(f"warm-up needs at least 16 iterations, got {iterations}")
    target = target_acceptance(leapfrog) if target is None else target
    if not 0 < target < 1:
        raise InputError(f"target acceptance must be above 0 and below 1, got {target}")
    group, D = x.shape[:-2], x.shape[-1]
    step, known = x.new_full((*group, 1), D**-0.25), scale is not None
    scale = x.new_full((*group, 1, D), UNIFORM) if scale is None else scale.to(x)
    tuning, state = Tuning(step, scale, x.new_zeros(group)), State.at(energy, x)
    for number, length in enumerate(windows := _windows(iterations)):
        key = noise.of(number)
        state, tuning, found = _window(energy, state, tuning, key, length, target, leapfrog)
        if not known and number < len(windows) - 1:
            tuning = _rescaled(tuning, found)
    return state.x, tuning


def _window(
    energy: Energy,
    state: State,
    tuning: Tuning,
    noise: Noise,
    length: int,
    target: float,
    leapfrog: int,
) -> tuple[State, Tuning, Tensor]:
    """Chains after one window, its step, and the spread (..., 1, D) of its states."""
    rule, accepted, moments = DualAveraging.start(tuning.step), 0.0, Moments()
    for t in range(length):
        key, step = noise.of(t), rule.log_step.exp()
        state, accept = move(
            energy, state, noise=key, step=step, scale=tuning.scale, leapfrog=leapfrog
        )
        mean = accept.mean(-1, keepdim=True)
        rule, accepted = rule.update(mean, target), accepted + mean.squeeze(-1) / length
        moments.add(state.x)
    step = rule.average.exp().clamp(LOWEST, HIGHEST)
    settled = replace(tuning, step=step, acceptance=torch.as_tensor(accepted))
    return state, settled, moments.spread.to(state.x)


def _rescaled(tuning: Tuning, scale: Tensor) -> Tuning:
    """The new scale, with steps in its units whose typical length stays."""
    step = tuning.step * (tuning.scale / scale).log().mean(-1).exp()
    return replace(tuning, step=step.clamp(LOWEST, HIGHEST), scale=scale)


def _windows(iterations: int) -> list[int]:
    """Lengths that sum to the iterations: an eighth, an eighth, a quarter, a half."""
    ends = [iterations >> shift for shift in range(WINDOWS - 1, -1, -1)]
    return [b - a for a, b in zip([0, *ends[:-1]], ends, strict=True)]
