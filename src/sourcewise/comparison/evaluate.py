"""Train every strategy on some rows, score it on others: the step that all scopes repeat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.encoders.base import Rows, Z
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.encoded import Encoded
from sourcewise.fitting.job import Job, Split, Work
from sourcewise.fitting.scoring import label_effect, log_prob
from sourcewise.fitting.strategy import TrainedStrategy, fit_strategy
from sourcewise.forms import take

__all__ = ["Keep", "Scores", "evaluate"]

Keep = Callable[[str, TrainedStrategy], None]


@dataclass(frozen=True)
class Scores:
    """Of one strategy on one split.

    Args:
        test: (n_test,) log density of each test row.
        train: (K,) log density per unit of each source's own training rows; NaN if it has none.
        examples_seen: (K,) by the model of each source's block.
        updates: (K,) likewise.
        best: (K,) the update whose weights were kept, likewise; NaN if the last.
        validation: (K,) their loss on the validation rows; NaN without such rows.
        parameters: free parameters of all models together.
        label: (2,) from `label_effect`; NaN where not asked for.
        density_error: (K, 3) errors that log densities of a source share, see `families.base`.
    """

    test: Tensor
    train: Tensor
    examples_seen: Tensor
    updates: Tensor
    best: Tensor
    validation: Tensor
    parameters: int
    label: Tensor
    density_error: Tensor


def evaluate(
    job: Job,
    rows: Rows,
    split: Split,
    shuffled: Tensor,
    work: Work,
    keep: Keep | None = None,
) -> Mapping[str, Scores]:
    """Train every strategy on the training rows of a split and score it on its test rows.

    Args:
        job: what is compared.
        rows: all n rows.
        split: which train and which test.
        shuffled: (n,) permuted labels, for the control that trains on them.
        work: randomness, folder and progress of the training.
        keep: called with each strategy's name and models.
    """
    encoded = Encoded.of(job, rows, split)
    test = encoded.encoder.encode(rows.take(split.test), job.data.y[split.test])
    out = {}
    for i, strategy in enumerate(job.strategies):
        labels = shuffled if strategy.shuffled else job.data.y
        part = work.part(i, len(job.strategies), strategy.name)
        fitted = fit_strategy(job, strategy, encoded, split, labels, part)
        out[strategy.name] = _score(job, fitted, encoded, split, test, work)
        if keep is not None:
            keep(strategy.name, fitted)
    return out


def _score(
    job: Job,
    fitted: TrainedStrategy,
    encoded: Encoded,
    split: Split,
    test: tuple[Z, Tensor],
    work: Work,
) -> Scores:
    (z, log_det), model, y = test, fitted.model, job.data.y[split.test]
    own = log_prob(model, z, y)
    label = torch.full((2,), torch.nan, dtype=torch.float64)
    if work.probe:
        label = label_effect(model, own, z, y, job.sizes[split.test], work.noise.of("probe"))
    return Scores(
        own + log_det,
        _own_rows(job, model, encoded, split.train),
        **_per_source(fitted),
        parameters=model.free_parameters,
        label=label,
        density_error=model.density_error,
    )


def _own_rows(job: Job, model: PartitionedModel, encoded: Encoded, train: Tensor) -> Tensor:
    """(K,) log density per unit of each source's training rows; NaN where it has none."""
    y, K = job.data.y[train], job.data.K
    inside = (model.routes[y, 0] >= 0).nonzero().squeeze(1)
    z = encoded.z if len(inside) == len(y) else take(encoded.z, inside)
    own = log_prob(model, z, y[inside]) + encoded.log_det[inside]
    sums, sizes = torch.zeros(2, K, dtype=torch.float64)
    sums.index_add_(0, y[inside], own)
    return sums / sizes.index_add_(0, y[inside], job.sizes[train][inside])


def _per_source(fitted: TrainedStrategy) -> dict[str, Tensor]:
    """(K,) each: what training the model of a source's block took; 0 or NaN where not known."""
    out = {}
    for quantity in ("examples_seen", "updates", "best", "validation"):
        start = 0.0 if quantity in ("examples_seen", "updates") else torch.nan
        out[quantity] = torch.full((len(fitted.model.names),), start, dtype=torch.float64)
        for block, effort in zip(fitted.model.partition, fitted.efforts, strict=True):
            value = getattr(effort, quantity)
            out[quantity][list(block)] = torch.nan if value is None else float(value)
    return out
