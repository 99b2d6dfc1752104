"""Train every strategy on some rows, measure it on others: the step that all scopes repeat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.encoders.base import Rows
from sourcewise.fitting.encoded import Encoded, encoded_batch
from sourcewise.fitting.job import Job, Split, Work
from sourcewise.fitting.label_probe import label_effect
from sourcewise.fitting.strategy import TrainedStrategy, fit_strategy
from sourcewise.forms import take
from sourcewise.metrics.base import HeldOut
from sourcewise.randomness import Noise

__all__ = ["Keep", "Scores", "evaluate"]

Keep = Callable[[str, TrainedStrategy], None]


@dataclass(frozen=True)
class Scores:
    """Of one strategy on one split.

    Args:
        test: (n_test,) what each test row contributes to the metric.
        train: (K,) the metric on each source's own training rows; NaN if it has none, or if the
            metric is not of densities.
        shown: (M, K) metrics that are shown.
        examples_seen: (K,) by the model of each source's block.
        updates: (K,) likewise.
        best: (K,) the update whose weights were kept, likewise; NaN if the last.
        validation: (K,) their loss on the validation rows; NaN without such rows.
        parameters: free parameters of all models together.
        label: (2,) from `label_effect`; NaN where not asked for.
        shared_error: (K, 3) see `metrics.base.Contributions`.
    """

    test: Tensor
    train: Tensor
    shown: Tensor
    examples_seen: Tensor
    updates: Tensor
    best: Tensor
    validation: Tensor
    parameters: int
    label: Tensor
    shared_error: Tensor


def evaluate(
    job: Job,
    rows: Rows,
    split: Split,
    shuffled: Tensor,
    work: Work,
    keep: Keep | None = None,
) -> Mapping[str, Scores]:
    """Train every strategy on the training rows of a split and measure it on its test rows.

    Args:
        job: what is compared.
        rows: all n rows.
        split: which train and which test.
        shuffled: (n,) permuted labels, for the control that trains on them.
        work: randomness, folder and progress of the training.
        keep: called with each strategy's name and models.
    """
    encoded = Encoded.of(job, rows, split)
    test = encoded_batch(job, encoded.encoder, rows, split.test)
    held_out = HeldOut(take(job.data.x, split.test), *test)
    out = {}
    for i, strategy in enumerate(job.strategies):
        labels = shuffled if strategy.shuffled else job.data.y
        part = work.part(i, len(job.strategies), strategy.name)
        trained = fit_strategy(job, strategy, encoded, split, labels, part)
        out[strategy.name] = _score(job, trained, encoded, split, held_out, work)
        if keep is not None:
            keep(strategy.name, trained)
    return out


def _score(
    job: Job,
    trained: TrainedStrategy,
    encoded: Encoded,
    split: Split,
    held_out: HeldOut,
    work: Work,
) -> Scores:
    noise = work.noise.of("metric")
    found = job.metric.measure(trained, held_out, noise)
    shown = [metric.values(trained, held_out, noise.of(metric.name)) for metric in job.shown]
    label = torch.full((2,), torch.nan, dtype=torch.float64)
    if work.probe and job.metric.needs == "density":
        label = label_effect(trained.model, found.rows, held_out, work.noise.of("probe"))
    empty = torch.empty(0, job.data.K, dtype=torch.float64)
    return Scores(
        found.rows,
        _own_rows(job, trained, encoded, split.train),
        torch.stack(shown) if shown else empty,
        **_per_source(trained),
        parameters=trained.model.free_parameters,
        label=label,
        shared_error=found.shared,
    )


def _own_rows(job: Job, trained: TrainedStrategy, encoded: Encoded, train: Tensor) -> Tensor:
    """(K,) the metric on each source's training rows; NaN where it has none."""
    y, K = job.data.y[train], job.data.K
    if job.metric.needs != "density":
        return torch.full((K,), torch.nan, dtype=torch.float64)
    inside = (trained.model.routes[y, 0] >= 0).nonzero().squeeze(1)
    whole = len(inside) == len(y)
    y, x = y[inside], take(job.data.x, train[inside])
    batch = encoded.scored if whole else encoded.scored.take(inside)
    held_in = HeldOut(x, batch, encoded.log_det[inside])
    own = job.metric.measure(trained, held_in, Noise(0)).rows
    sums, sizes = torch.zeros(2, K, dtype=torch.float64)
    sums.index_add_(0, y, own)
    return sums / sizes.index_add_(0, y, batch.size)


def _per_source(trained: TrainedStrategy) -> dict[str, Tensor]:
    """(K,) each: what training the model of a source's block took; 0 or NaN where not known."""
    out = {}
    for quantity in ("examples_seen", "updates", "best", "validation"):
        start = 0.0 if quantity in ("examples_seen", "updates") else torch.nan
        out[quantity] = torch.full((len(trained.model.names),), start, dtype=torch.float64)
        for block, effort in zip(trained.model.partition, trained.efforts, strict=True):
            value = getattr(effort, quantity)
            out[quantity][list(block)] = torch.nan if value is None else float(value)
    return out
