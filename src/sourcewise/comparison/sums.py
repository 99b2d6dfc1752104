"""Sums over the rows of a repetition, where fit and density need no more: one pass for all cells.

The rows are added up by fold, jackknife group and source. The training rows of a split are all
parts but those of its fold and of the group left out; its test rows are the rest of the fold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sourcewise.encoders.base import MomentCoding, MomentEncoder, Rows
from sourcewise.families.base import Solvable, Solved
from sourcewise.fitting.job import Job
from sourcewise.moments import MomentParts, Moments
from sourcewise.partition import Partition

__all__ = ["SummedFit", "Sums"]

ROOM, TIMES = 1 << 22, 4  # numbers that sums may take: ROOM, and TIMES those of the rows


@dataclass(frozen=True)
class Sums:
    """By parts of the rows."""

    own: MomentParts  # by the rows' sources
    shuffled: MomentParts | None  # by permuted labels, if a strategy trains on such

    @classmethod
    def of(cls, job: Job, rows: Rows, shuffled: Tensor, part: Tensor, P: int) -> "Sums | None":
        """Add the rows up, each of one of P parts, (n,).

        Returns:
            None where the family, its coding, the metric or the rows need more than sums, or where
            rows are so few and wide that their sums are larger than they are.
        """
        coding, n, d = job.coding, len(rows), job.coding.variables
        enough = isinstance(job.family.model_class, Solvable) and job.metric.of_log_densities
        if not (enough and isinstance(coding, MomentCoding)) or job.data.c is not None:
            return None
        if 3 * d * d * min(n, P * job.data.K) > ROOM + TIMES * n * d:
            return None
        own = coding.moment_parts(rows, job.data.y, part, job.data.K)
        if own is None or not any(strategy.shuffled for strategy in job.strategies):
            return None if own is None else cls(own, None)
        return cls(own, coding.moment_parts(rows, shuffled, part, job.data.K))

    def counts(self, parts: Tensor) -> Tensor:
        """(K,) rows of the sources in some parts, (P,)."""
        return self.own.where(parts).count

    def fits(self, job: Job, train: Tensor) -> Iterator["SummedFit"]:
        """Every strategy fitted on some parts, (P,).

        Raises:
            InputError: a fit that the family refuses.
        """
        own = self.own.where(train)
        encoder = cast(MomentCoding, job.coding).fit_moments(own)
        encoded = encoder.encode_moments(own)
        for strategy in job.strategies:
            labelled, _ = encoded
            if strategy.shuffled and self.shuffled is not None:
                labelled, _ = encoder.encode_moments(self.shuffled.where(train))
            present = labelled.count.nonzero().squeeze(1).tolist()
            partition = strategy.partition.keep(present, needed=job.tested)
            settings, family = job.settings_of(strategy), cast(Solvable, job.family.model_class)
            model = family.solve(settings, labelled, partition, job.names)
            yield SummedFit(strategy.name, model, partition, encoder, labelled.count, encoded)


@dataclass(frozen=True)
class SummedFit:
    """A strategy fitted to sums over its training rows."""

    name: str  # of the strategy
    model: Solved  # its models
    partition: Partition  # of the sources among them
    encoder: MomentEncoder  # of their data
    labels: Tensor  # (K,) training rows by the labels that they were trained with
    known: tuple[Moments, Tensor]  # the training rows by their sources, encoded

    @property
    def trained(self) -> Tensor:
        """(K,) the log density of each source's training rows, on average, in original units."""
        rows, log_det = self.known
        return (self.model.total_log_density(rows) + log_det) / rows.count

    def total(self, rows: Moments) -> Tensor:
        """(K,) the log density of other rows, summed, in original units."""
        encoded, log_det = self.encoder.encode_moments(rows)
        return self.model.total_log_density(encoded) + log_det

    @property
    def seen(self) -> Tensor:
        """(K,) training rows of the model of each source's block; 0 without one."""
        out = torch.zeros_like(self.labels)
        for block in self.partition:
            out[list(block)] = self.labels[list(block)].sum()
        return out
