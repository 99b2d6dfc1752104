"""From noise to data by a denoiser, from noise level to noise level.

A denoiser is `D(z, sigma) ~ E[x | z]` for `z = x + sigma n`. The score of z is then
`(D - z) / sigma^2`, and the probability flow is the differential equation

    dz / dsigma = (z - D(z, sigma)) / sigma

(Karras et al., "Elucidating the design space of diffusion-based generative models", 2022, equation
4). It takes z at the highest level, where it is nearly normal, to an example at sigma = 0. Every
function here takes z through the given levels, which fall; the last may be 0.

| function | order | evaluations per step | draws |
|---|---|---|---|
| `euler` | 1 | 1 | none |
| `heun` | 2 | 2 | none |
| `churn` | 2 in what is not random | 2 | one per step |
| `dpm_solver` | 2 | 1 | none |

Levels may be tensors of one number; z has any shape.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

__all__ = [
    "Denoiser",
    "Normal",
    "churn",
    "churned_share",
    "dpm_solver",
    "euler",
    "guided",
    "heun",
    "raised",
]

Denoiser = Callable[[Tensor, Tensor], Tensor]  # z and sigma (one number) to D, the shape of z
Normal = Callable[[int], Tensor]  # standard normal draws of the shape of z, for each step
CHURNED = (0.05, 50.0)  # levels between which noise is added


def _steps(levels: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    yield from ((i, levels[i], levels[i + 1]) for i in range(len(levels) - 1))


def slope(denoiser: Denoiser, z: Tensor, sigma: Tensor) -> Tensor:
    """`(z - D) / sigma`, what z changes by as sigma does."""
    return (z - denoiser(z, sigma)) / sigma


def euler(denoiser: Denoiser, z: Tensor, levels: Tensor) -> Tensor:
    """Euler's method; with as many evaluations as DDIM, which it equals."""
    for _, sigma, after in _steps(levels):
        z = z + (after - sigma) * slope(denoiser, z, sigma)
    return z


def heun(denoiser: Denoiser, z: Tensor, levels: Tensor) -> Tensor:
    """Heun's method (their algorithm 1); the step to 0 is Euler's."""
    for _, sigma, after in _steps(levels):
        z = _heun(denoiser, z, sigma, after)
    return z


def _heun(denoiser: Denoiser, z: Tensor, sigma: Tensor, after: Tensor) -> Tensor:
    first = slope(denoiser, z, sigma)
    there = z + (after - sigma) * first
    if not after:
        return there
    return z + (after - sigma) * (first + slope(denoiser, there, after)) / 2


def churn(
    denoiser: Denoiser,
    z: Tensor,
    levels: Tensor,
    normal: Normal,
    amount: float = 40.0,
    between: tuple[float, float] = CHURNED,
    spread: float = 1.003,
) -> Tensor:
    """Heun's method with noise added before every step, which makes good for errors so far.

    (Their algorithm 2, with the names S_churn, [S_tmin, S_tmax] and S_noise.)

    Args:
        denoiser: D.
        z: noise of the highest level.
        levels: (N + 1,) sigma.
        normal: draws for step i.
        amount: of all steps together; see `churned_share`.
        between: the levels at which it does.
        spread: standard deviation of the noise, in units of what would be right.
    """
    share = churned_share(amount, len(levels) - 1)
    for i, sigma, after in _steps(levels):
        higher = raised(sigma, share, between)
        if higher > sigma:
            z = z + (higher**2 - sigma**2).sqrt() * spread * normal(i)
        z = _heun(denoiser, z, higher, after)
    return z


def churned_share(amount: float, steps: int) -> float:
    """By which each of N steps raises sigma: `min(amount / N, sqrt(2) - 1)`.

    >>> churned_share(4.0, 40), round(churned_share(40.0, 2), 4)
    (0.1, 0.4142)
    """
    return min(amount / steps, math.sqrt(2) - 1)


def raised(sigma: Tensor, share: float, between: tuple[float, float] = CHURNED) -> Tensor:
    """The level that noise is added up to: `sigma (1 + share)` between two levels, else sigma."""
    return sigma * (1 + share) if between[0] <= float(sigma) <= between[1] else sigma


def dpm_solver(denoiser: Denoiser, z: Tensor, levels: Tensor) -> Tensor:
    """DPM-Solver++(2M): exact in what is linear, D extrapolated from the last two steps.

        z <- (sigma'/sigma) z + (1 - e^-h) [(1 + 1/2r) D - 1/2r D_before],
        h = log(sigma / sigma'),   r = h_before / h

    (Lu et al., "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models",
    2022, algorithm 2.) The first step and the step to 0 take D as it is.
    """
    before, h_before = None, None
    for _, sigma, after in _steps(levels):
        D = denoiser(z, sigma)
        if not after:
            return D
        h, best = (sigma / after).log(), D
        if before is not None and h_before is not None:
            weight = h / (2 * h_before)
            best = (1 + weight) * D - weight * before
        z = after / sigma * z - torch.expm1(-h) * best
        before, h_before = D, h
    return z


def guided(towards: Denoiser, away: Denoiser, w: float) -> Denoiser:
    """The denoiser `u + w (c - u)`; w = 1 is c alone, and does not evaluate u.

    With u a model that is told no label it is classifier-free guidance (Ho and Salimans,
    "Classifier-free diffusion guidance", 2022), with u a worse model it is autoguidance (Karras et
    al., "Guiding a diffusion model with a bad version of itself", 2024).

    Args:
        towards: c.
        away: u.
        w: the weight.
    """
    if w == 1:
        return towards

    def denoiser(z: Tensor, sigma: Tensor) -> Tensor:
        u = away(z, sigma)
        return u + w * (towards(z, sigma) - u)

    return denoiser
