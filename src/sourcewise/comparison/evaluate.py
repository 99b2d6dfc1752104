"""Train every strategy on some rows, measure it on others: the step that all scopes repeat."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.comparison.plan import Plan, Shared
from sourcewise.comparison.scores import Cell, CellScores, Scores
from sourcewise.comparison.summed import source_scores, summed_scores
from sourcewise.encoders.base import Rows
from sourcewise.execution import Execution, device_of
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.fitting.job import Job, Progress, Split, Work
from sourcewise.fitting.label_probe import BOUNDED, PROBED, label_effect
from sourcewise.fitting.strategy import Encoded, TrainedStrategy, encoded_batch, fit_strategies
from sourcewise.forms import take
from sourcewise.memory import give_back
from sourcewise.metrics.base import HeldOut, Metric
from sourcewise.metrics.likelihood_bound import bound
from sourcewise.metrics.log_likelihood import density
from sourcewise.randomness import Noise
from sourcewise.statistics import averaged_errors

__all__ = ["Keep", "evaluate_cell"]

Keep = Callable[[str, TrainedStrategy], None]


def evaluate_cell(
    plan: Plan,
    cell: Cell,
    shared: Shared,
    splits: int | None = None,
    *,
    execution: Execution | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> dict[str, CellScores]:
    """Train and score every strategy on every split of a cell, or on the first few.

    Checkpoints go to the folder, if there is one; `keep` gets the models of every strategy. Of a
    deletion nothing but the sources' means is asked: where sums give them, no row is looked at.
    """
    sums = shared.sums
    if sums is not None and cell.deletion is not None:
        return source_scores(plan.job, cell, sums, splits)
    chosen = list(plan.splits(cell, shared.fold))[:splits]
    per_split = []
    for part, split in enumerate(chosen):
        probe = cell.deletion is None
        noise, where = plan.training_noise(cell, part), execution or Execution()
        work = Work(noise, where, folder, progress, probe)
        work = work.part(part, len(chosen), str(part))
        if sums is None or keep is not None or plan.job.shown:
            scores = evaluate(plan.job, shared.rows, split, shared.shuffled, work, keep)
        else:
            scores = summed_scores(plan.job, shared.rows, sums, part, split, work)
        per_split.append(scores)
        give_back()
    return {
        strategy.name: _collected(
            plan, cell, strategy.name, chosen, [scores[strategy.name] for scores in per_split]
        )
        for strategy in plan.job.strategies
    }


def _collected(
    plan: Plan, cell: Cell, name: str, splits: list[Split], scores: list[Scores]
) -> CellScores:
    """The scores of one strategy on all splits of a cell as one."""
    y, K, n = plan.job.data.y, plan.job.data.K, len(plan.job.data)
    by_row = torch.full((n,), torch.nan, dtype=torch.float64)
    terms = by_row.new_full((n, len(plan.job.metric.terms)), torch.nan)
    for split, score in zip(splits, scores, strict=True):
        by_row[split.test], terms[split.test] = score.test, score.terms
    scored = torch.cat([split.test for split in splits]).sort().values
    if bad := int((~by_row[scored].isfinite()).sum()):
        raise FloatingPointError(f"{name}: {bad} of {len(scored)} scores are not finite")
    sums, sizes = torch.zeros(2, K, dtype=torch.float64)
    sums.index_add_(0, y[scored], by_row[scored])
    sizes.index_add_(0, y[scored], plan.job.weights[scored])

    def mean(quantity: str) -> Tensor:
        return torch.stack([getattr(s, quantity) for s in scores]).mean(0)

    def count(rows: str) -> Tensor:
        counts = [torch.bincount(y[getattr(s, rows)], minlength=K) for s in splits]
        return torch.stack(counts).double().mean(0)

    return CellScores(
        rows=by_row if cell.deletion is None else by_row[:0],
        terms=terms if cell.deletion is None else terms[:0],
        test=sums / sizes,
        train=torch.stack([s.train for s in scores]).nanmean(0),
        n_train=count("train"),
        n_valid=count("valid"),
        n_test=torch.bincount(y[scored], minlength=K).double(),
        test_size=sizes,
        examples_seen=mean("examples_seen"),
        updates=mean("updates"),
        best=mean("best"),
        validation=mean("validation"),
        shown=torch.stack([s.shown for s in scores]).nanmean(0),
        shared_error=torch.from_numpy(
            averaged_errors(torch.stack([s.shared_error for s in scores]))
        ),
        parameters=torch.tensor([s.parameters for s in scores], dtype=torch.float64).mean(),
        label=mean("label"),
    )


def evaluate(
    job: Job, rows: Rows, split: Split, shuffled: Tensor, work: Work, keep: Keep | None = None
) -> Mapping[str, Scores]:
    """Train every strategy on the training rows of a split and measure it on its test rows.

    Labels (n,) are `shuffled` for the control that trains on such; `keep` gets the models.
    """
    encoded = Encoded.of(job, rows, split)
    test = encoded_batch(job, encoded.encoders, rows, split.test)
    held_out = HeldOut(take(job.data.x, split.test), *test)
    out = {}
    for strategy, trained in fit_strategies(job, encoded, split, shuffled, work):
        with trained.on(device_of(work.execution.device)):
            out[strategy.name] = _score(job, trained, encoded, split, held_out, work)
        if keep is not None:
            keep(strategy.name, trained)
    return out


def _score(
    job: Job,
    trained: TrainedStrategy,
    encoded: Encoded,
    split: Split,
    held_out: HeldOut,
    work: Work,
) -> Scores:
    noise = work.noise.of("metric")
    found = job.metric.measure(trained, held_out, noise)
    shown = [metric.values(trained, held_out, noise.of(metric.name)) for metric in job.shown]
    label = torch.full((4,), torch.nan, dtype=torch.float64)
    if work.probe and job.metric.needs != "samples":
        label = _label(trained.model, job.metric, found.rows, held_out, work)
    empty = torch.empty(0, job.data.K, dtype=torch.float64)
    return Scores(
        found.rows,
        _own_rows(job, trained, encoded, split.train),
        torch.stack(shown) if shown else empty,
        **_per_source(trained),
        parameters=trained.model.free_parameters,
        label=label,
        shared_error=found.shared,
        terms=found.rows.new_empty(len(found.rows), 0) if found.terms is None else found.terms,
    )


def _label(
    model: PartitionedModel, metric: Metric, own: Tensor, held_out: HeldOut, work: Work
) -> Tensor:
    """What labels are worth, by log densities or by bounds; of few rows where these take long."""
    bounds = metric.needs == "bound"
    each = work.noise.of("metric").each(held_out.batch.y)  # what the rows' own bounds were by

    def scored(batch: Batch, at: Tensor, noise: Noise) -> Tensor:
        return bound(model, batch, each.take(at)) if bounds else density(model, batch, noise).value

    most = BOUNDED if bounds or model.block(0).slow_density else PROBED
    return label_effect(model.partition, scored, own, held_out, work.noise.of("probe"), most)


def _own_rows(job: Job, trained: TrainedStrategy, encoded: Encoded, train: Tensor) -> Tensor:
    """(K,) the metric on each source's training rows; NaN where it has none, or is slow."""
    y, K = job.data.y[train], job.data.K
    if job.metric.needs != "density" or trained.model.block(0).slow_density:
        return torch.full((K,), torch.nan, dtype=torch.float64)
    inside = (trained.model.routes[y, 0] >= 0).nonzero().squeeze(1)
    whole = len(inside) == len(y)
    y, x = y[inside], take(job.data.x, train[inside])
    batch = encoded.scored if whole else encoded.scored.take(inside)
    held_in = HeldOut(x, batch, encoded.log_det[inside])
    own = job.metric.measure(trained, held_in, Noise(0)).rows
    sums, sizes = torch.zeros(2, K, dtype=torch.float64)
    sums.index_add_(0, y, own)
    return sums / sizes.index_add_(0, y, batch.size)


def _per_source(trained: TrainedStrategy) -> dict[str, Tensor]:
    """(K,) each: what training the model of a source's block took; 0 or NaN where not known."""
    out = {}
    for quantity in ("examples_seen", "updates", "best", "validation"):
        start = 0.0 if quantity in ("examples_seen", "updates") else torch.nan
        out[quantity] = torch.full((len(trained.model.names),), start, dtype=torch.float64)
        for block, effort in zip(trained.model.partition, trained.efforts, strict=True):
            value = getattr(effort, quantity)
            out[quantity][list(block)] = torch.nan if value is None else float(value)
    return out
