"""What models have in common that learn of rows with noise what the rows were.

    z = x + sigma n,   D(z; sigma, y, c) ~ E[x | z, y, c]

Encoded data have a standard deviation of about 1. Weights are held at unit magnitude after every
update. `bound` is what models are judged by.
"""

import copy
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import BatchNoise, ConditionalModel, Density, SharedError
from sourcewise.families.denoisers.bound import likelihood_bound
from sourcewise.families.denoisers.network import network
from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.networks.magnitude import fixed_weights, unit
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.samplers import denoising
from sourcewise.samplers.flow_likelihood import MOST_EXACT, FlowDensity, flow_log_density

__all__ = ["DRAWN", "LOW", "DenoiserModel"]

LOOKS = 4  # noise levels of each validation row
DRAWN = 1 << 20  # numbers drawn at once
LOW = 5e-3  # noise where draws come to an end


class DenoiserModel(ConditionalModel):
    """A model of images, or of columns of numbers, by a denoiser.

    Args:
        settings: sizes, dropout, shares.
        K: number of sources.
        d: columns of a table.
        shape: of images: channels, height and width; (): rows are columns of numbers.
        values: of images: the lowest value of a pixel, encoded, and the highest.
        top: of images: the number of steps between these.
        C: given columns, encoded.

    Raises:
        InputError: of `network`.
    """

    stackable = True
    slow_draws = True
    slow_density = True
    movable = True

    def __init__(
        self,
        settings: DenoiserSettings,
        *,
        K: int,
        d: int = 0,
        shape: tuple[int, ...] = (),
        values: tuple[float, float] = (0.0, 0.0),
        top: int = 0,
        C: int = 0,
    ):
        super().__init__()
        self.settings, self.K, self.C = settings, K, C
        self.shape, self.values, self.top = shape or (d,), values, top
        self.network = network(settings, self.shape, K=K, C=C)

    @property
    def free_parameters(self) -> int:
        """Number of entries of all parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def copied(self) -> bool:
        """A validation image tells by hundreds of pixels at several levels: few are enough."""
        return len(self.shape) == 1

    @property
    def fills_core(self) -> bool:
        """Convolutions of a batch of images do."""
        return len(self.shape) > 1

    @property
    def validated_by(self) -> str:
        """See `ConditionalModel`."""
        return "its denoising loss"

    @torch.no_grad()
    def constrain(self, parameters: Mapping[str, Tensor]) -> None:
        """Weights of unit magnitude: each output's by itself."""
        for name, part in self.named_modules():
            if axes := getattr(part, "axes", 0):
                weight = parameters[f"{name}.weight"]
                weight.copy_(unit(weight, axes))

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) see the family's module; with S models at once (S, B).

        Validation rows are seen at several noise levels each, evenly in what training draws.
        """
        if self.training:
            return self._loss(batch, noise, noise.of("level").uniform(len(batch)))
        share = noise.of("level").uniform(len(batch))
        each = [self._loss(batch, noise.of("look", i), (i + share) / LOOKS) for i in range(LOOKS)]
        return torch.stack(each).mean(0)

    def _sigma(self, level: Tensor) -> Tensor:
        """Noise levels at quantiles of those that training draws, `log sigma ~ N(m, s^2)`."""
        normal = torch.special.ndtri(level.clamp(1e-9, 1 - 1e-9))
        return (self.settings.noise_mean + self.settings.noise_sd * normal).exp()

    @abstractmethod
    def _loss(self, batch: Batch, noise: BatchNoise, level: Tensor) -> Tensor:
        """(B,) at the quantiles `level` of the noise levels that training draws."""

    @abstractmethod
    def denoise(self, z: Tensor, sigma: Tensor, label: Tensor, c: Tensor | None = None) -> Tensor:
        """D, of the shape of z.

        Args:
            z: (B, *shape).
            sigma: (B,).
            label: (B, K) one-hot, or 0 where none is told.
            c: (B, C) given columns.
        """

    def _seen(self, batch: Batch, noise: BatchNoise) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, labels (..., B, K) and noise of the rows' shape, as the loss sees them."""
        x = self._rows(batch)
        label = torch.nn.functional.one_hot(batch.y, self.K).to(x)
        if self.training:
            x, label = self._varied(x, label, noise)
        rows = x.shape[-len(self.shape) - 1]
        return x, label, noise.of("noise").normal(rows, *self.shape).to(x)

    def _rows(self, batch: Batch) -> Tensor:
        x = batch.tensor.to(next(self.parameters()).dtype)
        return x.unflatten(-1, self.shape) if len(self.shape) > 1 else x

    def _varied(self, x: Tensor, label: Tensor, noise: BatchNoise) -> tuple[Tensor, Tensor]:
        """As training sees rows: some mirrored, some without their label."""
        s, rows = self.settings, label.shape[-2]
        if s.flips and len(self.shape) > 1:
            mirrored = noise.of("flip").uniform(rows) < 0.5
            x = torch.where(self._wide(mirrored), x.flip(-1), x)
        return x, self._told(label, noise)

    def _told(self, label: Tensor, noise: BatchNoise) -> Tensor:
        """Labels (..., B, K) as training tells them: of some rows none is."""
        if not self.settings.unlabelled:
            return label
        told = noise.of("label").uniform(label.shape[-2]) >= self.settings.unlabelled
        return label * told[..., None].to(label)

    def _drops(self, noise: BatchNoise) -> Callable[[int, Tensor], Tensor] | None:
        share, event = self.settings.dropout, len(self.shape)
        if not (self.training and share):
            return None

        def drop(number: int, h: Tensor) -> Tensor:
            shape = h.shape[-event - 1 :]
            kept = noise.of("dropout", number).uniform(*shape, dtype=h.dtype) >= share
            return h * kept.to(h) / (1 - share)

        return drop

    def _wide(self, v: Tensor) -> Tensor:
        """(..., B, 1, ...) that broadcasts against rows."""
        return v.view(*v.shape, *[1] * len(self.shape))

    @torch.no_grad()
    def bound(self, batch: Batch, noise: ExampleNoise) -> Tensor:
        """See `families.offers.HasBound`."""
        x = self._rows(batch)
        label = torch.nn.functional.one_hot(batch.y, self.K).to(x)
        values = None
        if self.top:
            values = torch.linspace(*self.values, self.top + 1, dtype=torch.float64).to(x.device)

        def denoise(z: Tensor, sigma: Tensor) -> Tensor:
            return self.denoise(z, sigma, label, batch.c)

        with fixed_weights(self.network):
            return likelihood_bound(denoise, x, noise, self.settings.bound_draws, values)

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of rows of numbers: see `flow_log_density`."""
        found = self.flow_log_density(batch, noise.each(batch.y))
        shared = SharedError.of_steps(found.step, batch.y, self.K)
        return Density(found.value, "exact" if found.exact else "estimate", shared)

    def flow_log_density(
        self, batch: Batch, noise: ExampleNoise, steps: int = 32, probes: int | None = None
    ) -> FlowDensity:
        """Log densities of encoded rows under the law of its own draws, not a bound.

        Images count as rows of numbers: it is no log-likelihood of pixels, which are whole.

        Args:
            batch: the rows.
            noise: of the probes.
            steps: see `samplers.flow_likelihood.flow_log_density`.
            probes: likewise; None: none up to `MOST_EXACT` numbers a row, otherwise 8.
        """
        x = self._rows(batch)
        label = torch.nn.functional.one_hot(batch.y, self.K).to(x)
        if probes is None:
            probes = 0 if math.prod(self.shape) <= MOST_EXACT else 8
        with fixed_weights(self.network):
            return self._density(self._field(label, batch.c), x, steps, probes, noise)

    def _density(
        self, field: denoising.Denoiser, x: Tensor, steps: int, probes: int, noise: ExampleNoise
    ) -> FlowDensity:
        """Of rows (B, *shape), by what draws follow."""
        return flow_log_density(field, x, steps, probes=probes, noise=noise, low=LOW)

    @torch.no_grad()
    def sample(
        self,
        y: Tensor,
        noise: Noise | ExampleNoise,
        c: Tensor | None = None,
        steps: int = 18,
        guidance: float = 1.0,
        sampler: str = "heun",
        guide: str = "unlabelled",
    ) -> Tensor:
        """One row per entry of y, flat (B, D).

        Args:
            y: (B,) sources.
            noise: of the rows.
            c: (B, C) given columns.
            steps: of the sampler.
            guidance: w; see `samplers.denoising.guided`.
            sampler: one of the family's.
            guide: what draws are led away from: "unlabelled", or "early": its own weights after a
                share of the updates (Karras et al., "Guiding a diffusion model with a bad version
                of itself", 2024).

        Raises:
            InputError: no early weights were kept.
        """
        weak = self._early() if guide == "early" else self
        told = float(guide == "early")
        each, first = noise.each(y), next(self.parameters())
        parts = []
        for rows in torch.arange(len(y)).split(max(1, DRAWN // math.prod(self.shape))):
            n = each.take(rows).of("start").normal(*self.shape).to(first)
            label = torch.nn.functional.one_hot(y[rows], self.K).to(first)
            given = None if c is None else c[rows].to(first)
            other = weak._field(told * label, given)
            field = denoising.guided(self._field(label, given), other, guidance)
            with fixed_weights(self.network), fixed_weights(weak.network):
                parts.append(self._drawn(field, n, steps, sampler).flatten(1))
        return torch.cat(parts) if parts else first.new_empty(0, math.prod(self.shape))

    def _field(self, label: Tensor, c: Tensor | None) -> denoising.Denoiser:
        """What draws follow, at points and levels."""
        return self._denoiser(label, c)

    @abstractmethod
    def _drawn(self, field: denoising.Denoiser, n: Tensor, steps: int, sampler: str) -> Tensor:
        """Draws (B, *shape) that begin with standard normal noise n and follow a field."""

    def _early(self) -> Self:
        """The same model with the weights of early on."""
        if not self.averages:
            raise InputError(
                "guide=early: no early weights were kept (settings early=0 or lengths=())"
            )
        early = copy.deepcopy(self)
        for name, parameter in early.named_parameters():
            parameter.data.copy_(self.averages[-1][name])
        return early

    def _denoiser(self, label: Tensor, c: Tensor | None) -> denoising.Denoiser:
        def denoise(z: Tensor, sigma: Tensor) -> Tensor:
            return self.denoise(z, sigma.expand(len(z)), label, c)

        return denoise
