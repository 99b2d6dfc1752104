"""Diffusion: p(x | y, c) by a denoiser of x plus Gaussian noise of every level.

    z = x + sigma n,   D(z; sigma, y, c) ~ E[x | z, y, c]

Encoded data have a standard deviation of about 1. The denoiser is preconditioned (Karras et al.,
"Elucidating the design space of diffusion-based generative models", 2022, table 1, with
sigma_data = 1),

    D = c_skip z + c_out F(c_in z; log(sigma) / 4, y, c),
    c_skip = 1 / (sigma^2 + 1),  c_out = sigma / sqrt(sigma^2 + 1),  c_in = 1 / sqrt(sigma^2 + 1),

so that F has a target of unit magnitude. Its loss at each noise level is weighed by a learned
uncertainty u(sigma) (Karras et al., "Analyzing and improving the training dynamics of diffusion
models", 2024, equation 21):

    loss = exp(-u) |F - (x - c_skip z) / c_out|^2 + D u,   log sigma ~ N(m, s^2)

`samplers.denoising` makes draws of D.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import BatchNoise
from sourcewise.families.denoisers.bound import HIGHEST
from sourcewise.families.denoisers.model import LOW, DenoiserModel
from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.networks.magnitude import Uncertainty
from sourcewise.samplers import denoising
from sourcewise.samplers.levels import power_levels

__all__ = ["Diffusion"]

SAMPLERS: Mapping[str, Callable[[denoising.Denoiser, Tensor, Tensor], Tensor]] = {
    "heun": denoising.heun,
    "dpm-solver": denoising.dpm_solver,
    "euler": denoising.euler,
}


class Diffusion(DenoiserModel):
    """A diffusion model of images, or of columns of numbers.

    Args:
        settings: sizes, noise levels, dropout.
        sizes: see `DenoiserModel`.
    """

    def __init__(self, settings: DenoiserSettings, **sizes: Any):
        super().__init__(settings, **sizes)
        self.uncertainty = Uncertainty()

    def _loss(self, batch: Batch, noise: BatchNoise, level: Tensor) -> Tensor:
        x, label, n = self._seen(batch, noise)
        sigma = self._sigma(level).to(x)
        wide = self._wide(sigma)
        F, u = self._network(x + wide * n, sigma, label, batch.c, self._drops(noise))
        target = (x * wide - n) / (1 + wide.square()).sqrt()
        error = (F - target).square().flatten(-len(self.shape)).mean(-1)
        return math.prod(self.shape) * (error * (-u).exp() + u)

    def _network(
        self,
        z: Tensor,
        sigma: Tensor,
        label: Tensor,
        c: Tensor | None,
        drop: Callable[[int, Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """F, and u (..., B)."""
        level = sigma.log() / 4
        scaled = z / (1 + self._wide(sigma).square()).sqrt()
        return self.network(scaled, level, label, c, drop), self.uncertainty(level)

    def denoise(self, z: Tensor, sigma: Tensor, label: Tensor, c: Tensor | None = None) -> Tensor:
        """D, of the shape of z.

        Args:
            z: (B, *shape).
            sigma: (B,).
            label: (B, K) one-hot, or 0 where none is told.
            c: (B, C) given columns.
        """
        F, _ = self._network(z, sigma, label, c)
        wide = self._wide(sigma)
        return (z + wide * (1 + wide.square()).sqrt() * F) / (1 + wide.square())

    def _drawn(self, field: denoising.Denoiser, n: Tensor, steps: int, sampler: str) -> Tensor:
        levels = power_levels(steps, LOW, HIGHEST)
        return SAMPLERS[sampler](field, HIGHEST * n, levels.to(n))
