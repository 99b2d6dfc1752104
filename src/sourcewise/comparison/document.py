"""The result of a comparison as one JSON document: the contract of `compare --json`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sourcewise.comparison.evaluation import Fitted
from sourcewise.comparison.scopes import FOLDS, GROUPS, Plan
from sourcewise.comparison.search import Trial
from sourcewise.comparison.summary import Summary
from sourcewise.encoders.screening import Screened
from sourcewise.errors import listing
from sourcewise.files import plain
from sourcewise.splits import identical
from sourcewise.statistics import Interval, holm, judge, judge_overall, would_decide
from sourcewise.strategies import Strategy

__all__ = ["Context", "document"]

METRIC = "log_likelihood"
DEAF = 0.02  # of what the label changes in separate models
_ESTIMAND = {
    "procedure": "the expected difference over new training samples of the size used in a fold "
    "(four fifths of the rows) and new test rows",
    "these models": "the difference of these very models over new test rows and training seeds, "
    "for these training data",
}


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
    fitted: dict[str, Fitted]
    trials: dict[str, list[Trial]]


def document(summary: Summary, context: Context, run: str | None) -> dict[str, Any]:
    """Build the document; see docs for its keys."""
    plan = summary.plan
    region, unit = plan.job.region, plan.job.unit
    rivals = [s for s in plan.job.strategies if s.name != context.baseline]
    differences = _differences(summary, rivals, context.baseline, region)
    verdict = _verdict(summary, rivals, context, differences)
    first = verdict["strategy"]
    return plain(
        {
            "schema_version": 1,
            "data": _data(plan, context),
            "scope": plan.scope,
            "estimand": _ESTIMAND[plan.scope],
            "primary_metric": METRIC,
            "metrics": {METRIC: {"unit": unit, "higher_is_better": True, "region": region}},
            "warnings": [
                *context.warnings,
                *_deaf(summary, context.baseline),
                *_dominated(summary, first, context.baseline),
            ],
            "run": run,
            "strategies": {
                s.name: _strategy(summary, s) | _kept(s.name, context.fitted[s.name], plan)
                for s in plan.job.strategies
            },
            "differences": differences,
            "beta_hat": _beta(summary, first, context),
            "verdict": verdict,
            "settings": context.config["settings"],
            "search": {name: [vars(t) for t in found] for name, found in context.trials.items()},
            "splits": _splits(plan),
            "versions": context.config["versions"],
        }
    )


def _kept(name: str, fitted: Fitted, plan: Plan) -> dict[str, Any]:
    """What fitting the kept models chose, and how each was trained."""
    chosen: dict[str, Any] = {"fitted": fitted.model.fitted}
    if name in plan.job.tuned:
        chosen["settings"] = plan.job.tuned[name].model_dump(mode="json")
    if plan.job.family.trained:
        names = plan.job.names
        chosen["training"] = [
            {"sources": [names[k] for k in block], **vars(effort)}
            for block, effort in zip(fitted.model.partition, fitted.efforts, strict=True)
        ]
    return chosen


def _deaf(summary: Summary, baseline: str) -> list[str]:
    """Models of several sources to which the label is worth next to nothing."""
    job = summary.plan.job
    known = float(summary.average(baseline, "label")[1])
    warnings = []
    for strategy in job.strategies:
        change = float(summary.average(strategy.name, "label")[1])
        if strategy.shuffled or strategy.name == baseline or not known > job.region:
            continue
        if change < DEAF * known:
            warnings.append(
                f"the {strategy.name} model ignores its source label: another label changes its "
                f"log-likelihood by {change:.2g} {job.unit}, that of {baseline} models by "
                f"{known:.2g}; what it loses to them says little about the data"
            )
    return warnings


def _dominated(summary: Summary, strategy: str, baseline: str) -> list[str]:
    """Where a few rows decide how wide an interval is: outliers, or a faulty instrument."""
    job, warnings = summary.plan.job, []
    groups = summary.dominated(strategy, baseline)
    # With very many sources some stand out by chance: the groups that most sources hang on.
    for group in sorted(groups, key=lambda g: -len(groups[g]))[:2]:
        sources = groups[group]
        row, how = summary.suspect(group, sources[0], strategy, baseline)
        told = listing((job.names[k] for k in sources), 5)
        warnings.append(
            f"one tenth of the rows makes nearly all the uncertainty of {told}; {how} row "
            f"{row + 1} of those used, of {job.names[int(job.data.y[row])]!r}: an outlier, or a "
            "faulty measurement?"
        )
    return warnings


def _data(plan: Plan, context: Context) -> dict[str, Any]:
    data = plan.job.data
    return {
        "name": data.name,
        "fingerprint": context.config["fingerprint"],
        "rows": len(data),
        "columns": [_column(column) for column in plan.job.coding.columns],
        "left_out": [vars(item) for item in context.screened.left_out],
        "sources": [
            {
                "name": name,
                "rows": int(data.counts[k]),
                "size": float(plan.job.sizes[data.y == k].sum()),
                "tested": k in plan.job.tested,
                "reason": context.too_few.get(name),
            }
            for k, name in enumerate(data.names)
        ],
        "group": list(data.group_by) or None,
        "units": int(data.units.max()) + 1,
        "duplicate_rows": duplicate_rows(plan),
        "scored_per": plan.job.coding.unit,
        "dropped_rows": context.screened.dropped,
        "imputed_cells": context.screened.imputed,
        "missing": context.config["settings"]["missing"],
    }


def _column(column: Any) -> dict[str, Any]:
    """What a coding says of a column, in the words that it has for it."""
    known = ("name", "kind", "log", "resolution")
    return {key: getattr(column, key) for key in known if hasattr(column, key)}


def duplicate_rows(plan: Plan) -> int:
    """Rows that are identical to an earlier row."""
    same = identical(plan.job.data.rows)
    return len(same) - (int(same.max()) + 1)


def _splits(plan: Plan) -> dict[str, Any]:
    if plan.scope == "procedure":
        return {
            "folds": FOLDS,
            "repetitions": plan.repetitions,
            "jackknife_groups": GROUPS,
            "seed": plan.seed,
            "stratified_by": "source",
        }
    exact = {
        "test_share": 1 / FOLDS,
        "training_seeds": plan.repetitions,
        "seed": plan.seed,
        "stratified_by": "source",
    }
    kept = "those of the first training seed, as tested"
    trained = {"validation_share": plan.job.validation, "models_kept": kept}
    return exact | (trained if plan.job.family.trained else {})


def _ends(interval: Interval) -> dict[str, float]:
    return {"mean": interval.value, "low": interval.low, "high": interval.high}


def _strategy(summary: Summary, strategy: Strategy) -> dict[str, Any]:
    job, name = summary.plan.job, strategy.name
    per_source = {job.names[k]: _source(summary, name, k) for k in job.tested}
    means = {source: entry["metrics"][METRIC]["mean"] for source, entry in per_source.items()}
    worst = min(means, key=means.__getitem__)
    partition = strategy.partition.keep(range(job.data.K), needed=job.tested)
    return {
        "parameters": float(summary.average(name, "parameters")),
        **_label(summary, strategy),
        "blocks": [[job.names[k] for k in block] for block in partition],
        "per_source": per_source,
        "macro": {METRIC: _ends(summary.level(name, summary.macro))},
        "worst": {METRIC: {"source": worst, "mean": means[worst]}},
    }


def _label(summary: Summary, strategy: Strategy) -> dict[str, Any]:
    """What the label is worth: nats per unit under a row's own, above the average of others."""
    value = float(summary.average(strategy.name, "label")[0])
    if math.isnan(value):
        return {"label_effect": None, "label_effect_reason": "no test row has another label"}
    return {"label_effect": value}


