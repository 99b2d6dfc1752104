"""What held-out rows are under the label of every source: log p(x | y = k), by cross-validation.

Folds keep together what belongs together (see `splits`): no row is scored by a model that has seen
it, a copy of it or a row of its group. All labels of a row meet the same encoding, the same
dequantisation and, where a bound is simulated, the same noise: what differs is the label alone.
"""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.base import Rows
from sourcewise.execution import device_of
from sourcewise.fitting.job import Job, Split, Work
from sourcewise.fitting.strategy import (
    Encoded,
    Encoders,
    TrainedStrategy,
    fit_strategies,
    untrained,
)
from sourcewise.forms import take
from sourcewise.memory import give_back
from sourcewise.metrics.likelihood_bound import bound
from sourcewise.metrics.log_likelihood import density
from sourcewise.randomness import Noise

__all__ = ["fold_scores", "scoring_seconds"]

SOME = 32  # rows that tell how long scoring takes


@dataclass(frozen=True)
class _HeldOut:
    """Rows of a fold, prepared, and what is given beside them."""

    rows: Rows
    y: Tensor  # (m,) their labels, which key their noise and nothing else
    c: Tensor | None
    size: Tensor

    @classmethod
    def of(cls, job: Job, rows: Rows, encoders: Encoders, index: Tensor) -> "_HeldOut":
        """Some of all rows."""
        c, given = job.data.c, encoders.given
        beside = None if c is None or given is None else given.encode(take(c, index))
        return cls(rows.take(index), job.data.y[index], beside, job.sizes[index])

    def labelled(self, trained: TrainedStrategy, k: int) -> tuple[Batch, Tensor]:
        """All of them as rows of source k, and (m,) the log |dz/dx|: gaps may be filled by it."""
        y = torch.full_like(self.y, k)
        z, log_det = trained.encoder.encode(self.rows, y)
        return Batch(z, y, self.c, self.size), log_det


def fold_scores(job: Job, rows: Rows, split: Split, judged: Tensor, work: Work) -> Tensor:
    """(m, J) log densities, or bounds of them, of a split's test rows under each judged source.

    Args:
        job: with the one strategy that is trained.
        rows: all rows, prepared.
        split: which rows train, and which are scored.
        judged: (J,) the sources whose labels are tried.
        work: how and where.
    """
    encoded = Encoded.of(job, rows, split)
    (_, trained), *_ = fit_strategies(job, encoded, split, job.data.y, work)
    del encoded
    give_back()
    held = _HeldOut.of(job, rows, trained.encoders, split.test)
    trained.model.eval()
    out = torch.empty(len(split.test), len(judged), dtype=torch.float64)
    with trained.on(device_of(work.execution.device)):
        for j, k in enumerate(judged.tolist()):
            out[:, j] = _under(job, trained, held, k, work.noise.of("labels"))
    return out


def scoring_seconds(job: Job, rows: Rows, split: Split, encoders: Encoders, labels: int) -> float:
    """That scoring a fold of a trained family takes: some rows by untrained models, one label.

    Models whose densities rest on a simulation are not tried: it is what takes long.
    """
    strategy, test = job.strategies[0], split.test[:SOME]
    y = job.data.y[split.train]
    model = untrained(job, strategy, encoders.sizes(job.family), y)
    if model.block(0).simulated:
        return 0.0
    model.eval()
    trained = TrainedStrategy(model, encoders, ())
    held = _HeldOut.of(job, rows, encoders, test)
    k, noise, start = int(held.y[0]), Noise(0), time.process_time()
    _under(job, trained, held, k, noise)
    return (time.process_time() - start) / len(test) * len(split.test) * labels


def _under(job: Job, trained: TrainedStrategy, held: _HeldOut, k: int, noise: Noise) -> Tensor:
    """(m,) of all rows as rows of source k; the noise is the same for every k."""
    batch, log_det = held.labelled(trained, k)
    if job.metric.needs == "bound":
        return bound(trained.model, batch, noise.each(held.y)) + log_det
    return density(trained.model, batch, noise).value + log_det
