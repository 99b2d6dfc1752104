"""Rows of a split as tensors, and labels for the control that trains on shuffled ones."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.encoders.base import Encoder, Rows
from sourcewise.fitting.job import Job, Split
from sourcewise.randomness import Noise

__all__ = ["Encoded", "encoded_batch", "prepared_rows", "shuffled_labels"]


@dataclass(frozen=True)
class Encoded:
    """Rows of a split as tensors; the encoder is fitted on training and validation rows.

    Args:
        encoder: shared by all strategies.
        scored: training rows as metrics take them, with their true sources.
        log_det: (n_train,) log |dz/dx|.
        filled: the same as training takes them.
        valid: validation rows, likewise.
    """

    encoder: Encoder
    scored: Batch
    log_det: Tensor
    filled: Batch
    valid: Batch

    @classmethod
    def of(cls, job: Job, rows: Rows, split: Split) -> "Encoded":
        """Fit the encoder and encode."""
        y = job.data.y
        known = torch.cat([split.train, split.valid]).sort().values
        encoder = job.coding.fit(rows.take(known), y[known], job.data.K)
        scored, log_det = encoded_batch(job, encoder, rows, split.train)
        valid, _ = encoded_batch(job, encoder, rows, split.valid)
        filled = _filled(scored, encoder, rows.take(split.train))
        return cls(
            encoder, scored, log_det, filled, _filled(valid, encoder, rows.take(split.valid))
        )


def encoded_batch(job: Job, encoder: Encoder, rows: Rows, index: Tensor) -> tuple[Batch, Tensor]:
    """Some rows as metrics take them, and (B,) the log |dz/dx|.

    Args:
        job: what is fitted.
        encoder: of the split.
        rows: all n rows.
        index: (B,) which.
    """
    z, log_det = encoder.encode(rows.take(index), job.data.y[index])
    c = None if job.data.c is None else job.data.c[index]
    return Batch(z, job.data.y[index], c, job.sizes[index]), log_det


def _filled(batch: Batch, encoder: Encoder, rows: Rows) -> Batch:
    """As training takes them: without gaps."""
    return replace(batch, x=encoder.fill(batch.x, rows, batch.y))


def prepared_rows(job: Job, noise: Noise) -> Rows:
    """All rows with everything done that needs no fitting, once per repetition."""
    return job.coding.prepare(job.data.x, noise.of("encode").each(job.data.y))


def shuffled_labels(y: Tensor, fold: Tensor, noise: Noise) -> Tensor:
    """Labels permuted inside each fold, so that every training set keeps its counts."""
    out = y.clone()
    for part in fold.unique().tolist():
        rows = (fold == part).nonzero().squeeze(1)
        out[rows] = y[rows[noise.of("shuffle", part).permutation(len(rows))]]
    return out
