"""From the numbers of a comparison to its result: the contract of `compare --json`."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sourcewise.comparison.cautions import cautions, condition, estimand
from sourcewise.comparison.dependence import CONDITION, dependence
from sourcewise.comparison.plan import Plan
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.scores import FOLDS
from sourcewise.comparison.shrinkage import shrinkage
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.verdict import total_variation
from sourcewise.families.base import Caution, Occasion
from sourcewise.fitting.facts import (
    data_facts,
    diagnostics_of,
    fitted_of,
    source_facts,
    validated_by,
)
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.results.comparison import (
    BetaHat,
    BlockEffort,
    ComparisonResult,
    Dependence,
    Difference,
    FarOut,
    Level,
    MetricFacts,
    Searched,
    SourceResult,
    Splits,
    StrategyResult,
    Term,
    Trial,
    Verdict,
    Worst,
)
from sourcewise.results.contract import known
from sourcewise.results.data import ComparedSource, DataFacts
from sourcewise.statistics import Interval
from sourcewise.strategies import Strategy

__all__ = ["Finished", "comparison_result"]

NO_LABEL = {  # why models were not asked what labels are worth, by what the metric needs
    "density": "no test row has another label",
    "bound": "no test row has another label",
    "samples": "asked where densities decide",
}


@dataclass(frozen=True)
class Finished:
    """A comparison whose work is done."""

    prepared: Prepared
    summary: Summary
    baseline: str  # the strategy that differences are taken from
    differences: Sequence[Difference]
    verdict: Verdict  # before what it holds under
    far_out: FarOut | None  # rows that lie far out, where they matter
    warnings: Sequence[str]  # about the data
    remarks: Sequence[str]  # about the verdict
    models: Mapping[str, TrainedStrategy]  # that are kept, by strategy
    trials: Mapping[str, Sequence[Trial]]  # of a search over settings, by strategy
    holds_under: Sequence[str] = ()  # without which the verdict would be another, in words

    @property
    def job(self) -> Job:
        """What was compared."""
        return self.summary.plan.job


def comparison_result(finished: Finished, run: str | None) -> ComparisonResult:
    """Put the result together; see docs for its keys."""
    summary, job, config = finished.summary, finished.job, finished.prepared.config
    verdict = finished.verdict
    signs, lines = _signs(finished, verdict.strategy)
    return ComparisonResult(
        schema_version=1,
        data=_data(finished.prepared, finished.models[finished.baseline]),
        scope=summary.plan.scope,
        estimand=estimand(summary.plan),
        primary_metric=job.metric.key,
        metrics={
            job.metric.key: MetricFacts(
                job.unit, job.metric.higher_is_better, summary.region, total_variation(summary)
            ),
            **{m.key: MetricFacts(m.unit(job.coding), m.higher_is_better) for m in job.shown},
        },
        warnings=(*_warnings(finished, verdict.strategy), *lines, *finished.remarks),
        run=run,
        strategies={s.name: _strategy(finished, s) for s in job.strategies},
        differences=tuple(finished.differences),
        beta_hat=_beta(finished, verdict.strategy),
        verdict=_conditional(finished, signs),
        settings=config["settings"],
        search={name: tuple(trials) for name, trials in finished.trials.items()},
        splits=_splits(summary.plan),
        versions=config["versions"],
        dependence=signs,
        far_out=finished.far_out,
        shrinkage=shrinkage(job, finished.models) or None,
        terms=tuple(_terms(finished)) or None,
    )


def _signs(finished: Finished, rival: str) -> tuple[Dependence, list[str]]:
    """That rows belong together, though nobody said so."""
    average = finished.summary.average
    first, second = (average(name, "rows") for name in (rival, finished.baseline))
    differences = (first - second) / finished.job.weights.numpy()
    return dependence(finished.job.data, differences, finished.job.tested)


def _family_cautions(finished: Finished, names: Iterable[str]) -> list[Caution]:
    """What the family says of these strategies' models."""
    job = finished.job
    misfits, D = finished.prepared.screened.misfits, job.coding.coordinates
    occasion = Occasion("compare", finished.summary.region, D, misfits, job.metric.needs)
    diagnosed = {name: finished.models[name].diagnosed for name in names}
    return list(job.family.model_class.cautions(diagnosed, occasion))


def _warnings(finished: Finished, rival: str) -> tuple[str, ...]:
    said = _family_cautions(finished, finished.models)
    ours = cautions(finished.summary, rival, finished.baseline)
    return (*finished.warnings, *ours, *(caution.text for caution in said if caution.text))


def _terms(finished: Finished) -> Iterator[Term]:
    """Of the differences averaged over sources, what each term of the metric makes of them."""
    averages = [d for d in finished.differences if d.average]
    for d in averages:
        for t, name in enumerate(finished.job.metric.terms):
            found = finished.summary.term(t, d.strategy, d.baseline)
            yield Term(name, d.strategy, d.baseline, found.value, found.low, found.high)


