"""A bound of the likelihood by denoising errors, with noise that strategies share.

For z = x + sigma n, n standard normal, any denoiser D and any law of x given z at sigma_min
(Kingma et al., "Variational diffusion models", 2021, section 4, in terms of sigma; one number):

    -log p(x) <= KL + integral from sigma_min to sigma_max of sigma^-3 E(x - D)^2 dsigma + R

- KL is that of z at sigma_max from N(0, 1 + sigma_max^2).
- The integral is over log sigma, with M levels, one in each of M equal parts: without bias, and
  each row has levels and noise of its own, the same for every strategy. What differs between
  strategies is then their denoisers alone.
- Most of what a row's errors vary by is the noise itself. What the best denoiser of normal numbers
  would err, less its expectation given x, is subtracted from every squared error:
  `[(sigma x - n)^2 - sigma^2 x^2 - 1] / (1 + sigma^2)^2`.
- R is `-E log p(x | z)` at sigma_min. Of numbers p(x | z) is N(D, sigma_min^2). Of pixels, which
  are whole, it is `exp(-(x - D)^2 / 2 sigma_min^2)` over its sum over all values that a pixel can
  have: the bound is then one of the probability of the pixels themselves.

Its terms are told apart, by the levels that they come from: `TERMS`. A likelihood counts all of
them alike, however small the detail, while what a draw shows is settled at the high levels.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sourcewise.randomness import ExampleNoise

__all__ = ["HIGHEST", "TERMS", "likelihood_bound"]

HIGHEST = 80.0  # sigma_max
LOWEST = 5e-3  # sigma_min of numbers
OF_CELL = 0.5  # sigma_min of pixels, in steps between their values
TERMS = (2.0, 0.5, 0.05)  # sigma from which up errors are of a term; the last has the rest
VALUES = 1 << 22  # distances of pixels to values that are taken at once

Denoiser = Callable[[Tensor, Tensor], Tensor]  # z (B, ...) and sigma (B,) to D (B, ...)


def likelihood_bound(
    denoise: Denoiser,
    x: Tensor,
    noise: ExampleNoise,
    draws: int,
    values: Tensor | None = None,
) -> Tensor:
    """(B, T) float64 terms, of sum at most log p(x) in expectation: nats per row.

    Args:
        denoise: D.
        x: (B, ...) rows, of standard deviation 1 or so.
        noise: of the rows, numbered.
        draws: M.
        values: (V,) increasing and even, all values that an entry of x can have; None: any number.
    """
    low = LOWEST if values is None else OF_CELL * float(values[1] - values[0])
    span = math.log(HIGHEST / low)
    shift = noise.of("levels").uniform(draws).to(x)  # (B, M)
    terms = torch.zeros(len(x), len(TERMS) + 1, dtype=torch.float64, device=x.device)
    limits = torch.tensor(TERMS, dtype=x.dtype, device=x.device)
    for m in range(draws):
        sigma = low * torch.exp(span * (m + shift[:, m]) / draws)
        D, usual = _denoised(denoise, x, sigma, noise.of("noise", m))
        error = ((x - D) / _over(sigma, x)).square() - usual
        which = (sigma[:, None] < limits).sum(1, keepdim=True)
        terms.scatter_add_(1, which, span / draws * error.flatten(1).sum(1, keepdim=True).double())
    ones = torch.ones(len(x), dtype=x.dtype, device=x.device)
    last, usual = _denoised(denoise, x, low * ones, noise.of("last"))
    rest = _numbers(x, last, low, usual) if values is None else _pixels(x, last, low, values)
    terms[:, 0] += _from_prior(x)
    terms[:, -1] += rest
    return -terms


def _denoised(
    denoise: Denoiser, x: Tensor, sigma: Tensor, noise: ExampleNoise
) -> tuple[Tensor, Tensor]:
    """D, and the control variate of each entry of x."""
    n, wide = noise.normal(*x.shape[1:]).to(x), _over(sigma, x)
    usual = (wide * x - n).square() - (wide * x).square() - 1
    return denoise(x + wide * n, sigma), usual / (1 + wide.square()).square()


def _over(sigma: Tensor, x: Tensor) -> Tensor:
    """(B, 1, ...) that broadcasts against x."""
    return sigma.view(-1, *[1] * (x.ndim - 1))


def _from_prior(x: Tensor) -> Tensor:
    """(B,) KL of N(x, sigma^2) from N(0, 1 + sigma^2) at the highest level."""
    D = math.prod(x.shape[1:])
    square = x.double().square().flatten(1).sum(1)
    return 0.5 * ((square - D) / (1 + HIGHEST**2) + D * math.log1p(HIGHEST**-2))


def _numbers(x: Tensor, last: Tensor, sigma: float, usual: Tensor) -> Tensor:
    apart = (((x - last).double() / sigma).square() - usual).flatten(1)
    return (0.5 * apart + math.log(sigma * math.sqrt(2 * math.pi))).sum(1)


def _pixels(x: Tensor, last: Tensor, sigma: float, values: Tensor) -> Tensor:
    at, away = x.flatten().double(), last.flatten().double()
    own = -0.5 * ((at - away) / sigma).square()
    parts = away.split(max(1, VALUES // len(values)))
    logs = [(-0.5 * ((part[:, None] - values) / sigma).square()).logsumexp(1) for part in parts]
    return (torch.cat(logs) - own).view(len(x), -1).sum(1)
