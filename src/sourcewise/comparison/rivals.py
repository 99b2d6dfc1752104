"""Whether a verdict hangs on a setting: the same comparison under the setting's rival.

The first repetition is scored under the rival too. Where that tells another story, and fits the
rows about as well, a note says so; and where the rival, with its own intervals, decides for
another verdict, the verdict holds under its setting only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import Plan
from sourcewise.comparison.scores import Cell, CellScores
from sourcewise.comparison.summary import Summary
from sourcewise.comparison.summed import source_scores
from sourcewise.comparison.verdict import differences, verdict_of
from sourcewise.errors import InputError
from sourcewise.families.settings import Rival
from sourcewise.results.text import in_order, metric_name

__all__ = ["Against", "against"]

Results = Mapping[str, Mapping[str, CellScores]]
FIRST = Cell(0, None)


@dataclass(frozen=True)
class Against:
    """What speaks against a verdict.

    Args:
        note: one line.
        condition: what the verdict holds under; empty where the rival says the same.
    """

    note: str = ""
    condition: str = ""


def against(plan: Plan, results: Results, baseline: str) -> Against:
    """What the rival of the settings says; nothing where there is none, or it cannot be fitted."""
    rival = plan.job.settings.rival()
    if rival is None:
        return Against()
    job = replace(plan.job, settings=rival.settings)
    other = replace(plan, job=job, repetitions=1)
    try:
        levels, theirs = _levels(plan, results[str(FIRST)]), _levels(other, _scored(other, FIRST))
        if not (note := _note(plan, rival, levels, theirs, baseline)):
            return Against()
        scored = {str(cell): _scored(other, cell) for cell in other.cells if cell != FIRST}
        scored[str(FIRST)] = evaluate_cell(other, FIRST, other.shared(0))
    except InputError:
        return Against()
    ours, theirs = _verdict(plan, results, baseline), _verdict(other, scored, baseline)
    if "undecided" in (ours, theirs) or ours == theirs:
        return Against(note)
    return Against(note, f"with {rival.now} alone, as {rival.option} says {theirs!r}")


def _scored(plan: Plan, cell: Cell) -> Mapping[str, CellScores]:
    """By strategy: means of sources, from sums where there are such."""
    shared = plan.shared(cell.repetition)
    if shared.sums is None:
        return evaluate_cell(plan, cell, shared)
    return source_scores(plan.job, cell, shared.sums)


def _levels(plan: Plan, scores: Mapping[str, CellScores]) -> dict[str, float]:
    """The macro mean of each strategy that is no control; more is better."""
    sign, tested = plan.job.metric.sign, list(plan.job.tested)
    names = [s.name for s in plan.job.strategies if not s.shuffled]
    return {name: sign * float(scores[name].test[tested].mean()) for name in names}


def _note(
    plan: Plan,
    rival: Rival,
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    baseline: str,
) -> str:
    """A line if the rival tells another story of levels, and one as likely; otherwise empty.

    Another story: the difference falls on another side of the region of equivalence, or the best
    strategy gains more than it.
    """
    main = "pooled" if "pooled" in ours else next(name for name in ours if name != baseline)
    metric = plan.job.metric
    region = plan.equivalence(metric.sign * ours[baseline])
    before, after = (levels[main] - levels[baseline] for levels in (ours, theirs))
    gain = max(theirs.values()) - max(ours.values())
    if gain < -region or (_side(before, region) == _side(after, region) and gain <= region):
        return ""
    better = f"prefer {rival.option}" if gain > region else "both fit about as well"
    first, second = in_order(main, baseline, metric.higher_is_better)
    best_after, best_before = (metric.sign * max(v.values()) for v in (theirs, ours))
    return (
        f"the {rival.name} matters: with {rival.option} {first} minus {second} is {after:+.3g} "
        f"instead of {before:+.3g}, and the best strategy's {metric_name(metric.key)} "
        f"{best_after:.4g} instead of {best_before:.4g} (first repetition): {better}"
    )


def _side(difference: float, region: float) -> int:
    return (difference > region) - (difference < -region)


def _verdict(plan: Plan, results: Results, baseline: str) -> str:
    summary = Summary(plan, results)
    return verdict_of(summary, baseline, {}, differences(summary, baseline)).overall