def _conditional(finished: Finished, signs: Dependence) -> Verdict:
    """The verdict with what it holds under: of controls it says nothing."""
    rivals = [s.name for s in finished.job.strategies if not s.shuffled]
    late = [name for name in rivals if finished.summary.unfinished(name)]
    said = [c.condition for c in _family_cautions(finished, rivals) if c.condition]
    said += finished.holds_under
    said += [CONDITION] if signs.undeclared else []
    if not (holds := condition(late, said)):
        return finished.verdict
    reason = f"{holds}: {finished.verdict.reason}"
    return replace(finished.verdict, condition=holds, reason=reason)


def _beta(finished: Finished, strategy: str) -> BetaHat:
    baseline = finished.baseline
    beta = finished.summary.beta(strategy, baseline)
    if isinstance(beta, str):
        return BetaHat(None, None, None, reason=beta)
    penalty = finished.models[baseline].model.penalty
    note = "to first order, for maximum likelihood" + (f"; {penalty} biases it" if penalty else "")
    reading = "more than sharing parameters alone explains" if beta.value > 1 else ""
    if beta.value < 0:
        much = "many times " if beta.value < -2 else ""
        reading = f"harm: {strategy} loses {much}more by what differs than sharing could save"
    ends = beta.value, beta.low, beta.high
    return BetaHat(*ends, strategy=strategy, note=note, reading=reading)


def _data(prepared: Prepared, fitted: TrainedStrategy) -> DataFacts[ComparedSource]:
    """The data of a comparison, and which of its sources are tested."""
    job, config = prepared.plan.job, prepared.config
    sources = [
        ComparedSource(
            **vars(source_facts(job, k)), tested=k in job.tested, reason=prepared.too_few.get(name)
        )
        for k, name in enumerate(job.names)
    ]
    same = job.data.same
    return data_facts(
        job,
        fitted,
        prepared.screened,
        config["fingerprint"],
        config["settings"]["missing"],
        sources,
        units=int(job.data.units.max()) + 1,
        duplicate_rows=len(same) - (int(same.max()) + 1),
    )


def _splits(plan: Plan) -> Splits:
    """How rows were split, and how often models were trained."""
    alike = Splits(seed=plan.seed, stratified_by="source")
    if plan.scope == "procedure":
        made = {"repetitions": plan.repetitions, "jackknife_groups": plan.group_count}
        return replace(alike, folds=FOLDS, **made)
    trained = plan.job.family.trained
    return replace(
        alike,
        test_share=1 / FOLDS,
        training_seeds=plan.repetitions,
        validation_share=plan.job.validation if trained else None,
        models_kept="those of the first training seed, as tested" if trained else None,
    )


def _strategy(finished: Finished, strategy: Strategy) -> StrategyResult:
    """Its levels, its budget, and what its kept models say of themselves."""
    summary, job, name = finished.summary, finished.job, strategy.name
    trained = finished.models[name]
    diagnosed = trained.diagnosed
    metric, gradient = job.metric.key, job.family.trained
    levels = {k: summary.level(name, summary.source(k)) for k in job.tested}
    worst = min(levels, key=lambda k: job.metric.sign * levels[k].value)
    average = _level(summary.level(name, summary.macro))
    label = known(float(summary.average(name, "label")[0]))
    return StrategyResult(
        parameters=float(summary.average(name, "parameters")),
        label_effect=label,
        label_effect_reason=NO_LABEL[job.metric.needs] if label is None else None,
        still_improving=tuple(job.names[k] for k in summary.unfinished(name)),
        blocks=_named(job, strategy.partition.keep(range(job.data.K), needed=job.tested)),
        per_source={job.names[k]: _source(summary, name, k, levels[k]) for k in job.tested},
        macro={metric: average} | _shown(summary, name, job.tested),
        worst={metric: Worst(job.names[worst], levels[worst].value)},
        fitted=fitted_of(diagnosed),
        resolved=diagnosed.resolved,
        diagnostics=diagnostics_of(diagnosed),
        settings=job.tuned[name].model_dump(mode="json") if name in job.tuned else None,
        searched=_searched(finished, name),
        validated_by=validated_by(trained.model, job.unit) if gradient else None,
        training=_training(job, trained) if gradient else None,
    )


def _named(job: Job, blocks: Iterable[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(job.names[k] for k in block) for block in blocks)


def _searched(finished: Finished, name: str) -> Searched | None:
    """What a search changed."""
    job = finished.job
    if name not in job.tuned:
        return None
    usual = job.settings.model_dump(mode="json")
    chosen = job.tuned[name].model_dump(mode="json")
    changed = {key: value for key, value in chosen.items() if value != usual[key]}
    return Searched(len(finished.trials.get(name, ())), changed)


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
