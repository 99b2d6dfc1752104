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

It is solved in terms of the angle `t = atan(sigma)` and `u = z cos t`, which keep unit magnitude:

    du / dt = -F,   F = (D - u cos t) / sin t,
    log p(x) = log N(u; 0, 1) at t_max - integral of div F dt + D log cos t_min.

F is 0 for standard normal rows. Steps are even in log sigma, and those of the classical
Runge-Kutta method, of order 4.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise
from sourcewise.samplers.denoising import Denoiser

__all__ = ["MOST_EXACT", "FlowDensity", "flow_log_density"]

MOST_EXACT = 20  # entries of a row of which all derivatives are taken
HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class FlowDensity:
    """Log densities of rows, and how far they may be off."""

    value: Tensor  # (B,) float64 natural log
    error: Tensor  # (B,) standard error by the probes of the divergence; 0 where it is exact
    step: Tensor  # (B,) change of the value against half as many steps, at least 0
    entries: int  # numbers of a row, D

    @property
    def bits(self) -> Tensor:
        """(B,) `-value / (D log 2)`, bits per dimension."""
        return -self.value / (self.entries * math.log(2))


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

    Without probes the divergence is exact, by a derivative for each entry of a row. With M probes
    it is the mean of `v' J v` over M vectors of random signs, each the same at all levels
    (Hutchinson, 1990): without bias, and with a standard error that is told.

    >>> x = torch.zeros(1, 2, dtype=torch.float64)
    >>> found = flow_log_density(lambda z, sigma: z / (1 + sigma**2), x)  # standard normal rows
    >>> round(float(found.value), 4), round(float(found.step), 9)
    (-1.8379, 0.0)

    Args:
        denoiser: D, which can be differentiated.
        x: (B, ...) rows of mean 0 and standard deviation 1 or so, D entries each.
        steps: N, even.
        probes: M, 0 (exact) or at least 2.
        noise: of the probes, for M > 0.
        low: sigma_min, above 0.
        high: sigma_max.

    Raises:
        InputError: steps that are not even, one probe, probes without noise, or no probes for
            rows of more than `MOST_EXACT` entries.
    """
    D = math.prod(x.shape[1:])
    _check(D, steps, probes, noise)
    vectors = _axes(x) if noise is None or not probes else _signs(x, probes, noise)
    t = torch.linspace(math.log(low), math.log(high), steps + 1, dtype=torch.float64).exp().atan()
    (end, each), (coarse, few) = (_solved(denoiser, x, grid, vectors) for grid in (t, t[::2]))
    weight = 1 / (probes or 1)
    value, other = end - weight * each.sum(1), coarse - weight * few.sum(1)
    error = each.std(1) / math.sqrt(probes) if probes else torch.zeros_like(value)
    return FlowDensity(value, error, (value - other).abs(), D)


def _check(D: int, steps: int, probes: int, noise: ExampleNoise | None) -> None:
    if steps < 2 or steps % 2:
        raise InputError(f"steps of a flow must be even and at least 2, not {steps}")
    if probes == 1 or (probes and noise is None):
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


def _solved(denoiser: Denoiser, x: Tensor, t: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """`log N(u; 0, 1) + D log cos t_min` (B,), and (B, V) integrals of `v' (dF/du) v`."""
    u, D = x * t[0].cos().to(x), math.prod(x.shape[1:])
    total = torch.zeros(len(x), len(vectors), dtype=torch.float64, device=x.device)
    for start, end in zip(t[:-1].tolist(), t[1:].tolist(), strict=True):
        u, change = _step(denoiser, u, start, end, vectors)
        total += change
    normal = -0.5 * u.double().square().flatten(1).sum(1) - D * HALF_LOG_2_PI
    return normal + D * math.log(math.cos(float(t[0]))), total


def _step(
    denoiser: Denoiser, u: Tensor, start: float, end: float, vectors: Tensor
) -> tuple[Tensor, Tensor]:
    """A step of the classical Runge-Kutta method from angle to angle."""
    h, middle = end - start, (start + end) / 2
    a, da = _slope(denoiser, u, start, vectors)
    b, db = _slope(denoiser, u - h / 2 * a, middle, vectors)
    c, dc = _slope(denoiser, u - h / 2 * b, middle, vectors)
    d, dd = _slope(denoiser, u - h * c, end, vectors)
    return u - h / 6 * (a + 2 * b + 2 * c + d), h / 6 * (da + 2 * db + 2 * dc + dd)


def _slope(denoiser: Denoiser, u: Tensor, t: float, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """F, of the shape of u, and (B, V) float64 `v' (dF/du) v`."""
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        sigma = u.new_tensor(math.tan(t))
        F = (denoiser(u / math.cos(t), sigma) - u * math.cos(t)) / math.sin(t)
        found = []
        for i, v in enumerate(vectors):
            (slope,) = torch.autograd.grad((F * v).sum(), u, retain_graph=i + 1 < len(vectors))
            found.append((slope * v).flatten(1).sum(1).double())
    return F.detach(), torch.stack(found, 1)
