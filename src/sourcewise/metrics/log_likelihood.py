"""The log-likelihood of held-out rows, in nats per unit and in original units.

A row contributes `log p(x | y)`: the density of its encoding, and the log-determinant of that.
"""

import torch
from torch import Tensor

from sourcewise.encoders.base import Z
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.forms.ragged import Ragged
from sourcewise.forms.x import take
from sourcewise.metrics.base import Contributions, HeldOut, Metric, Trained
from sourcewise.randomness import Noise
from sourcewise.training.data import chunks

__all__ = ["METRIC", "log_prob", "measure"]

PER_VARIABLE = 0.01  # nats: half the width of practical equivalence

METRIC = Metric(
    name="log-likelihood",
    about="log density of held-out rows",
    needs="density",
    higher_is_better=True,
    home="sourcewise.metrics.log_likelihood:measure",
    unit=lambda coding: f"nats per {coding.unit}",
    region=lambda coding, baseline: PER_VARIABLE * coding.variables,
)


def measure(trained: Trained, held_out: HeldOut, noise: Noise) -> Contributions:
    """Log densities, and the errors that a source's share where they are estimates."""
    rows = log_prob(trained.model, held_out.z, held_out.y) + held_out.log_det
    return Contributions(rows, trained.model.density_error)


@torch.no_grad()
def log_prob(model: PartitionedModel, z: Z, y: Tensor) -> Tensor:
    """(n,) float64 log density of encoded rows, where the parameters are, chunk by chunk.

    Models without parameters have no activations to hold: they take all rows at once.
    """
    first = next(model.parameters(), None)
    if first is None:
        return model.log_prob(z, y).double()
    out = torch.empty(len(y), dtype=torch.float64)
    for rows in chunks(z):
        part = take(z, rows)
        if isinstance(part, Tensor) and part.is_floating_point():
            part = part.to(first.dtype)
        assert isinstance(part, Tensor | Ragged)
        out[rows] = model.log_prob(part.to(first.device), y[rows]).double().cpu()
    return out