def _source(summary: Summary, name: str, k: int) -> dict[str, Any]:
    def average(quantity: str) -> float:
        return float(summary.average(name, quantity)[k])

    return {
        "n_train": average("n_train"),
        "n_test": average("n_test"),
        "examples_seen": average("examples_seen"),
        "updates": average("updates"),
        **(_stopping(average) if summary.plan.job.family.trained else {}),
        "metrics": {
            METRIC: _ends(summary.level(name, summary.source(k))),
            f"train_{METRIC}": {"mean": average("train"), "low": None, "high": None},
        },
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
    for strategy in rivals:
        for k in job.tested:
            interval = summary.difference(strategy.name, baseline, summary.source(k))
            rows.append((strategy, job.names[k], interval))
        macro = summary.difference(strategy.name, baseline, summary.macro)
        rows.append((strategy, "macro", macro))
    adjusted: dict[int, tuple[float, int]] = {}
    for macro in (False, True):
        for control in (False, True):
            family = [
                i
                for i, (strategy, source, _) in enumerate(rows)
                if (source == "macro") == macro
                and strategy.shuffled == control
                and rows[i][2].p < 1  # the same model in both arms is no test
            ]
            stepped = holm([rows[i][2].p for i in family])
            adjusted |= {i: (p, len(family)) for i, p in zip(family, stepped, strict=True)}
    return [
        _difference(*row, baseline, *adjusted.get(i, (1.0, 1)), region, job.unit)
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
    unit: str,
) -> dict[str, Any]:
    verdict = judge(interval, p_holm, region)
    return {
        "source": source,
        "strategy": strategy.name,
        "baseline": baseline,
        "metric": METRIC,
        "unit": unit,
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
    note = "to first order, for maximum likelihood" + (
        "; shrinkage biases it" if "shrinkage" in context.fitted[baseline].model.fitted else ""
    )
    ends = {"value": beta.value, "low": beta.low, "high": beta.high}
    return ends | {"strategy": strategy, "note": note}


def _verdict(
    summary: Summary,
    rivals: list[Strategy],
    context: Context,
    differences: list[dict[str, Any]],
) -> dict[str, Any]:
    """The verdict on the main rival (pooled if it runs), and the strategy to use."""
    candidates = [s for s in rivals if not s.shuffled]
    main = next((s for s in candidates if s.name == "pooled"), candidates[0])
    mine = {d["source"]: d for d in differences if d["strategy"] == main.name}
    tested = [summary.plan.job.names[k] for k in summary.plan.job.tested]
    per_source = {name: mine[name]["verdict"] for name in tested}
    macro = summary.difference(main.name, context.baseline, summary.macro)
    overall = judge_overall(macro, mine["macro"]["p_holm"], summary.plan.job.region, per_source)
    recommended, why = _recommend(summary, candidates, context.baseline, differences)
    return {
        "overall": overall,
        "strategy": main.name,
        "baseline": context.baseline,
        "recommended": recommended,
        "reason": f"{_finding(overall, mine['macro'], per_source, main.name)}; {why}",
        "per_source": per_source | dict.fromkeys(context.too_few, "too few rows"),
    }


def _finding(
    overall: str, macro: dict[str, Any], per_source: dict[str, str], strategy: str
) -> str:
    baseline, unit = macro["baseline"], macro["unit"]
    span = (
        f"{strategy} minus {baseline} is {macro['difference']:+.3g} {unit} on average over the "
        f"sources (95 % interval {macro['low']:+.3g} to {macro['high']:+.3g})"
    )
    if overall == "mixed":
        sides = {
            word: listing([name for name, verdict in per_source.items() if verdict == word], 6)
            for word in ("pool", "separate")
        }
        gain = [name for name, verdict in per_source.items() if verdict == "pool"]
        return (
            f"the sources disagree: {strategy} is better for {sides['pool']}, "
            f"{baseline} for {sides['separate']}; {span}; a next step is to group those that gain "
            f"(groups:{'+'.join(gain)}) and to confirm it on new data"
        )
    words = {
        "pool": f"{strategy} is better than {baseline}",
        "separate": f"{baseline} is better than {strategy}",
        "equivalent": f"{strategy} and {baseline} are equivalent in practice",
        "undecided": f"the data do not decide between {strategy} and {baseline}",
    }
    more = f"; {macro['would_decide']} would decide" if macro["would_decide"] else ""
    return f"{words[overall]}; {span}{more}"


def _recommend(
    summary: Summary,
    candidates: list[Strategy],
    baseline: str,
    differences: list[dict[str, Any]],
) -> tuple[str, str]:
    """Who beats the baseline by most; the baseline if it beats all; else the simplest left.

    Where the average does not decide, the sources do, if those that decide agree.
    """
    macro = {
        d["strategy"]: d
        for d in differences
        if d["source"] == "macro" and d["strategy"] in {s.name for s in candidates}
    }
    sides = {name: _side(name, d["verdict"], differences) for name, d in macro.items()}
    better = [name for name, side in sides.items() if side == "pool"]
    if better:
        best = max(better, key=lambda name: macro[name]["difference"])
        more = " of those that beat it (not tested among each other)" if len(better) > 1 else ""
        return best, f"recommended: {best}, best{more}"
    if all(side == "separate" for side in sides.values()):
        return baseline, f"recommended: {baseline}"
    left = [baseline, *(name for name, side in sides.items() if side != "separate")]
    blocks = {s.name: len(s.partition) for s in summary.plan.job.strategies}
    simplest = min(left, key=blocks.__getitem__)
    return simplest, f"recommended by default, as the one with the fewest models: {simplest}"


def _side(strategy: str, overall: str, differences: list[dict[str, Any]]) -> str:
    """The verdict on the average; where it is undecided, that of the sources that decide."""
    if overall != "undecided":
        return overall
    words = {d["verdict"] for d in differences if d["strategy"] == strategy} & {"pool", "separate"}
    return words.pop() if len(words) == 1 else overall
