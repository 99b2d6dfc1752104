"""A strategy in training, and what comes of it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.encoders.base import Encoder, Rows
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.encoded import Encoded, shuffled_labels
from sourcewise.fitting.job import Job, Split, Work
from sourcewise.forms import X
from sourcewise.metrics.base import HeldOut
from sourcewise.randomness import Noise
from sourcewise.strategies import Strategy
from sourcewise.training import Effort, TrainingData, fit

__all__ = ["TrainedStrategy", "fit_all", "fit_strategy", "untrained", "whole_split"]


@dataclass(frozen=True)
class TrainedStrategy:
    """A trained strategy: the model, the encoder of its data, and what training cost."""

    model: PartitionedModel
    encoder: Encoder
    efforts: tuple[Effort, ...]

    def held_out(self, x: X, rows: Rows, y: Tensor, sizes: Tensor) -> HeldOut:
        """Rows as metrics take them.

        Args:
            x: n rows, in original units.
            rows: the same with everything done that needs no fitting.
            y: (n,) their sources.
            sizes: (n,) their units.
        """
        return HeldOut(x, y, sizes, *self.encoder.encode(rows, y))


def untrained(job: Job, strategy: Strategy, encoder: Encoder, y: Tensor) -> PartitionedModel:
    """The models of a strategy, for the sources among y that are needed."""
    settings = job.settings_of(strategy)
    return PartitionedModel(
        strategy.partition.keep(y.unique().tolist(), needed=job.tested),
        lambda K: job.family.build(settings, K=K, **encoder.sizes),
        job.names,
    )


def fit_strategy(
    job: Job, strategy: Strategy, encoded: Encoded, split: Split, labels: Tensor, work: Work
) -> TrainedStrategy:
    """Train one strategy on the encoded rows of a split; `labels` (n,) are of all rows."""
    y, y_valid = labels[split.train], labels[split.valid]
    model = untrained(job, strategy, encoded.encoder, y)
    sizes = job.sizes[split.train], job.sizes[split.valid]
    efforts = fit(
        model,
        TrainingData(encoded.filled, y, sizes[0], encoded.valid, y_valid, sizes[1]),
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

    Args:
        job: what is trained.
        rows: all n rows.
        fold: (n,) within which labels are shuffled, for the control that trains on such.
        work: randomness of the repetition, and how and where.
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
