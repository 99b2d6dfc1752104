"""Rows of a split as tensors, a strategy in training on them, and what comes of it."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.base import Encoder, Rows, Sizes
from sourcewise.encoders.given import GivenEncoder, GivenRows
from sourcewise.families.base import Diagnosed
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.job import Job, Split, Work, shuffled_labels
from sourcewise.forms import Ragged, Table, X, as_table, take
from sourcewise.metrics.base import HeldOut
from sourcewise.metrics.features import registry as features
from sourcewise.metrics.features.base import Features
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.sources import Sources
from sourcewise.strategies import Strategy
from sourcewise.training import Effort, TrainingData, fit

__all__ = [
    "Encoded",
    "TrainedStrategy",
    "encoded_batch",
    "features_of",
    "fit_all",
    "fit_strategy",
    "sizes_of",
    "untrained",
    "whole_split",
]


@dataclass(frozen=True)
class Encoded:
    """Rows of a split as tensors; encoders and features are fitted on all rows but the test's."""

    encoder: Encoder  # shared by all strategies
    given: GivenEncoder | None  # likewise, if there are given columns
    features: Features | None  # likewise, if the metric asks for them
    scored: Batch  # training rows as metrics take them, with their true sources
    log_det: Tensor  # (n_train,) log |dz/dx|
    filled: Batch  # the same as training takes them
    valid: Batch  # validation rows, likewise

    @classmethod
    def of(cls, job: Job, rows: Rows, split: Split) -> "Encoded":
        """Fit the encoder and encode."""
        y = job.data.y
        known = torch.cat([split.train, split.valid]).sort().values
        encoder = job.coding.fit(rows.take(known), y[known], job.data.K)
        c = job.data.c
        given = None if c is None else GivenEncoder.fit(take(c, known))
        scored, log_det = encoded_batch(job, encoder, given, rows, split.train)
        valid, _ = encoded_batch(job, encoder, given, rows, split.valid)
        filled = _filled(scored, encoder, rows.take(split.train))
        last = _filled(valid, encoder, rows.take(split.valid))
        return cls(encoder, given, features_of(job, known), scored, log_det, filled, last)

    @property
    def sizes(self) -> Sizes:
        """What a model must know of the data."""
        return sizes_of(self.encoder, self.given)


def sizes_of(encoder: Encoder, given: GivenEncoder | None) -> Sizes:
    """What a model must know of the data: C where there are given columns."""
    return encoder.sizes if given is None else {**encoder.sizes, "C": given.width}


def features_of(job: Job, index: Tensor) -> Features | None:
    """Features by some rows, if the metric asks for them."""
    x = job.data.x
    return features.fit(take(x, index), job.coding) if job.metric.features else None


def encoded_batch(
    job: Job, encoder: Encoder, given: GivenEncoder | None, rows: Rows, index: Tensor
) -> tuple[Batch, Tensor]:
    """Some rows as metrics take them, and (B,) the log |dz/dx|."""
    z, log_det = encoder.encode(rows.take(index), job.data.y[index])
    c = _encoded(job.data.c, given, index)
    return Batch(z, job.data.y[index], c, job.sizes[index]), log_det


def _encoded(c: X | None, given: GivenEncoder | None, index: Tensor) -> Tensor | None:
    return None if c is None or given is None else given.encode(take(c, index))


def _filled(batch: Batch, encoder: Encoder, rows: Rows) -> Batch:
    """As training takes them: without gaps."""
    return replace(batch, x=encoder.fill(batch.x, rows, batch.y))


@dataclass(frozen=True)
class TrainedStrategy:
    """A trained strategy: its models, the encoders and features of its data, its efforts."""

    model: PartitionedModel
    encoder: Encoder
    efforts: tuple[Effort, ...]
    given: GivenEncoder | None = None
    given_rows: GivenRows | None = None
    features: Features | None = None

    @property
    def sizes(self) -> Sizes:
        """What its models know of the data."""
        return sizes_of(self.encoder, self.given)

    def draw(
        self, y: Tensor, noise: ExampleNoise, c: Tensor | None = None, **options: Any
    ) -> tuple[X, Tensor | None]:
        """A draw for each entry of y in original units, and the given columns (B, C) of it.

        Args:
            y: (B,) sources.
            noise: of each.
            c: (B, C) given columns, encoded; None: those of training rows, if there are such.
            **options: what the family's `sample` takes besides.
        """
        if c is None and self.given_rows is not None:
            c = self.given_rows.draw(y, noise)
        with torch.no_grad():
            return self.encoder.decode(self.model.sample(y, noise, c, **options)), c

    def rows_of(self, x: X, c: Tensor | None) -> X:
        """Draws with their given columns (B, C) before them, where there are such."""
        if self.given is None or c is None or isinstance(x, Ragged):
            return x
        given, table = self.given.decode(c), as_table(x)
        columns = {**given.columns, **table.columns}
        return Table(columns, (*given.schema, *table.schema))

    @property
    def diagnosed(self) -> Diagnosed:
        """What its models say of their fits."""
        return Diagnosed(self.model.diagnostics(), self.efforts)

    def held_out(self, data: Sources, rows: Rows, sizes: Tensor) -> HeldOut:
        """Rows as metrics take them."""
        z, log_det = self.encoder.encode(rows, data.y)
        c = _encoded(data.c, self.given, torch.arange(len(data)))
        return HeldOut(data.x, Batch(z, data.y, c, sizes), log_det)


def untrained(job: Job, strategy: Strategy, sizes: Sizes, y: Tensor) -> PartitionedModel:
    """The models of a strategy, for the sources among y that are needed."""
    settings = job.settings_of(strategy)
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
    model = untrained(job, strategy, encoded.sizes, train.y)
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
    return TrainedStrategy(
        model,
        encoded.encoder,
        tuple(efforts),
        encoded.given,
        None if encoded.scored.c is None else GivenRows(encoded.scored.y, encoded.scored.c),
        encoded.features,
    )


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
