"""The density that a denoiser's probability flow gives to rows.

Along `dz / dsigma = (z - D(z, sigma)) / sigma`, which `samplers.denoising` follows to make draws,
the log density changes by minus the divergence (Chen et al., "Neural ordinary differential
equations", 2018, theorem 1; Song et al., "Score-based generative modeling through stochastic
differential equations", 2021, section 4.3):

    log p(x) = log N(z; 0, 1 + sigma^2) at sigma_max
               + integral from sigma_min to sigma_max of div[(z - D) / sigma] dsigma,   z = x
               at sigma_min.

So p is exact for what the flow draws. Of the best denoiser it is the density of rows with noise
of standard deviation sigma_min, if rows have mean 0 and variance 1 (of others with a relative
error of about `(mean^2 + |variance - 1|) / (2 sigma_max^2)` at the highest level).

It is solved in terms of the angle `t = atan(sigma)` and `u = z cos t`, which keep unit magnitude,
as the flow of a velocity (`continuous_flow`):

    du / dt = -F,   F = (D - u cos t) / sin t,
    log p(x) = log N(u; 0, 1) at t_max - integral of div F dt + D log cos t_min.

F is 0 for standard normal rows. Steps are even in log sigma, and those of the classical
Runge-Kutta method, of order 4.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from sourcewise.randomness import ExampleNoise
from sourcewise.samplers.continuous_flow import MOST_EXACT, FlowDensity, even_steps, log_density
from sourcewise.samplers.denoising import Denoiser
from sourcewise.samplers.odes import Velocity

__all__ = ["MOST_EXACT", "FlowDensity", "flow_log_density"]


def flow_log_density(
    denoiser: Denoiser,
    x: Tensor,
    steps: int = 32,
    *,
    probes: int = 0,
    noise: ExampleNoise | None = None,
    low: float = 5e-3,
    high: float = 80.0,
) -> FlowDensity:
    """`log p(x)` of the probability flow.

    >>> x = torch.zeros(1, 2, dtype=torch.float64)
    >>> found = flow_log_density(lambda z, sigma: z / (1 + sigma**2), x)  # standard normal rows
    >>> round(float(found.value), 4), round(float(found.step), 9)
    (-1.8379, 0.0)

    Args:
        denoiser: D, which can be differentiated.
        x: (B, ...) rows of mean 0 and standard deviation 1 or so, D entries each.
        steps: N, even.
        probes: M, 0 (exact) or at least 2; see `continuous_flow.log_density`.
        noise: of the probes, for M > 0.
        low: sigma_min, above 0.
        high: sigma_max.

    Raises:
        InputError: steps that are not even, one probe, probes without noise, or no probes for
            rows of more than `MOST_EXACT` entries.
    """
    even_steps(steps)
    t = torch.linspace(math.log(low), math.log(high), steps + 1, dtype=torch.float64).exp().atan()
    u = x * t[0].cos().to(x)
    found = log_density(_turning(denoiser), u, t, probes=probes, noise=noise)
    narrowed = found.entries * math.log(math.cos(float(t[0])))
    return replace(found, value=found.value + narrowed)


def _turning(denoiser: Denoiser) -> Velocity:
    """-F."""

    def velocity(u: Tensor, t: Tensor) -> Tensor:
        t = t.double()
        sin, cos, sigma = (part.to(u) for part in (t.sin(), t.cos(), t.tan()))
        return (u * cos - denoiser(u / cos, sigma)) / sin

    return velocity
