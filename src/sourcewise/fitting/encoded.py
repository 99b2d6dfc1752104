"""Rows of a split as tensors, and labels for the control that trains on shuffled ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.encoders.base import Encoder, Rows, Z
from sourcewise.fitting.job import Job, Split
from sourcewise.randomness import Noise

__all__ = ["Encoded", "prepared_rows", "shuffled_labels"]


@dataclass(frozen=True)
class Encoded:
    """Rows of a split as tensors; the encoder is fitted on training and validation rows."""

    encoder: Encoder
    z: Z
    log_det: Tensor
    filled: Z
    valid: Z

    @classmethod
    def of(cls, job: Job, rows: Rows, split: Split) -> "Encoded":
        """Fit the encoder and encode."""
        y = job.data.y
        known = torch.cat([split.train, split.valid]).sort().values
        encoder = job.coding.fit(rows.take(known), y[known], job.data.K)
        train, valid = rows.take(split.train), rows.take(split.valid)
        z, log_det = encoder.encode(train, y[split.train])
        filled = encoder.fill(z, train, y[split.train])
        z_valid, _ = encoder.encode(valid, y[split.valid])
        return cls(encoder, z, log_det, filled, encoder.fill(z_valid, valid, y[split.valid]))


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
