"""What is to be said of the data of a comparison before its numbers."""

import numpy as np

from sourcewise.comparison.copies import SHARE, copies, near_copies
from sourcewise.comparison.prepare import Prepared
from sourcewise.errors import counted, listing
from sourcewise.forms import Whole, as_table
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.splits import repeats_by_chance

__all__ = ["near_duplicates", "repeats", "warnings_of"]

CLOSE = 1e-3  # standard deviations


def warnings_of(prepared: Prepared) -> list[str]:
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
    found = repeats(data), near_duplicates(data)
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
