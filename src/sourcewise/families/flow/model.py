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
judged by the bound of denoisers. Noise that is coupled with rows (`samplers.coupling`) is no
longer that of the bound: the density of what draws follow, or draws, decide then.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import BatchNoise
from sourcewise.families.denoisers.bound import HIGHEST
from sourcewise.families.denoisers.model import DRAWN, LOW, DenoiserModel
from sourcewise.families.flow.settings import FlowSettings
from sourcewise.networks.magnitude import fixed_weights
from sourcewise.randomness import ExampleNoise
from sourcewise.samplers import odes
from sourcewise.samplers.continuous_flow import FlowDensity, even_steps, log_density
from sourcewise.samplers.coupling import coupled
from sourcewise.samplers.denoising import Denoiser
from sourcewise.samplers.paths import PATHS, Path, Place
from sourcewise.samplers.straightness import bends

__all__ = ["Flow", "Pairs"]

LEVELS = 1e-4, 1e2  # noise levels that the network tells apart, and is trained at


@dataclass(frozen=True)
class Pairs:
    """Rows, and the noise at the other ends of their ways."""

    x: Tensor  # (..., B, *shape)
    n: Tensor  # likewise
    label: Tensor  # (..., B, K) one-hot, or 0 where none is told
    c: Tensor | None  # (..., B, C) given columns


class Flow(DenoiserModel):
    """A flow of images, or of columns of numbers.

    Args:
        settings: sizes, the path, the coupling, dropout.
        sizes: see `DenoiserModel`.

    Raises:
        InputError: a coupling that pairs rows whatever their given columns.
    """

    settings: FlowSettings

    def __init__(self, settings: FlowSettings, **sizes: Any):
        super().__init__(settings, **sizes)
        if self.C and settings.coupling != "independent":
            raise InputError(
                f"setting coupling: with given columns only independent is allowed, "
                f"{settings.coupling} would pair rows whatever these are"
            )
        self.whole_batches = settings.coupling != "independent"
        self.stackable = not self.whole_batches

    @property
    def copied(self) -> bool:
        """Copies are trained in a stack with it."""
        return self.stackable and super().copied

    @property
    def path(self) -> Path:
        """From noise to data."""
        return PATHS[self.settings.path]

    def _loss(self, batch: Batch, noise: BatchNoise, level: Tensor) -> Tensor:
        x, label, n = self._seen(batch, noise)
        if self.whole_batches:
            n = coupled(n, x, batch.y)
        t = self.path.time_of(self._sigma(level).clamp(*LEVELS))
        return self._matched(Pairs(x, n, label, batch.c), t, noise)

    def _matched(self, pairs: Pairs, t: Tensor, noise: BatchNoise) -> Tensor:
        """(B,) the loss of pairs at times t (B,)."""
        x, n = pairs.x, pairs.n
        at = self.path.at(self._wide(t).to(x))
        F = self._network(at.a * x + at.b * n, at, pairs.label, pairs.c, self._drops(noise))
        target = (at.r * x - at.p * n) / _size(at.r, at.p)
        return (F - target).square().flatten(-len(self.shape)).sum(-1)

    def pairs(self, batch: Batch, noise: BatchNoise, steps: int) -> Pairs:
        """Fresh noise and where the flow leads it, under the labels and given columns of a batch.

        Args:
            batch: B rows, whose x is not looked at.
            noise: of the batch.
            steps: of Heun's method, from t = 0 to the end.
        """
        label = self._labels(batch)
        n, ends = noise.of("noise").normal(len(batch), *self.shape).to(label), []
        with torch.no_grad(), fixed_weights(self.network):
            for rows in torch.arange(len(batch)).split(max(1, DRAWN // math.prod(self.shape))):
                c = None if batch.c is None else batch.c[rows].to(label)
                ends.append(self._drawn(self._field(label[rows], c), n[rows], steps, "heun"))
        return Pairs(torch.cat(ends), n, label, batch.c)

    def bends(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) S of ways from fresh noise, see `samplers.straightness`; args as of `pairs`."""
        label = self._labels(batch)
        n, c = noise.of("noise").normal(len(batch), *self.shape).to(label), batch.c
        with torch.no_grad(), fixed_weights(self.network):
            return bends(self._field(label, None if c is None else c.to(label)), n)

    def paired(self, batch: Batch, which: Tensor) -> Pairs:
        """Pair `which` (..., B) of each row of a batch.

        Args:
            batch: x (..., B, M 2 D): M times noise and what belongs to it.
            which: numbers from 0 to M - 1.
        """
        every = batch.tensor.unflatten(-1, (-1, 2, *self.shape))
        at = which.to(every.device).view(*which.shape, *[1] * (2 + len(self.shape)))
        n, x = every.take_along_dim(at, which.ndim).squeeze(which.ndim).unbind(which.ndim)
        return Pairs(x, n, self._labels(batch), batch.c)

    def _labels(self, batch: Batch) -> Tensor:
        """(..., B, K) one-hot."""
        kind = next(self.parameters()).dtype
        return torch.nn.functional.one_hot(batch.y, self.K).to(kind)

    def paired_loss(self, pairs: Pairs, t: Tensor, noise: BatchNoise) -> Tensor:
        """(B,) the loss of given pairs at times t (B,); in training some are not told labels."""
        if self.training:
            pairs = replace(pairs, label=self._told(pairs.label, noise))
        return self._matched(pairs, t, noise)

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
        if sampler == "adaptive":
            return odes.adaptive(field, n, 0.0, self._end).x
        return odes.solve(field, n, torch.linspace(0, self._end, steps + 1), sampler).x

    @property
    def _end(self) -> float:
        """Of draws: 1, unless the velocity is not known there."""
        known = float(self.path.at(torch.ones(())).h)
        return 1.0 if known else float(self.path.time_of(torch.tensor(LOW, dtype=torch.float64)))

    def _density(
        self, field: Denoiser, x: Tensor, steps: int, probes: int, noise: ExampleNoise
    ) -> FlowDensity:
        """From the end of draws to their start, by steps that are even in log sigma between."""
        even_steps(steps)
        levels = torch.linspace(math.log(LOW), math.log(HIGHEST), steps + 1).double().exp()
        inner = self.path.time_of(levels)[1:-1]
        times = torch.cat([inner.new_tensor([self._end]), inner, inner.new_zeros(1)])
        return log_density(field, x, times, probes=probes, noise=noise)


def _size(one: Tensor, other: Tensor) -> Tensor:
    return torch.hypot(one, other)
