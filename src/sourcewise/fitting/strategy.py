"""Rows of a split as tensors, a strategy in training on them, and what comes of it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.base import Encoder, Rows
from sourcewise.families.base import Diagnosed
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.job import Job, Split, Work, shuffled_labels
from sourcewise.metrics.base import HeldOut
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy
from sourcewise.training import Effort, TrainingData, fit

__all__ = [
    "Encoded",
    "TrainedStrategy",
    "encoded_batch",
    "filled_batch",
    "fit_all",
    "fit_strategy",
    "fitted_encoder",
    "untrained",
    "whole_split",
]


@dataclass(frozen=True)
class Encoded:
    """Rows of a split as tensors; the encoder is fitted on training and validation rows."""

    encoder: Encoder  # shared by all strategies
    scored: Batch  # training rows as metrics take them, with their true sources
    log_det: Tensor  # (n_train,) log |dz/dx|
    filled: Batch  # the same as training takes them
    valid: Batch  # validation rows, likewise

    @classmethod
    def of(cls, job: Job, rows: Rows, split: Split) -> "Encoded":
        """Fit the encoder and encode."""
        encoder = fitted_encoder(job, rows, split)
        scored, log_det = encoded_batch(job, encoder, rows, split.train)
        filled = _filled(scored, encoder, rows.take(split.train))
        return cls(encoder, scored, log_det, filled, filled_batch(job, encoder, rows, split.valid))


def fitted_encoder(job: Job, rows: Rows, split: Split) -> Encoder:
    """The encoder of a split: of its training and validation rows."""
    known = torch.cat([split.train, split.valid]).sort().values
    return job.coding.fit(rows.take(known), job.data.y[known], job.data.K)


def encoded_batch(job: Job, encoder: Encoder, rows: Rows, index: Tensor) -> tuple[Batch, Tensor]:
    """Some rows as metrics take them, and (B,) the log |dz/dx|."""
    z, log_det = encoder.encode(rows.take(index), job.data.y[index])
    c = None if job.data.c is None else job.data.c[index]
    return Batch(z, job.data.y[index], c, job.sizes[index]), log_det


def filled_batch(job: Job, encoder: Encoder, rows: Rows, index: Tensor) -> Batch:
    """Some rows as training takes them: without gaps."""
    return _filled(encoded_batch(job, encoder, rows, index)[0], encoder, rows.take(index))


def _filled(batch: Batch, encoder: Encoder, rows: Rows) -> Batch:
    return replace(batch, x=encoder.fill(batch.x, rows, batch.y))


@dataclass(frozen=True)
class TrainedStrategy:
    """A trained strategy: the model, the encoder of its data, and what training cost."""

    model: PartitionedModel
    encoder: Encoder
    efforts: tuple[Effort, ...]

    @property
    def diagnosed(self) -> Diagnosed:
        """What its models say of their fits."""
        return Diagnosed(self.model.diagnostics(), self.efforts)

    def held_out(self, data: Sources, rows: Rows, sizes: Tensor) -> HeldOut:
        """Rows as metrics take them."""
        z, log_det = self.encoder.encode(rows, data.y)
        return HeldOut(data.x, Batch(z, data.y, data.c, sizes), log_det)


def untrained(job: Job, strategy: Strategy, encoder: Encoder, y: Tensor) -> PartitionedModel:
    """The models of a strategy, for the sources among y that are needed."""
    settings, sizes = job.settings_of(strategy), encoder.sizes
    partition = strategy.partition.keep(y.unique().tolist(), needed=job.tested)
    job.family.refuse_large(settings, K=max(map(len, partition)), **sizes)
    return PartitionedModel(
        partition, lambda K: job.family.build(settings, K=K, **sizes), job.names
    )


def fit_strategy(
    job: Job, strategy: Strategy, encoded: Encoded, split: Split, labels: Tensor, work: Work
) -> TrainedStrategy:
    """Train one strategy on the encoded rows of a split; `labels` (n,) are of all rows."""
    train = replace(encoded.filled, y=labels[split.train])
    valid = replace(encoded.valid, y=labels[split.valid])
    model = untrained(job, strategy, encoded.encoder, train.y)
    efforts = fit(
        model,
        TrainingData(train, valid),
        names=job.names,
        noise=work.noise,
        settings=job.settings_of(strategy),
        progress=work.progress,
        folder=work.folder,
        execution=work.execution,
    )
    return TrainedStrategy(model, encoded.encoder, tuple(efforts))


def whole_split(job: Job, noise: Noise) -> Split:
    """All rows train, apart from those that tell when to stop."""
    every = torch.arange(len(job.data))
    return Split.of(job, every, every[:0], noise.of("validation"))


def fit_all(job: Job, rows: Rows, fold: Tensor, work: Work) -> dict[str, TrainedStrategy]:
    """Every strategy trained on all rows: the models to keep.

    Within a fold (n,) labels are shuffled, for the control that trains on such.
    """
    y, noise = job.data.y, work.noise
    split = whole_split(job, noise)
    encoded = Encoded.of(job, rows, split)
    shuffled = shuffled_labels(y, fold, noise)
    work, trained = replace(work, noise=noise.of("training", "all rows")), {}
    for i, strategy in enumerate(job.strategies):
        labels = shuffled if strategy.shuffled else y
        part = work.part(i, len(job.strategies), strategy.name)
        trained[strategy.name] = fit_strategy(job, strategy, encoded, split, labels, part)
    return trained
