"""The spline flow: p(x | y, c) by an invertible map to standard normal numbers.

    log p(x | y, c) = sum_j log N(z_j; 0, 1) + log |dz/dx|,    z = flow(x; y, c)

See `network` for the map. Draws go back through it, in float64.
"""

import copy
import math

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.families.base import (
    BatchNoise,
    ConditionalModel,
    Density,
)
from sourcewise.families.spline_flow.network import FlowNetwork
from sourcewise.families.spline_flow.settings import SplineFlowSettings
from sourcewise.networks.transformer import Drop
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["SplineFlow"]

_DRAWN = 2**12  # rows drawn at once


class SplineFlow(ConditionalModel):
    """A normalizing flow on standardised columns.

    Args:
        settings: sizes and dropout.
        K: number of sources.
        d: number of variables.
        C: number of given columns, encoded.

    Raises:
        InputError: zuko is not installed.
    """

    stackable = True

    def __init__(self, settings: SplineFlowSettings, *, K: int, d: int, C: int = 0):
        super().__init__()
        self.settings, self.K, self.d, self.C = settings, K, d, C
        s = settings
        self.network = FlowNetwork(
            d, s.transforms, bins=s.bins, K=K, width=s.width, layers=s.layers, C=C
        )

    @property
    def free_parameters(self) -> int:
        """Number of entries of all parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) `-log p(x | y, c)` in nats; with S models at once (S, B).

        Args:
            batch: of (B, d) standardised rows.
            noise: for dropout, in training only.
        """
        share = self.settings.dropout
        if not (self.training and share):
            return -self._log_p(batch, None)

        def drops(step: int) -> Drop:
            def drop(h: Tensor, number: int) -> Tensor:
                draws = noise.of("dropout", step, number).uniform(*h.shape[-2:], dtype=h.dtype)
                return h * (draws >= share).to(h) / (1 - share)

            return drop

        return -self._log_p(batch, drops)

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of rows (B, d); never with dropout."""
        return Density(self._log_p(batch, None))

    def _log_p(self, batch: Batch, drop: object) -> Tensor:
        x = batch.tensor.to(next(self.parameters()).dtype)
        z, log_det = self.network(x, batch.y, batch.c, drop)
        return log_det - 0.5 * (z.square().sum(-1) + self.d * math.log(2 * math.pi))

    @torch.no_grad()
    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """One row per entry of y, (B, d) float64: standard normal draws, taken back."""
        network, z = copy.deepcopy(self.network).double().eval(), noise.each(y).normal(self.d)
        rows = torch.arange(len(y), device=y.device).split(_DRAWN)
        parts = [network.inverse(z[i], y[i], None if c is None else c[i]) for i in rows]
        return torch.cat(parts) if parts else z
