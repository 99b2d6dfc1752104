"""Columns whose values tell which rows are of one case: a patient's age, weight or number.

Such values repeat, wherever in the file the rows of a case stand; but so do those of every column
with few decimals. Two signs tell them apart, of a column whose values nearly all repeat:

- **They stay inside a source.** Values of one lattice (whole years, logarithms of counts) that are
  close to each other are as likely in each source; a patient is in one. Among the rows of 10
  neighbouring values, sources are permuted: tied rows of cases agree in theirs far more often.
- **They leave gaps.** A source that is recorded more coarsely than others has a lattice of its
  own, but hardly a gap in it; the values of a few cases fill little of theirs.

All values occur about equally often: heaps (a zero, a usual dose) are no cases.
"""

from collections.abc import Sequence

import numpy as np

from sourcewise.randomness import Noise

__all__ = ["groups_by", "stays_in_sources"]

LEVELS = 10  # different values at least
TIED = 0.8  # of the rows share their value with another
UNEVEN = 2.0  # how many more rows have the value of a row than that of a value, on average
INSIDE = 0.5  # of the tied rows are of one source, chance taken off
FILLED = 0.5  # of the lattice
TOGETHER = 10  # neighbouring values
TIMES = 99  # permutations


def stays_in_sources(values: np.ndarray, category: bool, source: np.ndarray, noise: Noise) -> bool:
    """Whether a column's values are those of cases, each of one source.

    Args:
        values: (n,) numbers or codes; NaN is a gap.
        category: whether they are codes, which have no order.
        source: (n,) of each row.
        noise: of the permutations.
    """
    there = ~np.isnan(values)
    values, source = values[there], source[there]
    levels, value, count = np.unique(values, return_inverse=True, return_counts=True)
    n = len(values)
    if len(levels) < LEVELS or count[count > 1].sum() < TIED * n:
        return False
    if (count**2).sum() / n > UNEVEN * n / len(levels):
        return False
    if not category and _filled(values, source) > FILLED:
        return False
    window = np.zeros(n) if category else value // TOGETHER
    found, order = _inside(value, source), np.argsort(window, kind="stable")
    value, source, window = value[order], source[order], window[order]
    chance = []
    for b in range(TIMES):
        mixed = np.argsort(window + noise.of(b).uniform(n).numpy())
        chance.append(_inside(value, source[mixed]))
    usual, pairs = float(np.mean(chance)), float((count * (count - 1)).sum() / 2)
    return found > max(chance) and found - usual >= INSIDE * (pairs - usual)


def _inside(value: np.ndarray, source: np.ndarray) -> float:
    """Pairs of rows with one value (n,) and one source (n,)."""
    both = np.bincount(value * (source.max() + 1) + source).astype(float)
    return float((both * (both - 1)).sum() / 2)


def _filled(values: np.ndarray, source: np.ndarray) -> float:
    """How much of its lattice, whose step is the smallest gap, a source fills; in the median."""
    filled = []
    for k in np.unique(source):
        mine = np.unique(values[source == k])
        gaps = np.diff(mine)
        if len(gaps) > 1:
            filled.append(len(gaps) * gaps.min() / gaps.sum())
    return float(np.median(filled)) if filled else 1.0


def groups_by(
    values: np.ndarray, source: np.ndarray, tested: Sequence[int], enough: int
) -> np.ndarray | None:
    """The columns, as few as do, whose equal values make groups of rows.

    The column of most values comes first; another is added while equal values stand in several
    places of the file, as ages of patients do.

    Args:
        values: (n, d) of columns that repeat; NaN is a gap.
        source: (n,) never decreasing.
        tested: sources that must be left with `enough` groups each.
        enough: of them.

    Returns:
        numbers of the columns; None where they make too few groups.
    """
    import pandas as pd  # which texts do without

    levels = [len(np.unique(column)) for column in values.T]
    chosen: list[int] = []
    group = within = np.zeros(len(values), np.int64)
    for j in np.argsort(-np.array(levels), kind="stable").tolist():
        chosen.append(j)
        group = pd.factorize(group * (levels[j] + 1) + pd.factorize(values[:, j])[0] + 1)[0]
        within = pd.factorize(source.astype(np.int64) * len(values) + group)[0]
        runs = 1 + int((np.diff(within) != 0).sum())
        if runs <= 1.1 * (within.max() + 1):
            break
    per_source = pd.Series(within).groupby(source).nunique()
    few = bool((per_source.reindex(list(tested), fill_value=0) < enough).any())
    alone = group.max() + 1 > len(values) / 1.5
    return None if few or alone or group.max() + 1 < LEVELS else np.array(chosen)
