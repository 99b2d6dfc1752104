"""Flow matching: p(x | y, c) by the velocity of a path from noise to data.

    x_t = a(t) x + b(t) n,   n standard normal,   v(x_t, t, y, c) ~ E[a' x + b' n | x_t, y, c]

(Lipman et al., "Flow matching for generative modeling", 2023; paths in `samplers.paths`). Draws
follow `dx/dt = v` from t = 0, where all is noise, to t = 1. What is learned is `u = h v`, which is
finite at all times and equals v on the linear path:

    u = r x - p n = (r^2 + p^2)^(1/2) F(x_t / (a^2 + b^2)^(1/2); log(b / a) / 4, y, c),
    loss = |F - (r x - p n) / (r^2 + p^2)^(1/2)|^2,   log(b / a) ~ N(m, s^2).

On the linear path that is half of `|v - (x - n)|^2`, at times whose logit is normal (Esser et al.,
"Scaling rectified flow transformers", 2024); even times on [0, 1] are nearly m = 0, s = 1.8. The
velocity of a path is a denoiser at noise level sigma = b / a, `D = p x_t + b u`, and models are
judged by the bound of denoisers.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import BatchNoise
from sourcewise.families.denoisers.model import LOW, DenoiserModel
from sourcewise.families.flow.settings import FlowSettings
from sourcewise.samplers import odes
from sourcewise.samplers.denoising import Denoiser
from sourcewise.samplers.paths import PATHS, Path, Place

__all__ = ["Flow"]

LEVELS = 1e-4, 1e2  # noise levels that the network tells apart, and is trained at


class Flow(DenoiserModel):
    """A flow of images, or of columns of numbers.

    Args:
        settings: sizes, the path, dropout.
        sizes: see `DenoiserModel`.
    """

    settings: FlowSettings

    @property
    def path(self) -> Path:
        """From noise to data."""
        return PATHS[self.settings.path]

    def _loss(self, batch: Batch, noise: BatchNoise, level: Tensor) -> Tensor:
        x, label, n = self._seen(batch, noise)
        sigma = self._sigma(level).clamp(*LEVELS)
        at = self.path.at(self._wide(self.path.time_of(sigma)).to(x))
        F = self._network(at.a * x + at.b * n, at, label, batch.c, self._drops(noise))
        target = (at.r * x - at.p * n) / _size(at.r, at.p)
        return (F - target).square().flatten(-len(self.shape)).sum(-1)

    def _network(
        self,
        x_t: Tensor,
        at: Place,
        label: Tensor,
        c: Tensor | None,
        drop: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """F, at places (..., B, 1, ...)."""
        level = at.sigma.clamp(*LEVELS).log().flatten(-len(self.shape) - 1) / 4
        return self.network(x_t / _size(at.a, at.b), level, label, c, drop)

    def velocity(self, x_t: Tensor, t: Tensor, label: Tensor, c: Tensor | None = None) -> Tensor:
        """v, of the shape of x_t.

        Args:
            x_t: (B, *shape).
            t: (B,) times, below 1 on the variance-preserving path.
            label: (B, K) one-hot, or 0 where none is told.
            c: (B, C) given columns.
        """
        at = self.path.at(self._wide(t))
        return _size(at.r, at.p) * self._network(x_t, at, label, c) / at.h

    def denoise(self, z: Tensor, sigma: Tensor, label: Tensor, c: Tensor | None = None) -> Tensor:
        """See `DenoiserModel`."""
        at = self.path.at(self.path.time_of(self._wide(sigma)))
        x_t = at.a * z
        u = _size(at.r, at.p) * self._network(x_t, at, label, c)
        return at.p * x_t + at.b * u

    def _field(self, label: Tensor, c: Tensor | None) -> Denoiser:
        def velocity(x: Tensor, t: Tensor) -> Tensor:
            return self.velocity(x, t.to(x).expand(len(x)), label, c)

        return velocity

    def _drawn(self, field: Denoiser, n: Tensor, steps: int, sampler: str) -> Tensor:
        end = 1.0
        if not float(self.path.at(torch.ones(())).h):  # there the velocity is not known
            end = float(self.path.time_of(torch.tensor(LOW, dtype=torch.float64)))
        if sampler == "adaptive":
            return odes.adaptive(field, n, 0.0, end).x
        return odes.solve(field, n, torch.linspace(0, end, steps + 1), sampler).x


def _size(one: Tensor, other: Tensor) -> Tensor:
    return torch.hypot(one, other)
