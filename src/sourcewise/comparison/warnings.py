"""What is to be said of the data of a comparison before its numbers."""

from collections.abc import Mapping
from dataclasses import replace

from sourcewise.comparison.copies import copies
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import BASELINE, Plan
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.scores import Cell, CellScores
from sourcewise.comparison.summed import source_scores
from sourcewise.errors import InputError, counted, listing
from sourcewise.forms import Whole
from sourcewise.results.text import in_order, metric_name
from sourcewise.sources import Sources
from sourcewise.splits import repeats_by_chance

__all__ = ["repeats", "warnings_of"]

Results = Mapping[str, Mapping[str, CellScores]]


def warnings_of(prepared: Prepared, results: Results) -> list[str]:
    """One line each."""
    plan = prepared.plan
    warnings = prepared.screened.notes
    if prepared.too_few:
        told = listing(prepared.too_few, 5)
        warnings.append(
            f"{counted(len(prepared.too_few), 'source')} with too few rows to be tested ({told}); "
            "their rows still train the shared models"
        )
    data = plan.job.data
    found = repeats(data), _prior_matters(plan, results, BASELINE)
    return [*warnings, *(text for text in found if text)]


def repeats(data: Sources) -> str | None:
    """A warning that tells what was made of identical rows, or None if there are few."""
    x, same = data.rows, data.same
    if isinstance(x, Whole):
        return copies(data, x)
    repeated = len(same) - len(same.unique())
    if repeated == 0:
        return None
    if data.group is not None:
        units = len(data.units.unique())
        return f"{repeated} rows repeat another row; the {units} groups alone are kept together"
    if repeats_by_chance(x, same):
        return (
            f"{repeated} of {len(data)} rows repeat another row, no more than columns with so few "
            "values do by chance: they are not kept together"
        )
    if len(same.unique()) < len(same) / 2:
        return f"{repeated} of {len(data)} rows repeat another row and are kept together with it"
    return None


def _prior_matters(plan: Plan, results: Results, baseline: str) -> str | None:
    """A warning if the first repetition tells another story without it.

    A prior helps where rows are few, and costs where it is wrong, in each strategy by another
    amount. Another story: the difference falls on another side of the region of equivalence, or
    the best strategy gains more than it.

    Returns:
        One line, or None: no prior, the same story, or no fit without it.
    """
    prior = plan.job.settings.without_prior()
    if prior is None:
        return None
    bare = replace(plan, job=replace(plan.job, settings=prior.without))
    try:
        cell, shared = Cell(0, None), bare.shared(0)
        if shared.sums is None:
            without = evaluate_cell(bare, cell, shared)
        else:
            without = source_scores(bare.job, cell, shared.sums)
    except InputError:
        return None  # it cannot be fitted: the prior is needed
    rivals = [s.name for s in plan.job.strategies if not s.shuffled and s.name != baseline]
    main = "pooled" if "pooled" in rivals else rivals[0]
    tested = list(plan.job.tested)
    with_, bare_ = (  # macro means of each strategy
        {name: float(score.test[tested].mean()) for name, score in scores.items()}
        for scores in (results[str(Cell(0, None))], without)
    )
    metric = plan.job.metric
    region = metric.region(plan.job.coding, with_[baseline])
    before, after = (metric.sign * (levels[main] - levels[baseline]) for levels in (with_, bare_))
    best_before, best_after = (
        max(metric.sign * levels[name] for name in (*rivals, baseline))
        for levels in (with_, bare_)
    )
    if _side(before, region) == _side(after, region) and best_after - best_before <= region:
        return None
    better = f"prefer {prior.option}" if best_after > best_before else f"keep the {prior.name}"
    first, second = in_order(main, baseline, metric.higher_is_better)
    name = metric_name(metric.key)
    return (
        f"the {prior.name} matters: without it ({prior.option}) {first} minus {second} is "
        f"{after:+.3g} instead of {before:+.3g}, and the best strategy's {name} "
        f"{metric.sign * best_after:.4g} instead of {metric.sign * best_before:.4g} (first "
        f"repetition): {better}"
    )


def _side(difference: float, region: float) -> int:
    return (difference > region) - (difference < -region)
