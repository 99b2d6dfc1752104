"""A bound of the log-likelihood of held-out rows, in nats per unit and in original units.

A row contributes a random number whose expectation is at most `log p(x | y)`, by noise that is
keyed by its source and its place among the rows: all strategies are judged by the same noise, and
what a row's number has of its own noise is in the spread of rows, from which intervals come.

It is a sum of `BOUND_TERMS`. A likelihood counts what nobody sees as it counts what everybody
does: where a difference comes from says what draws will show of it.
"""

import torch
from torch import Tensor

from sourcewise.batch import Batch, chunks
from sourcewise.families.offers import BOUND_TERMS
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.metrics.base import Contributions, HeldOut, Metric, Trained
from sourcewise.metrics.log_likelihood import PER_ROW, PER_VARIABLE
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["METRIC", "bound", "bound_terms", "measure"]

SYMBOLS, NUMBERS = 1 << 15, 1 << 20  # of rows that are scored at once

METRIC = Metric(
    name="likelihood-bound",
    about="lower bound of the log-likelihood of held-out rows, by noise that strategies share",
    needs="bound",
    higher_is_better=True,
    home="sourcewise.metrics.likelihood_bound:measure",
    unit=lambda coding: f"nats per {coding.unit}",
    region=lambda coding, baseline: min(PER_VARIABLE * coding.variables, PER_ROW),
    terms=BOUND_TERMS,
)


def measure(trained: Trained, held_out: HeldOut, noise: Noise) -> Contributions:
    """Bounds of log densities; rows are numbered as they stand."""
    model, batch = trained.model, held_out.batch
    assert isinstance(model, PartitionedModel)
    terms = bound_terms(model, batch, noise.each(batch.y))
    terms[:, -1] += held_out.log_det
    shared = torch.zeros(len(model.names), 3, dtype=torch.float64)
    return Contributions(terms.sum(1), shared, terms)


def bound(model: PartitionedModel, batch: Batch, noise: ExampleNoise) -> Tensor:
    """(B,) float64 of encoded rows."""
    return bound_terms(model, batch, noise).sum(1)


@torch.no_grad()
def bound_terms(model: PartitionedModel, batch: Batch, noise: ExampleNoise) -> Tensor:
    """(B, 4) float64 of encoded rows, where the parameters are, chunk by chunk."""
    first = next(model.parameters())
    rows = torch.empty(len(batch), len(BOUND_TERMS), dtype=torch.float64)
    entries = batch.x.shape[1] if isinstance(batch.x, Tensor) else 1
    for index in chunks(batch.x, min(SYMBOLS, 8 * NUMBERS // entries)):
        part = batch.take(index).to(first.device, first.dtype)
        rows[index] = model.bound(part, noise.take(index)).double().cpu()
    return rows
