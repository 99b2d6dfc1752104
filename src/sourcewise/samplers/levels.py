"""Noise levels from high to low, and how the usual time scales name the same thing.

A noisy example is `z = x + sigma n`, n standard normal; data are at sigma = 0. Other processes
scale it, `x_t = a z`, so that every sampler of one is a sampler of all:

| process | a | sigma |
|---|---|---|
| variance preserving, `x_t = sqrt(b) x + sqrt(1 - b) n` | sqrt(b) | sqrt((1 - b) / b) |
| Ornstein-Uhlenbeck, `dX = -X/2 dt + dB` | exp(-t / 2) | sqrt(exp(t) - 1) |
| linear path of flows, `x_t = t x + (1 - t) n` (data at t = 1) | t | (1 - t) / t |

b being the product of alpha_1, ..., alpha_t, elsewhere written abar.
"""

import math

import torch
from torch import Tensor

__all__ = [
    "abar_of",
    "ou_time_of",
    "path_time_of",
    "power_levels",
    "sigma_of_abar",
    "sigma_of_ou_time",
    "sigma_of_path_time",
    "slow_schedule",
]


def power_levels(steps: int, low: float, high: float, rho: float = 7.0) -> Tensor:
    """(steps + 1,) float64 sigma, even in sigma^(1/rho) from high to low, then 0.

    (Karras et al., "Elucidating the design space of diffusion-based generative models", 2022,
    equation 5.)

    >>> power_levels(3, 0.5, 8.0, rho=1.0).tolist()
    [8.0, 4.25, 0.5, 0.0]
    """
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    ends = high ** (1 / rho), low ** (1 / rho)
    levels = (ends[0] + share * (ends[1] - ends[0])) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def sigma_of_abar(abar: Tensor) -> Tensor:
    """`sqrt((1 - abar) / abar)`."""
    return ((1 - abar) / abar).sqrt()


def abar_of(sigma: Tensor) -> Tensor:
    """`1 / (1 + sigma^2)`."""
    return 1 / (1 + sigma.square())


def sigma_of_ou_time(t: Tensor) -> Tensor:
    """`sqrt(exp(t) - 1)`."""
    return t.expm1().sqrt()


def ou_time_of(sigma: Tensor) -> Tensor:
    """`log(1 + sigma^2)`."""
    return sigma.square().log1p()


def sigma_of_path_time(t: Tensor) -> Tensor:
    """`(1 - t) / t`."""
    return (1 - t) / t


def path_time_of(sigma: Tensor) -> Tensor:
    """`1 / (1 + sigma)`."""
    return 1 / (1 + sigma)


def slow_schedule(steps: int, c0: float = 2.0, c1: float = 5.0) -> Tensor:
    """(T,) float64 alpha_1, ..., alpha_T of the convergence theory of DDPM.

        beta_1 = T^-c0,   beta_t = c1 log T / T min(beta_1 (1 + c1 log T / T)^t, 1),
        alpha = 1 - beta

    Chains of 20 steps are the shortest that end in noise under the usual c0 and c1.

    (Li and Yan, "O(d/T) convergence theory for diffusion probabilistic models under minimal
    assumptions", 2024.)
    """
    T, first = steps, float(steps) ** -c0
    rate = c1 * math.log(T) / T
    t = torch.arange(1, T + 1, dtype=torch.float64)
    beta = rate * (first * (1 + rate) ** t).clamp(max=1)
    beta[0] = first
    return 1 - beta
