"""From the numbers of a comparison to its result: the contract of `compare --json`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sourcewise.comparison.cautions import cautions, condition, estimand
from sourcewise.comparison.plan import FOLDS, GROUPS, Plan
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.strategy_document import strategy_result
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.verdict import differences, verdict_of
from sourcewise.families.base import Caution, Occasion
from sourcewise.fitting.facts import data_facts, source_facts
from sourcewise.fitting.job import Job
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.results.comparison import (
    BetaHat,
    ComparisonResult,
    MetricFacts,
    Splits,
    Trial,
    Verdict,
)
from sourcewise.results.data import ComparedSource, DataFacts
from sourcewise.splits import identical

__all__ = ["Finished", "compared_data", "comparison_result", "splits"]


@dataclass(frozen=True)
class Finished:
    """A comparison whose work is done."""

    prepared: Prepared
    summary: Summary
    baseline: str  # the strategy that differences are taken from
    warnings: Sequence[str]  # about the data
    models: Mapping[str, TrainedStrategy]  # that are kept, by strategy
    trials: Mapping[str, Sequence[Trial]]  # of a search over settings, by strategy

    @property
    def job(self) -> Job:
        """What was compared."""
        return self.summary.plan.job


def comparison_result(finished: Finished, run: str | None) -> ComparisonResult:
    """Put the result together; see docs for its keys."""
    summary, job, config = finished.summary, finished.job, finished.prepared.config
    found = differences(summary, finished.baseline)
    verdict = verdict_of(summary, finished.baseline, finished.prepared.too_few, found)
    return ComparisonResult(
        schema_version=1,
        data=compared_data(finished.prepared),
        scope=summary.plan.scope,
        estimand=estimand(summary.plan),
        primary_metric=job.metric.key,
        metrics=_metrics(job, summary.region),
        warnings=_warnings(finished, verdict.strategy),
        run=run,
        strategies={
            s.name: strategy_result(summary, s, finished.models[s.name], _tried(finished, s.name))
            for s in job.strategies
        },
        differences=tuple(found),
        beta_hat=_beta(finished, verdict.strategy),
        verdict=_conditional(verdict, _condition(finished)),
        settings=config["settings"],
        search={name: tuple(trials) for name, trials in finished.trials.items()},
        splits=splits(summary.plan),
        versions=config["versions"],
    )


def _tried(finished: Finished, strategy: str) -> int:
    return len(finished.trials.get(strategy, ()))


def _metrics(job: Job, region: float) -> dict[str, MetricFacts]:
    """What numbers of each metric are."""
    deciding = MetricFacts(job.unit, job.metric.higher_is_better, region)
    shown = {m.key: MetricFacts(m.unit(job.coding), m.higher_is_better) for m in job.shown}
    return {job.metric.key: deciding} | shown


def _family_cautions(finished: Finished, names: Iterable[str]) -> list[Caution]:
    """What the family says of these strategies' models."""
    job = finished.job
    occasion = Occasion("compare", finished.summary.region, job.coding.variables)
    diagnosed = {name: finished.models[name].diagnosed for name in names}
    return list(job.family.model_class.cautions(diagnosed, occasion))


def _warnings(finished: Finished, rival: str) -> tuple[str, ...]:
    said = _family_cautions(finished, finished.models)
    ours = cautions(finished.summary, rival, finished.baseline)
    return (*finished.warnings, *ours, *(caution.text for caution in said if caution.text))


def _condition(finished: Finished) -> str:
    """What the verdict holds under: of controls it says nothing."""
    rivals = [s for s in finished.job.strategies if not s.shuffled]
    late = [s.name for s in rivals if finished.summary.unfinished(s.name)]
    said = _family_cautions(finished, (s.name for s in rivals))
    return condition(late, [caution.condition for caution in said if caution.condition])


def _conditional(verdict: Verdict, holds: str) -> Verdict:
    if not holds:
        return verdict
    return replace(verdict, condition=holds, reason=f"{holds}: {verdict.reason}")


def _beta(finished: Finished, strategy: str) -> BetaHat:
    baseline = finished.baseline
    beta = finished.summary.beta(strategy, baseline)
    if isinstance(beta, str):
        return BetaHat(None, None, None, reason=beta)
    penalty = finished.models[baseline].model.penalty
    note = "to first order, for maximum likelihood" + (f"; {penalty} biases it" if penalty else "")
    reading = _reading(beta.value, strategy)
    ends = beta.value, beta.low, beta.high
    return BetaHat(*ends, strategy=strategy, note=note, reading=reading)


def _reading(beta: float, strategy: str) -> str:
    """What a beta-hat outside [0, 1] says."""
    if beta < 0:
        much = "many times " if beta < -2 else ""
        return f"harm: {strategy} loses {much}more by what differs than sharing could save"
    return "more than sharing parameters alone explains" if beta > 1 else ""


def compared_data(prepared: Prepared) -> DataFacts[ComparedSource]:
    """The data of a comparison, and which of its sources are tested."""
    job, config = prepared.plan.job, prepared.config
    sources = [
        ComparedSource(
            **vars(source_facts(job, k)),
            tested=k in job.tested,
            reason=prepared.too_few.get(name),
        )
        for k, name in enumerate(job.names)
    ]
    same = identical(job.data.rows)
    return data_facts(
        job,
        prepared.screened,
        config["fingerprint"],
        config["settings"]["missing"],
        sources,
        units=int(job.data.units.max()) + 1,
        duplicate_rows=len(same) - (int(same.max()) + 1),
    )


def splits(plan: Plan) -> Splits:
    """How rows were split, and how often models were trained."""
    if plan.scope == "procedure":
        return Splits(
            folds=FOLDS,
            repetitions=plan.repetitions,
            jackknife_groups=GROUPS,
            seed=plan.seed,
            stratified_by="source",
        )
    trained = plan.job.family.trained
    return Splits(
        test_share=1 / FOLDS,
        training_seeds=plan.repetitions,
        seed=plan.seed,
        stratified_by="source",
        validation_share=plan.job.validation if trained else None,
        models_kept="those of the first training seed, as tested" if trained else None,
    )
