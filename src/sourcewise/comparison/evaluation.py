"""Train every strategy on some rows, score it on others: the step that all scopes repeat."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.encoders.numeric import Lifted, NumericColumn, NumericEncoder, lift
from sourcewise.forms import as_table
from sourcewise.models.families import Family
from sourcewise.models.partitioned import PartitionedModel
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy
from sourcewise.training import Effort, fit

__all__ = ["Fitted", "Job", "Scores", "evaluate", "fit_all", "fit_strategy", "lifted", "shuffle"]


@dataclass(frozen=True)
class Job:
    """All that stays the same throughout a comparison.

    Args:
        data: the screened sample.
        columns: how each column is encoded.
        family: the model family.
        settings: its settings, the same for all strategies.
        strategies: what is compared.
        tested: the sources that are tested (the others only train with them).
    """

    data: Sources
    columns: tuple[NumericColumn, ...]
    family: Family
    settings: Settings
    strategies: tuple[Strategy, ...]
    tested: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The sources' names."""
        return tuple(self.data.names)


@dataclass(frozen=True)
class Fitted:
    """A trained strategy: the model, the encoder of its data, and what training cost."""

    model: PartitionedModel
    encoder: NumericEncoder
    efforts: tuple[Effort, ...]

    def log_prob(self, rows: Lifted, y: Tensor) -> Tensor:
        """Log density in original units, (n,)."""
        z, log_det = self.encoder.encode(rows, y)
        return self.model.log_prob(z, y) + log_det


@dataclass(frozen=True)
class Scores:
    """Of one strategy on one split.

    Args:
        test: (n_test,) log density of each test row.
        train: (K,) mean log density of each source's own training rows; NaN if it has none.
        examples_seen: (K,) by the model of each source's block.
        updates: (K,) likewise.
        parameters: free parameters of all models together.
    """

    test: Tensor
    train: Tensor
    examples_seen: Tensor
    updates: Tensor
    parameters: int


def lifted(job: Job, noise: Noise) -> Lifted:
    """All rows with everything done that needs no fitting, once per repetition."""
    return lift(as_table(job.data.x), job.columns, noise.of("encode").each(job.data.y))


def shuffle(y: Tensor, fold: Tensor, noise: Noise) -> Tensor:
    """Labels permuted inside each fold, so that every training set keeps its counts."""
    out = y.clone()
    for part in fold.unique().tolist():
        rows = (fold == part).nonzero().squeeze(1)
        out[rows] = y[rows[noise.of("shuffle", part).permutation(len(rows))]]
    return out


def fit_strategy(
    job: Job, partition: Partition, encoder: NumericEncoder, z: Tensor, y: Tensor
) -> Fitted:
    """Train one strategy on encoded rows (n, d) of sources y (n,)."""
    present = y.unique().tolist()
    model = PartitionedModel(
        partition.keep(present, needed=job.tested),
        lambda K: job.family.build(job.settings, K=K, d=z.shape[1]),
        job.names,
    )
    return Fitted(model, encoder, tuple(fit(model, z, y, job.names)))


def evaluate(
    job: Job,
    rows: Lifted,
    train: Tensor,
    test: Tensor,
    shuffled: Tensor,
) -> Mapping[str, Scores]:
    """Train every strategy on the rows `train` and score it on the rows `test`.

    Args:
        job: what is compared.
        rows: all n rows.
        train: indices of the training rows, of all sources.
        test: indices of the test rows, of tested sources.
        shuffled: (n,) permuted labels, for the control that trains on them.
    """
    y, K = job.data.y, job.data.K
    y_train, test_rows = y[train], rows.take(test)
    encoder, z, filled, log_det = _encode(job, rows.take(train), y_train)
    out = {}
    for strategy in job.strategies:
        labels = shuffled[train] if strategy.shuffled else y_train
        fitted = fit_strategy(job, strategy.partition, encoder, filled, labels)
        inside = (fitted.model.routes[y_train, 0] >= 0).nonzero().squeeze(1)
        own = fitted.model.log_prob(z[inside], y_train[inside]) + log_det[inside]
        seen, updates = _per_source(fitted)
        out[strategy.name] = Scores(
            fitted.log_prob(test_rows, y[test]),
            _mean_by(own, y_train[inside], K),
            seen,
            updates,
            fitted.model.free_parameters,
        )
    return out


def fit_all(job: Job, rows: Lifted, fold: Tensor, noise: Noise) -> dict[str, Fitted]:
    """Every strategy trained on all rows: the models to keep."""
    y = job.data.y
    encoder, _, filled, _ = _encode(job, rows, y)
    shuffled = shuffle(y, fold, noise)
    return {
        strategy.name: fit_strategy(
            job, strategy.partition, encoder, filled, shuffled if strategy.shuffled else y
        )
        for strategy in job.strategies
    }


def _encode(job: Job, rows: Lifted, y: Tensor) -> tuple[NumericEncoder, Tensor, Tensor, Tensor]:
    """An encoder fitted on these rows; the rows to score, to train on, and the Jacobian."""
    encoder = NumericEncoder.fit(job.columns, rows, y, job.data.K)
    z, log_det = encoder.encode(rows, y)
    return encoder, z, encoder.fill(z, rows, y), log_det


def _mean_by(values: Tensor, y: Tensor, K: int) -> Tensor:
    """(K,) mean of each source's values; NaN where it has none."""
    sums = torch.zeros(K, dtype=values.dtype).index_add_(0, y, values)
    return sums / torch.bincount(y, minlength=K)


def _per_source(fitted: Fitted) -> tuple[Tensor, Tensor]:
    seen, updates = torch.zeros(2, len(fitted.model.names), dtype=torch.float64)
    for block, effort in zip(fitted.model.partition, fitted.efforts, strict=True):
        seen[list(block)], updates[list(block)] = effort.examples_seen, effort.updates
    return seen, updates
