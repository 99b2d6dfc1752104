"""A bound of the log-likelihood of held-out rows, in nats per unit and in original units.

A row contributes a random number whose expectation is at most `log p(x | y)`, by noise that is
keyed by its source and its place among the rows: all strategies are judged by the same noise, and
what a row's number has of its own noise is in the spread of rows, from which intervals come.
"""

import torch

from sourcewise.batch import chunks
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.base import Contributions, HeldOut, Metric, Trained
from sourcewise.metrics.log_likelihood import PER_ROW, PER_VARIABLE
from sourcewise.randomness import Noise

__all__ = ["METRIC", "measure"]

METRIC = Metric(
    name="likelihood-bound",
    about="lower bound of the log-likelihood of held-out rows, by noise that strategies share",
    needs="bound",
    higher_is_better=True,
    home="sourcewise.metrics.likelihood_bound:measure",
    unit=lambda coding: f"nats per {coding.unit}",
    region=lambda coding, baseline: min(PER_VARIABLE * coding.variables, PER_ROW),
)


@torch.no_grad()
def measure(trained: Trained, held_out: HeldOut, noise: Noise) -> Contributions:
    """Bounds of log densities, float64, where the parameters are, chunk by chunk."""
    model, batch = trained.model, held_out.batch
    assert isinstance(model, PartitionedModel)
    first, each = next(model.parameters()), noise.of("bound").each(batch.y)
    rows = torch.empty(len(batch), dtype=torch.float64)
    for index in chunks(batch.x):
        part = batch.take(index).to(first.device, first.dtype)
        rows[index] = model.bound(part, each.take(index)).double().cpu()
    shared = torch.zeros(len(model.names), 3, dtype=torch.float64)
    return Contributions(rows + held_out.log_det, shared)
