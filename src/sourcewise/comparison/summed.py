"""Scores of cells from sums over parts of the rows: fits cost no pass over the rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.comparison.scores import FOLDS, Cell, CellScores, Scores
from sourcewise.comparison.sums import Sums
from sourcewise.encoders.base import MomentCoding, MomentEncoder, Rows
from sourcewise.families.offers import Solvable, Solved
from sourcewise.fitting.job import Job, Split, Work
from sourcewise.fitting.label_probe import label_effect
from sourcewise.forms import take
from sourcewise.metrics.base import HeldOut
from sourcewise.moments import Moments
from sourcewise.partition import Partition
from sourcewise.randomness import Noise

__all__ = ["source_scores", "summed_scores"]


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
        block = torch.tensor(self.partition.block_of(len(self.labels))) + 1
        total = self.labels.new_zeros(len(self.partition) + 1).index_add_(0, block, self.labels)
        return torch.where(block > 0, total[block], 0.0)


def _fits(job: Job, sums: Sums, train: Tensor) -> Iterator[SummedFit]:
    """Every strategy fitted on some parts, (P,); a fit that is refused is an `InputError`.

    What settings leave open is chosen by the folds among these parts.
    """
    K, folds = job.data.K, _numbered(sums.fold_and_group[0], train)
    G = int(folds.max()) + 1
    by_fold = sums.own.grouped(folds, G)
    own = by_fold.joined(K)
    encoder = cast(MomentCoding, job.coding).fit_moments(own)
    encoded, parts = encoder.encode_moments(own), encoder.encode_moments(by_fold)[0]
    for strategy in job.strategies:
        labelled, inner = encoded[0], parts
        if strategy.shuffled and sums.shuffled is not None:
            inner, _ = encoder.encode_moments(sums.shuffled.grouped(folds, G))
            labelled = inner.joined(K)
        present = labelled.count.nonzero().squeeze(1).tolist()
        partition = strategy.partition.keep(present, needed=job.tested)
        settings, family = job.settings_of(strategy), cast(Solvable, job.family.model_class)
        partial = strategy.partial
        model = family.solve(settings, labelled, partition, job.names, inner, partial)
        yield SummedFit(strategy.name, model, partition, encoder, labelled.count, encoded)


def _numbered(fold: Tensor, train: Tensor) -> Tensor:
    """(P,) the folds of parts that train, numbered anew; -1 for the others."""
    _, number = fold[train].unique(return_inverse=True)
    return torch.full_like(fold, -1).masked_scatter(train, number)


def source_scores(
    job: Job, cell: Cell, sums: Sums, splits: int | None = None
) -> dict[str, CellScores]:
    """The sources' means of a cell, of all folds or the first few."""
    fold, group = sums.fold_and_group
    kept = group != (-1 if cell.deletion is None else cell.deletion)
    scores: dict[str, list[tuple[Tensor, Tensor]]] = {}
    n_train, n_test = [], []
    for f in range(FOLDS)[:splits]:
        train, test = kept & (fold != f), kept & (fold == f)
        n_train.append(sums.own.where(train).count)
        rows = sums.own.where(test)
        n_test.append(rows.count)
        for fit in _fits(job, sums, train):
            scores.setdefault(fit.name, []).append((fit.total(rows), fit.trained))
    tested = torch.isin(torch.arange(job.data.K), torch.tensor(job.tested))
    count = torch.where(tested, torch.stack(n_test).sum(0), 0.0)
    out = {}
    for name, found in scores.items():
        held_out, known = (torch.stack(each) for each in zip(*found, strict=True))
        test = torch.where(tested, held_out.sum(0), torch.nan) / count
        if not bool(test[count > 0].isfinite().all()):  # the first folds may lack some source
            raise FloatingPointError(f"{name}: scores are not finite")
        n = torch.stack(n_train).mean(0)
        out[name] = CellScores.of_sources(test, known.nanmean(0), n, count, len(job.shown))
    return out


def summed_scores(
    job: Job, rows: Rows, sums: Sums, fold: int, split: Split, work: Work
) -> dict[str, Scores]:
    """Every strategy fitted on all parts but a fold, and scored row by row on the fold."""
    out, held_out = {}, None
    for fit in _fits(job, sums, sums.fold_and_group[0] != fold):
        if held_out is None:  # the encoder is the same for all
            y = job.data.y[split.test]
            z, log_det = fit.encoder.encode(rows.take(split.test), y)
            batch = Batch(z, y, None, job.sizes[split.test])
            held_out = HeldOut(take(job.data.x, split.test), batch, log_det)
        out[fit.name] = _scores(fit, held_out, work)
    return out


def _scores(fit: SummedFit, held_out: HeldOut, work: Work) -> Scores:
    model, noise = fit.model, work.noise

    def scored(batch: Batch, at: Tensor, noise: Noise) -> Tensor:
        return model.log_density(batch, noise)

    rows = model.log_density(held_out.batch, noise.of("metric")) + held_out.log_det
    probe = noise.of("probe")
    none = torch.zeros_like(fit.seen)
    unknown = torch.full_like(none, torch.nan)
    shared_error = none.new_full((len(none), 3), torch.nan)
    shared_error[list(fit.partition.sources)] = 0.0
    return Scores(
        rows,
        fit.trained,
        shown=none.new_empty(0, len(none)),
        examples_seen=fit.seen,
        updates=none,
        best=unknown,
        validation=unknown,
        parameters=model.free_parameters,
        label=label_effect(fit.partition, scored, rows, held_out, probe),
        shared_error=shared_error,
        terms=none.new_empty(len(rows), 0),
    )
