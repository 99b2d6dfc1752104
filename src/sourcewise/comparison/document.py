"""The result of a comparison as one JSON document: the contract of `compare --json`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sourcewise.comparison.cautions import (
    cautions,
    condition,
    estimand,
    unfinished,
)
from sourcewise.comparison.data_document import data_facts, splits
from sourcewise.comparison.plan import Plan
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.verdict import verdict_of
from sourcewise.families.base import ConditionalModel, Diagnosed, Occasion, diagnostic_facts
from sourcewise.files import plain
from sourcewise.fitting.job import Job
from sourcewise.fitting.search import Trial
from sourcewise.fitting.strategy import TrainedStrategy
from sourcewise.screening.base import Screened
from sourcewise.statistics import Interval, holm, judge, would_decide
from sourcewise.strategies import Strategy

__all__ = ["Context", "document", "validated_by"]


def validated_by(model: ConditionalModel, unit: str) -> str:
    """What losses of validation rows are, in words."""
    likelihood = f"minus log-likelihood of rows as encoded for training, {unit}"
    return model.validated_by or likelihood


@dataclass(frozen=True)
class Context:
    """What the document reports beside the numbers.

    Args:
        screened: what happened to the table.
        too_few: names of the sources that are not tested.
        baseline: the strategy that differences are taken from.
        config: resolved settings, versions, fingerprint.
        warnings: one line each.
        fitted: the models that are kept, by strategy.
        trials: what a search over settings tried, by strategy; empty without one.
    """

    screened: Screened
    too_few: dict[str, str]
    baseline: str
    config: dict[str, Any]
    warnings: list[str]
    fitted: dict[str, TrainedStrategy]
    trials: dict[str, list[Trial]]


def document(summary: Summary, context: Context, run: str | None) -> dict[str, Any]:
    """Build the document; see docs for its keys."""
    plan = summary.plan
    region, metric = summary.region, plan.job.metric
    rivals = [s for s in plan.job.strategies if s.name != context.baseline]
    differences = _differences(summary, rivals, context.baseline, region)
    verdict = verdict_of(summary, rivals, context.baseline, context.too_few, differences)
    first = verdict["strategy"]
    diagnosed = {name: item.diagnosed for name, item in context.fitted.items()}
    occasion = Occasion("compare", region, plan.job.coding.variables)
    known = list(plan.job.family.model_class.cautions(diagnosed, occasion))
    holds = _condition(summary, diagnosed, occasion)
    return plain(
        {
            "schema_version": 1,
            "data": data_facts(plan, context.screened, context.too_few, context.config),
            "scope": plan.scope,
            "estimand": estimand(plan),
            "primary_metric": metric.key,
            "metrics": _metrics(plan.job, region),
            "warnings": [
                *context.warnings,
                *cautions(summary, first, context.baseline),
                *(caution.text for caution in known if caution.text),
            ],
            "run": run,
            "strategies": {
                s.name: _strategy(summary, s)
                | diagnostic_facts(diagnosed[s.name].diagnostics)
                | _kept(s.name, context.fitted[s.name], plan, len(context.trials.get(s.name, ())))
                for s in plan.job.strategies
            },
            "differences": differences,
            "beta_hat": _beta(summary, first, context),
            "verdict": verdict | _under(holds, verdict["reason"]),
            "settings": context.config["settings"],
            "search": {name: [vars(t) for t in found] for name, found in context.trials.items()},
            "splits": splits(plan),
            "versions": context.config["versions"],
        }
    )


def _condition(summary: Summary, diagnosed: Mapping[str, Diagnosed], occasion: Occasion) -> str:
    """What the verdict holds under: of controls it says nothing."""
    said = [s for s in summary.plan.job.strategies if not s.shuffled]
    late = [s.name for s in said if unfinished(summary, s)]
    of = {s.name: diagnosed[s.name] for s in said}
    known = summary.plan.job.family.model_class.cautions(of, occasion)
    return condition(late, [caution.condition for caution in known if caution.condition])


def _under(holds: str, reason: str) -> dict[str, Any]:
    return {"condition": holds or None, "reason": f"{holds}: {reason}" if holds else reason}


def _kept(name: str, fitted: TrainedStrategy, plan: Plan, trials: int) -> dict[str, Any]:
    """What a search chose, and how the kept models were trained."""
    chosen: dict[str, Any] = {}
    if name in plan.job.tuned:
        chosen["settings"] = plan.job.tuned[name].model_dump(mode="json")
        usual = plan.job.settings.model_dump(mode="json")
        changed = {key: v for key, v in chosen["settings"].items() if v != usual[key]}
        chosen["searched"] = {"trials": trials, "chosen": changed}
    if plan.job.family.trained:
        names = plan.job.names
        chosen["validated_by"] = validated_by(fitted.model, plan.job.unit)
        chosen["training"] = [
            {"sources": [names[k] for k in block], **vars(effort)}
            for block, effort in zip(fitted.model.partition, fitted.efforts, strict=True)
        ]
    return chosen


def _ends(interval: Interval) -> dict[str, float]:
    return {"mean": interval.value, "low": interval.low, "high": interval.high}


def _strategy(summary: Summary, strategy: Strategy) -> dict[str, Any]:
    job, name = summary.plan.job, strategy.name
    metric = job.metric.key
    per_source = {job.names[k]: _source(summary, name, k) for k in job.tested}
    means = {source: entry["metrics"][metric]["mean"] for source, entry in per_source.items()}
    shown_macro = _shown(summary, name, job.tested)
    worst = min(means, key=lambda source: job.metric.sign * means[source])
    partition = strategy.partition.keep(range(job.data.K), needed=job.tested)
    return {
        "parameters": float(summary.average(name, "parameters")),
        **_label(summary, strategy),
        "still_improving": [job.names[k] for k in unfinished(summary, strategy)],
        "blocks": [[job.names[k] for k in block] for block in partition],
        "per_source": per_source,
        "macro": {metric: _ends(summary.level(name, summary.macro))} | shown_macro,
        "worst": {metric: {"source": worst, "mean": means[worst]}},
    }


def _metrics(job: Job, region: float) -> dict[str, Any]:
    """What numbers of each metric are."""
    deciding = {"unit": job.unit, "higher_is_better": job.metric.higher_is_better}
    shown = {
        m.key: {"unit": m.unit(job.coding), "higher_is_better": m.higher_is_better}
        for m in job.shown
    }
    return {job.metric.key: deciding | {"region": region}} | shown


def _shown(summary: Summary, name: str, sources: Sequence[int]) -> dict[str, Any]:
    """Metrics that are shown, averaged over sources: the mean of the repetitions, and each."""
    out = {}
    for m, metric in enumerate(summary.plan.job.shown):
        cells = [summary.cell(name, r) for r in range(summary.plan.repetitions)]
        values = [float(cell.shown[m, list(sources)].mean()) for cell in cells]
        mean = sum(values) / len(values)
        out[metric.key] = {"mean": mean, "low": None, "high": None, "replicates": values}
    return out


def _label(summary: Summary, strategy: Strategy) -> dict[str, Any]:
    """What the label is worth: nats per unit under a row's own, above the average of others."""
    value = float(summary.average(strategy.name, "label")[0])
    if math.isnan(value):
        return {"label_effect": None, "label_effect_reason": "no test row has another label"}
    return {"label_effect": value}


