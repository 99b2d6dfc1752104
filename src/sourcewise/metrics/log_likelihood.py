"""The log-likelihood of held-out rows, in nats per unit and in original units.

A row contributes `log p(x | y)`: the density of its encoding, and the log-determinant of that.
"""

import torch

from sourcewise.batch import Batch, chunks
from sourcewise.families.base import Density, SharedError
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.base import Contributions, HeldOut, Metric, Trained
from sourcewise.randomness import Noise

__all__ = ["METRIC", "density", "measure"]

ROWS = 1 << 16  # that models without parameters score together
# Half the width of practical equivalence, in nats: of a variable, and the most of a row, which no
# columns of noise beside the ones that matter may widen further.
PER_VARIABLE, PER_ROW = 0.01, 0.05

METRIC = Metric(
    name="log-likelihood",
    about="log density of held-out rows",
    needs="density",
    higher_is_better=True,
    home="sourcewise.metrics.log_likelihood:measure",
    unit=lambda coding: f"nats per {coding.unit}",
    region=lambda coding, baseline: min(PER_VARIABLE * coding.variables, PER_ROW),
    of_log_densities=True,
)


def measure(trained: Trained, held_out: HeldOut, noise: Noise) -> Contributions:
    """Log densities, and the errors that a source's share where they are estimates."""
    assert isinstance(trained.model, PartitionedModel)
    found = density(trained.model, held_out.batch, noise)
    assert found.shared is not None
    shared = found.shared.columns * _rows_per_unit(held_out.batch, len(found.shared.columns))
    return Contributions(found.value + held_out.log_det, shared)


def _rows_per_unit(batch: Batch, K: int) -> torch.Tensor:
    """(K, 1) what an error of a source's log densities counts in its value; 1 without rows."""
    rows, units = torch.zeros(2, K, dtype=torch.float64)
    rows.index_add_(0, batch.y, torch.ones_like(batch.size))
    units.index_add_(0, batch.y, batch.size)
    return torch.where(units > 0, rows / units, 1.0)[:, None]


@torch.no_grad()
def density(model: PartitionedModel, batch: Batch, noise: Noise) -> Density:
    """Of encoded rows, float64, where the parameters are, chunk by chunk.

    Its errors are 0 for sources whose densities are exact, NaN for those without a model.

    Models without parameters have no activations to hold: they take more rows at once.
    """
    first = next(model.parameters(), None)
    rows = torch.arange(len(batch)).split(ROWS) if first is None else chunks(batch.x)
    out, kind = torch.empty(len(batch), dtype=torch.float64), "exact"
    shared = torch.full((len(model.names), 3), torch.nan, dtype=torch.float64)
    shared[list(model.partition.sources)] = 0.0
    for number, index in enumerate(rows):
        part = batch.take(index)
        part = part if first is None else part.to(first.device, first.dtype)
        found = model.log_density(part, noise.of("chunk", number))
        out[index], kind = found.value.double().cpu(), found.kind
        if found.shared is not None:
            shared = torch.fmax(shared, found.shared.columns)
    return Density(out, kind, SharedError.of(shared))
