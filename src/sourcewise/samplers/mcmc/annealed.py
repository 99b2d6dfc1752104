"""Log-normalisers by annealed importance sampling, with intervals that know their direction.

From a density q on the box to `exp(-u)`, along the geometric path of temperatures
`0 = t_0 < ... < t_T = 1`,

    u_t(x) = -(1 - t) log q(x) + t u(x),     x_0 ~ q,     x_j from x_(j-1) by a kernel for u_(t_j),
    log w = sum_j (t_j - t_(j-1)) (-u(x_(j-1)) - log q(x_(j-1))),     E w = Z

(Neal, "Annealed importance sampling", 2001, equations 3 to 12). The kernel is MALA or Hamiltonian
Monte Carlo. A quarter of the starts is spent on a pilot that finds a step and a scale for each
temperature; the others run with these, frozen, so that their weights are independent and E w = Z.

**Intervals.** The estimate is `log mean w`, and `E log mean w <= log Z` (Jensen): it is too low in
expectation, hence log-densities `-u - log Z` too high. With c the coefficient of variation of w,
C weights, `s = c / sqrt(C)` (the delta method), and `n = (sum w)^2 / sum w^2` effective weights:

- low: `log mean w - min(a s, log 40)`, a the 97.5 % quantile of t with `n - 1` degrees of freedom
  (few weights that count say little about s). The estimate exceeds log Z by log 40 in at most one
  run of 40, whatever the weights (Markov's inequality), so no interval needs to reach lower.
- high: the larger of `log mean w + a s + (1 + a^2) s^2 / 2`, to second order the Z of which the
  estimate falls short by a standard errors (`-log(1 - a s)`) and the bias `s^2 / 2`, and Cox's
  limit for log-normal weights, `m + v/2 + a' sqrt(v/C + v^2 / (2 (C - 1)))`, m and v the mean and
  variance of log w, a' the quantile of t with `C - 1` degrees of freedom (Zhou and Gao,
  "Confidence intervals for the log-normal mean", 1997). Sums over many temperatures are nearly
  normal (Neal 2001, section 4), and where v is large the mean of the weights misses their tail
  but v does not. Log weights further below the median than any is above it are moved up to that
  distance before m and v are taken: stuck chains add nothing to Z.

No interval knows of a part of the box that carries mass and that no chain has found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.mcmc.chains import move
from sourcewise.samplers.mcmc.hamiltonian import Energy, State
from sourcewise.samplers.mcmc.warmup import UNIFORM, Moments, adapted, target_acceptance

__all__ = ["LogNormaliser", "annealed", "log_mean"]

RATE = 0.5  # of the pilot's steps
SETTLING = 12  # transitions of the pilot before its first temperature
FEWEST = 16  # starts
LARGEST = np.log(40)  # Markov's inequality at 2.5 %


@dataclass(frozen=True)
class LogNormaliser:
    """Estimates of log Z, one per group.

    Args:
        value: (...) log mean w, float64.
        standard_error: (...) of the value, by the delta method.
        low: (...) lower end of the 95 % interval.
        high: (...) upper end.
        effective: (...) number of weights that count, in [1, C].
        method: the estimator and the direction of its bias, in words.
    """

    value: Tensor
    standard_error: Tensor
    low: Tensor
    high: Tensor
    effective: Tensor
    method: str


class _Settled(NamedTuple):
    """Step and scale of one temperature."""

    step: Tensor
    scale: Tensor


def annealed(
    energy: Energy,
    base_log_prob: Callable[[Tensor], Tensor],
    x0: Tensor,
    *,
    noise: Noise,
    temperatures: int | Tensor = 64,
    leapfrog: int = 4,
) -> LogNormaliser:
    """`log Z = log of the integral of exp(-u) over the box`, for each group of starts.

    >>> x0 = Noise(0).uniform(64, 1)
    >>> flat = lambda x: 0 * x.sum(-1)
    >>> found = annealed(lambda x: 2 + flat(x), flat, x0, noise=Noise(1), temperatures=4)
    >>> round(float(found.value), 12), float(found.standard_error) < 1e-9
    (-2.0, True)

    Args:
        energy: u, maps (..., C, D) to (..., C).
        base_log_prob: log q, likewise; normalised, positive on the whole box.
        x0: (..., C, D) draws of q, C >= 16; the first quarter goes to the pilot.
        noise: which draws.
        temperatures: T, evenly spaced, or t_0, ..., t_T themselves, rising from 0 to 1.
        leapfrog: most leapfrog steps of a transition; 1 is MALA.

    Raises:
        InputError: too few starts, wrong temperatures, or a group none of whose starts has a
            finite energy.
    """
    chains, path = x0.shape[-2], _path(temperatures)
    if chains < FEWEST:
        raise InputError(f"annealing needs at least {FEWEST} starts per group, got {chains}")
    pilot, x = x0[..., : chains // 4, :], x0[..., chains // 4 :, :]
    settled = _pilot(energy, base_log_prob, pilot, path, leapfrog, noise.of("pilot"))
    log_w = torch.zeros(x.shape[:-1], dtype=torch.float64, device=x.device)
    for j, (t, change) in enumerate(zip(path, np.diff(path, prepend=0), strict=True)):
        base, target = State.at(lambda x: -base_log_prob(x), x), State.at(energy, x)
        log_w += change * (base.u - target.u).double()
        if t < 1:
            u_t, (step, scale) = _between(energy, base_log_prob, t), settled[j]
            mixed = State(base.x, base.u.lerp(target.u, t), base.grad.lerp(target.grad, t))
            x = move(
                u_t, mixed, noise=noise.of("run", j), step=step, scale=scale, leapfrog=leapfrog
            )[0].x
    return log_mean(
        log_w.nan_to_num(nan=-torch.inf),
        f"annealed importance sampling, {len(path)} temperatures, {x.shape[-2]} chains; "
        "too low in expectation",
    )


def log_mean(
    log_w: Tensor, method: str = "importance sampling; too low in expectation"
) -> LogNormaliser:
    """`log mean w` of independent weights with its interval; see the module.

    >>> found = log_mean(torch.tensor([0.0, 1.0]).log().repeat(50))
    >>> [round(float(v), 3) for v in (found.value, found.standard_error, found.effective)]
    [-0.693, 0.101, 50.0]

    Args:
        log_w: (..., C) logs of weights, C >= 2; -inf for weights of 0.
        method: how they were drawn.

    Raises:
        InputError: a group all of whose weights are 0.
    """
    log_w = log_w.detach().double()
    C, top = log_w.shape[-1], log_w.amax(-1, keepdim=True)
    if not bool(top.isfinite().all()):
        raise InputError("the energy is finite at none of the starts of a group")
    w = (log_w - top).exp()
    mean = w.mean(-1)
    value = mean.log() + top.squeeze(-1)
    s = w.std(-1) / mean / C**0.5
    effective = w.sum(-1).square() / w.square().sum(-1)
    a = _quantile((effective - 1).clamp(min=2))
    high = value + a * s + (1 + a**2) * s**2 / 2
    return LogNormaliser(
        value=value,
        standard_error=s,
        low=value - (a * s).clamp(max=LARGEST),
        high=torch.maximum(high, _cox(log_w)),
        effective=effective,
        method=method,
    )


def _cox(log_w: Tensor) -> Tensor:
    """(...) Cox's upper limit for the log of the mean of log-normal weights."""
    C, top = log_w.shape[-1], log_w.amax(-1, keepdim=True)
    middle = log_w.quantile(0.5, -1, keepdim=True, interpolation="higher")
    log_w = log_w.maximum(2 * middle.maximum(top - 1e6) - top)
    v = log_w.var(-1)
    a = _quantile(torch.full_like(v, C - 1))
    return log_w.mean(-1) + v / 2 + a * (v / C + v**2 / (2 * (C - 1))).sqrt()


