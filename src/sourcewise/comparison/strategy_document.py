"""What the result of a comparison says of one strategy."""

import math
from collections.abc import Iterable, Sequence

from sourcewise.comparison.summary import Summary
from sourcewise.fitting.facts import diagnostics_of, fitted_of, validated_by
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.results.comparison import (
    BlockEffort,
    Level,
    Searched,
    SourceResult,
    StrategyResult,
    Worst,
)
from sourcewise.results.contract import known
from sourcewise.statistics import Interval
from sourcewise.strategies import Strategy

__all__ = ["strategy_result"]


def strategy_result(
    summary: Summary, strategy: Strategy, trained: TrainedStrategy, trials: int
) -> StrategyResult:
    """Its levels, its budget, and what its kept models say of themselves."""
    job, name, diagnosed = summary.plan.job, strategy.name, trained.diagnosed
    metric, gradient = job.metric.key, job.family.trained
    levels = {k: summary.level(name, summary.source(k)) for k in job.tested}
    worst = min(levels, key=lambda k: job.metric.sign * levels[k].value)
    average = _level(summary.level(name, summary.macro))
    label = known(float(summary.average(name, "label")[0]))
    return StrategyResult(
        parameters=float(summary.average(name, "parameters")),
        label_effect=label,
        label_effect_reason=_no_label(job) if label is None else None,
        still_improving=tuple(job.names[k] for k in summary.unfinished(name)),
        blocks=_named(job, strategy.partition.keep(range(job.data.K), needed=job.tested)),
        per_source={job.names[k]: _source(summary, name, k, levels[k]) for k in job.tested},
        macro={metric: average} | _shown(summary, name, job.tested),
        worst={metric: Worst(job.names[worst], levels[worst].value)},
        fitted=fitted_of(diagnosed),
        resolved=diagnosed.resolved,
        diagnostics=diagnostics_of(diagnosed),
        settings=job.tuned[name].model_dump(mode="json") if name in job.tuned else None,
        searched=_searched(job, name, trials),
        validated_by=validated_by(trained.model, job.unit) if gradient else None,
        training=_training(job, trained) if gradient else None,
    )


def _named(job: Job, blocks: Iterable[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(job.names[k] for k in block) for block in blocks)


def _no_label(job: Job) -> str:
    if job.metric.needs != "density":
        return "models without a density are not asked"
    return "no test row has another label"


def _searched(job: Job, name: str, trials: int) -> Searched | None:
    """What a search changed."""
    if name not in job.tuned:
        return None
    usual = job.settings.model_dump(mode="json")
    chosen = job.tuned[name].model_dump(mode="json")
    changed = {key: value for key, value in chosen.items() if value != usual[key]}
    return Searched(trials, changed)


def _training(job: Job, trained: TrainedStrategy) -> tuple[BlockEffort, ...]:
    """How the kept models were trained."""
    pairs = zip(_named(job, trained.model.partition), trained.efforts, strict=True)
    return tuple(BlockEffort(block, **vars(effort)) for block, effort in pairs)


def _level(interval: Interval) -> Level:
    return Level(interval.value, interval.low, interval.high)


def _shown(summary: Summary, name: str, sources: Sequence[int]) -> dict[str, Level]:
    """Metrics that are shown, averaged over sources: the mean of the repetitions, and each."""
    levels = {}
    for m, metric in enumerate(summary.plan.job.shown):
        cells = [summary.cell(name, r) for r in range(summary.plan.repetitions)]
        values = [float(cell.shown[m, list(sources)].mean()) for cell in cells]
        mean = known(sum(values) / len(values))
        levels[metric.key] = Level(mean, None, None, tuple(map(known, values)))
    return levels


def _source(summary: Summary, name: str, k: int, level: Interval) -> SourceResult:
    job = summary.plan.job
    metric, trained = job.metric.key, job.family.trained

    def average(quantity: str) -> float:
        return float(summary.average(name, quantity)[k])

    metrics = {metric: _level(level)}
    if math.isfinite(own := average("train")):
        metrics[f"train_{metric}"] = Level(own, None, None)
    best, loss = (known(average(key)) if trained else None for key in ("best", "validation"))
    last = "the last weights were kept, in some training at least"
    none = "no validation rows, in some training at least"
    return SourceResult(
        n_train=average("n_train"),
        n_test=average("n_test"),
        examples_seen=average("examples_seen"),
        updates=average("updates"),
        n_valid=average("n_valid") if trained else None,
        best=best,
        best_reason=last if trained and best is None else None,
        validation=loss,
        validation_reason=none if trained and loss is None else None,
        metrics=metrics | _shown(summary, name, [k]),
    )