def _source(summary: Summary, name: str, k: int) -> dict[str, Any]:
    metric = summary.plan.job.metric.key

    def average(quantity: str) -> float:
        return float(summary.average(name, quantity)[k])

    return {
        "n_train": average("n_train"),
        "n_test": average("n_test"),
        "examples_seen": average("examples_seen"),
        "updates": average("updates"),
        **(_stopping(average) if summary.plan.job.family.trained else {}),
        "metrics": {
            metric: _ends(summary.level(name, summary.source(k))),
            f"train_{metric}": {"mean": average("train"), "low": None, "high": None},
        }
        | _shown(summary, name, [k]),
    }


def _stopping(average: Callable[[str], float]) -> dict[str, Any]:
    """What validation rows decided; both numbers are null where there are none."""
    values: dict[str, Any] = {"n_valid": average("n_valid")}
    for quantity, why in (
        ("best", "the last weights were kept, in some training at least"),
        ("validation", "no validation rows, in some training at least"),
    ):
        values[quantity] = average(quantity)
        if math.isnan(values[quantity]):
            values |= {quantity: None, f"{quantity}_reason": why}
    return values


def _differences(
    summary: Summary, rivals: list[Strategy], baseline: str, region: float
) -> list[dict[str, Any]]:
    """Per source and macro, for every rival; Holm over all tests that are no controls."""
    job = summary.plan.job
    rows: list[tuple[Strategy, str, Interval]] = []
    tests: list[bool] = []  # the same model in both arms is no test
    for strategy in rivals:
        for k in job.tested:
            interval = summary.difference(strategy.name, baseline, summary.source(k))
            rows.append((strategy, job.names[k], interval))
            tests.append(not summary.same_model(strategy.name, baseline, k))
        macro = summary.difference(strategy.name, baseline, summary.macro)
        rows.append((strategy, "macro", macro))
        tests.append(any(tests[-len(job.tested) :]))
    adjusted: dict[int, tuple[float, int]] = {}
    for macro in (False, True):
        for control in (False, True):
            family = [
                i
                for i, (strategy, source, _) in enumerate(rows)
                if (source == "macro") == macro and strategy.shuffled == control and tests[i]
            ]
            stepped = holm([rows[i][2].p for i in family])
            adjusted |= {i: (p, len(family)) for i, p in zip(family, stepped, strict=True)}
    return [
        _difference(*row, baseline, *adjusted.get(i, (1.0, 1)), region, job)
        for i, row in enumerate(rows)
    ]


def _difference(
    strategy: Strategy,
    source: str,
    interval: Interval,
    baseline: str,
    p_holm: float,
    tests: int,
    region: float,
    job: Job,
) -> dict[str, Any]:
    verdict = judge(interval, p_holm, region)
    return {
        "source": source,
        "strategy": strategy.name,
        "baseline": baseline,
        "metric": job.metric.key,
        "unit": job.unit,
        "difference": interval.value,
        "low": interval.low,
        "high": interval.high,
        "standard_error": interval.standard_error,
        "df": interval.df,
        "p": interval.p,
        "p_holm": p_holm,
        "verdict": verdict,
        "would_decide": would_decide(interval, region, tests) if verdict == "undecided" else None,
    }


def _beta(summary: Summary, strategy: str, context: Context) -> dict[str, Any]:
    baseline = context.baseline
    beta = summary.beta(strategy, baseline)
    if isinstance(beta, str):
        return {"value": None, "low": None, "high": None, "reason": beta}
    penalty = context.fitted[baseline].model.penalty
    note = "to first order, for maximum likelihood" + (f"; {penalty} biases it" if penalty else "")
    ends = {"value": beta.value, "low": beta.low, "high": beta.high}
    return ends | {"strategy": strategy, "note": note, "reading": _reading(beta.value, strategy)}


def _reading(beta: float, strategy: str) -> str:
    """What a beta-hat outside [0, 1] says."""
    if beta < 0:
        much = "many times " if beta < -2 else ""
        return f"harm: {strategy} loses {much}more by what differs than sharing could save"
    return "more than sharing parameters alone explains" if beta > 1 else ""
