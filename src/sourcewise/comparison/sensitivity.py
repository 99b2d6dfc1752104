"""Does the verdict rest on a prior, such as shrinkage? The same splits again, without it."""

from collections.abc import Mapping
from dataclasses import replace

from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import Cell, Plan
from sourcewise.comparison.scores import CellScores
from sourcewise.errors import InputError

__all__ = ["prior_matters"]

Scores = Mapping[str, CellScores]


def prior_matters(plan: Plan, results: Mapping[str, Scores], baseline: str) -> str | None:
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
        without = evaluate_cell(bare, Cell(0, None), bare.shared(0))
    except InputError:
        return None  # it cannot be fitted: the prior is needed
    rivals = [s.name for s in plan.job.strategies if not s.shuffled and s.name != baseline]
    main = "pooled" if "pooled" in rivals else rivals[0]
    with_, bare_ = (_levels(plan, s) for s in (results[str(Cell(0, None))], without))
    region = plan.job.metric.region(plan.job.coding, with_[baseline])
    before, after = (levels[main] - levels[baseline] for levels in (with_, bare_))
    best_before, best_after = (
        max(levels[name] for name in (*rivals, baseline)) for levels in (with_, bare_)
    )
    if _side(before, region) == _side(after, region) and best_after - best_before <= region:
        return None
    return (
        f"the {prior.name} matters: without it ({prior.option}) {main} minus {baseline} is "
        f"{after:+.3g} instead of {before:+.3g}, and the best strategy's log-likelihood "
        f"{best_after:.4g} instead of {best_before:.4g} (first repetition); prefer the higher"
    )


def _levels(plan: Plan, scores: Scores) -> dict[str, float]:
    """Macro mean of the held-out log-likelihood of each strategy."""
    tested = list(plan.job.tested)
    return {name: float(score.test[tested].mean()) for name, score in scores.items()}


def _side(difference: float, region: float) -> int:
    return (difference > region) - (difference < -region)
