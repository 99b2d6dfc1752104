"""What is to be said of the data of a comparison before its numbers."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sourcewise.comparison.copies import SHARE, copies, near_copies
from sourcewise.comparison.evaluate import evaluate_cell
from sourcewise.comparison.plan import BASELINE, Plan
from sourcewise.comparison.prepare import Prepared
from sourcewise.comparison.scores import Cell, CellScores
from sourcewise.comparison.summed import source_scores
from sourcewise.errors import InputError, counted, listing
from sourcewise.forms import Whole, as_table
from sourcewise.randomness import Noise
from sourcewise.results.text import in_order, metric_name
from sourcewise.sources import Sources
from sourcewise.splits import repeats_by_chance

__all__ = ["near_duplicates", "repeats", "warnings_of"]

Results = Mapping[str, Mapping[str, CellScores]]
CLOSE = 1e-3  # standard deviations


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
    found = repeats(data), near_duplicates(data), _prior_matters(plan, results, BASELINE)
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


def near_duplicates(data: Sources, close: float = CLOSE) -> str | None:
    """A warning that counts the rows with a near copy, not identical, in another unit.

    A near copy differs by at most `close` standard deviations in every column. Identical rows are
    no danger: they are kept together. Images have ways of their own, texts none. Nothing
    is said where near copies are less than one in a thousand of the rows of every source, too few
    to move a score, nor where chance makes half as many.

    Returns:
        One line, or None if there are none.
    """
    if isinstance(data.x, Whole):
        return near_copies(data, data.x)
    from scipy.spatial import cKDTree

    rows = as_table(data.x).matrix().numpy()
    complete = ~np.isnan(rows).any(1)
    rows = rows if complete.all() else rows[complete]
    scale = rows.std(0) if len(rows) else np.ones(rows.shape[1])
    rows /= np.where(scale > 0, scale, 1)
    y, unit = data.y.numpy()[complete], data.units.numpy()[complete]
    # One representative per unit and value keeps the search small where many rows are identical.
    first = np.unique(unit, return_index=True)[1] if data.group is None else np.arange(len(rows))
    single = rows if len(first) == len(rows) else rows[first]
    distance, index = cKDTree(single).query(
        single, k=2, p=np.inf, distance_upper_bound=close, workers=1
    )
    near = index[:, 1] < len(first)
    here, there = first[near], first[index[near, 1]]
    apart = (unit[here] != unit[there]) & (distance[near, 1] > 0)
    across = apart & (y[here] != y[there])
    copied = np.bincount(y[here][apart], minlength=data.K)
    few = bool((copied < SHARE * data.counts.numpy().clip(1)).all())
    if few or _near_by_chance(rows[first], y[first], close, int(near.sum())):
        return None
    return (
        f"{apart.sum()} rows have a near copy (within {close:g} standard deviations in every "
        f"column) in other rows, {across.sum()} of them in another source: if they stem from one "
        "case, keep them together with --group"
    )


def _near_by_chance(rows: np.ndarray, y: np.ndarray, close: float, found: int) -> bool:
    """Whether independent columns would have at least half as many near copies by chance.

    As `splits.repeats_by_chance` asks of identical rows: every column is permuted by itself within
    its source, which keeps its values and undoes what two rows have in common.

    Rows (n, d) are scaled; `found` of them have a near copy, identical ones included.
    """
    from scipy.spatial import cKDTree

    noise, mixed = Noise(0).of("near copies"), rows.copy()
    for k in np.unique(y).tolist():
        mine = np.flatnonzero(y == k)
        for j in range(rows.shape[1]):
            mixed[mine, j] = rows[mine[noise.of(k, j).permutation(len(mine)).numpy()], j]
    distance, _ = cKDTree(mixed).query(mixed, k=2, p=np.inf, distance_upper_bound=close, workers=1)
    return found <= 2 * int(np.isfinite(distance[:, 1]).sum())


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
    region = plan.equivalence(with_[baseline])
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
