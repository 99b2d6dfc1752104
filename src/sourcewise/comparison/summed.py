"""Scores of cells from sums over parts of the rows: fits cost no pass over the rows."""

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.comparison.plan import FOLDS, GROUPS, Cell, CellScores, Plan, Scores, Shared
from sourcewise.comparison.sums import SummedFit, Sums
from sourcewise.fitting.job import Job, Split, Work
from sourcewise.fitting.label_probe import label_effect
from sourcewise.forms import take
from sourcewise.metrics.base import HeldOut

__all__ = ["source_scores", "summed_scores"]


def source_scores(
    plan: Plan, cell: Cell, sums: Sums, splits: int | None = None
) -> dict[str, CellScores]:
    """The sources' means of a cell, from sums over parts of the rows."""
    part, job = torch.arange(FOLDS * GROUPS), plan.job
    kept = part % GROUPS != (-1 if cell.deletion is None else cell.deletion)
    scores: dict[str, list[tuple[Tensor, Tensor]]] = {}
    n_train, n_test = [], []
    for f in range(FOLDS)[:splits]:
        train, test = kept & (part // GROUPS != f), kept & (part // GROUPS == f)
        n_train.append(sums.counts(train))
        n_test.append(sums.counts(test))
        rows = sums.own.where(test)
        for fit in sums.fits(job, train):
            scores.setdefault(fit.name, []).append((fit.total(rows), fit.trained))
    tested = torch.isin(torch.arange(job.data.K), torch.tensor(job.tested))
    count = torch.where(tested, torch.stack(n_test).sum(0), 0.0)
    out = {}
    for name, found in scores.items():
        held_out, known = (torch.stack(each) for each in zip(*found, strict=True))
        test = torch.where(tested, held_out.sum(0), torch.nan) / count
        if not bool(test[tested].isfinite().all()):
            raise FloatingPointError(f"{name}: scores are not finite")
        n = torch.stack(n_train).mean(0)
        out[name] = CellScores.of_sources(test, known.nanmean(0), n, count, len(job.shown))
    return out


def summed_scores(
    job: Job, shared: Shared, sums: Sums, fold: int, split: Split, work: Work
) -> dict[str, Scores]:
    """Every strategy fitted on all parts but a fold, and scored row by row on the fold."""
    part = torch.arange(FOLDS * GROUPS)
    out, held_out = {}, None
    for fit in sums.fits(job, part // GROUPS != fold):
        if held_out is None:  # the encoder is the same for all
            y = job.data.y[split.test]
            z, log_det = fit.encoder.encode(shared.rows.take(split.test), y)
            batch = Batch(z, y, None, job.sizes[split.test])
            held_out = HeldOut(take(job.data.x, split.test), batch, log_det)
        out[fit.name] = _scores(fit, held_out, work)
    return out


def _scores(fit: SummedFit, held_out: HeldOut, work: Work) -> Scores:
    model, noise = fit.model, work.noise
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
        label=label_effect(fit.partition, model.log_density, rows, held_out, probe),
        shared_error=shared_error,
    )