def _quantile(freedom: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(stdtrit(freedom.cpu().numpy(), 0.975))).to(freedom)


def _path(temperatures: int | Tensor) -> list[float]:
    """t_1, ..., t_T."""
    if isinstance(temperatures, int):
        if temperatures < 1:
            raise InputError(f"annealing needs at least 1 temperature, got {temperatures}")
        return [(j + 1) / temperatures for j in range(temperatures)]
    path = temperatures.double()
    rises = path.ndim == 1 and len(path) > 1 and bool((path.diff() > 0).all())
    if not rises or path[0] != 0 or path[-1] != 1:
        raise InputError("temperatures must rise from 0 to 1")
    return path[1:].tolist()


def _between(energy: Energy, log_q: Energy, t: float) -> Energy:
    """u_t"""
    return lambda x: (-log_q(x)).lerp(energy(x), t)


def _pilot(
    energy: Energy, log_q: Energy, x: Tensor, path: list[float], leapfrog: int, noise: Noise
) -> list[_Settled]:
    """Steps and scales of t_1, ..., t_(T-1), by chains that adapt as they go."""
    target, D = target_acceptance(leapfrog), x.shape[-1]
    log_step, settled = x.new_full((*x.shape[:-2], 1), D**-0.25).log(), []
    for j, t in enumerate(path[:-1]):
        u_t = _between(energy, log_q, t)
        moments = Moments()
        moments.add(x)
        scale = moments.spread.to(x).clamp(max=UNIFORM)
        for i in range(SETTLING if j == 0 else 1):
            state, step, key = State.at(u_t, x), log_step.exp(), noise.of(j, i)
            state, accept = move(u_t, state, noise=key, step=step, scale=scale, leapfrog=leapfrog)
            log_step = adapted(log_step, accept.mean(-1, keepdim=True), target, RATE)
            x = state.x
        settled.append(_Settled(log_step.exp(), scale))
    return settled
