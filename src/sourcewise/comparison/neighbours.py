"""Whether rows resemble the rows beside them in the file: a permutation test within sources.

If every row stands for itself, the rows of a source are exchangeable: any order of them was as
likely. Two statistics tell blocks of rows of one case from such an order, of every column j:

    numbers:  r_j = sum_i e_i e_(i+1) / sum_i e_i^2,  e the ranks within a source, less their mean
    values:   m_j = the number of rows whose next row has the same value

(the rank form of von Neumann's ratio: Bartels, JASA 77, 1982; and a join count). Pairs across
sources are left out. Rows are permuted whole, so the dependence between columns is kept, and the
largest standardised statistic of all columns is compared with the largest of every permutation
(Westfall and Young, *Resampling-based multiple testing*, 1993): a column is named if no more than
3 of 1000 orders have one as large as its own, so that exchangeable rows are told to be alike with
this probability at most, whatever the columns. The sum of all r_j counts as one column more, for
cases that differ a little in each.

**Sorted files.** A file that is sorted by a column is no sign of repeated measurement: rows that
were independent before they were sorted are so given that column. Such a column is a *key*, and
is not tested where it is one. A key of few values, which occur in several sources, makes strata:
rows are permuted within them. Otherwise the order says what the key says, and a column that
depends on it smoothly drifts: then ranks less a straight line in those of the key are permuted,
within short windows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sourcewise.randomness import Noise

__all__ = ["Alike", "Layout", "alike", "layout_of", "run", "stretches"]

PERMUTATIONS, LEVEL = 999, 0.003
CLEAR = 0.05  # of a column, where all together are alike
FIRST, NOTHING = 99, 3  # of the first permutations as many that reach a statistic show no sign
FEW = 9  # values of a key that makes strata
MINORITY = 10  # rows with other values than most, that are in one place by no chance
CHANGES = 20  # that leave no doubt that a column is sorted
OUT_OF_ORDER = 0.1  # of its changes: a file may be of several that were sorted
WINDOW = 20  # rows, or RUNS runs of equal values of the key
RUNS = 4
STRETCH = 100  # rows that are kept together where not all are looked at


@dataclass(frozen=True)
class Layout:
    """Which rows may change places if rows are exchangeable; all sorted by source.

    Args:
        window: (n,) rows of one number may; never decreasing.
        key: (n, d) whether the rows of a source are sorted by a column.
        drift: (n,) ranks of the key, on which others are regressed within windows; 0 without one.
    """

    window: np.ndarray
    key: np.ndarray
    drift: np.ndarray

    @classmethod
    def of_any_order(cls, source: np.ndarray, d: int) -> "Layout":
        """That of rows (n,) of sources that are sorted by no column of d."""
        n = len(source)
        return cls(source, np.zeros((n, d), bool), np.zeros(n))


@dataclass(frozen=True)
class Alike:
    """A column in which rows resemble their neighbours.

    Args:
        column: its number.
        rank: the rank correlation of neighbours; None for categories.
        same: the share of neighbours with one value, chance taken off: 0 is chance, 1 always.
        repeats: whether that share alone is more than chance.
    """

    column: int
    rank: float | None
    same: float
    repeats: bool


def layout_of(values: np.ndarray, category: np.ndarray, source: np.ndarray) -> Layout:
    """Find the columns that the file is sorted by.

    Args:
        values: (n, d) numbers, and codes of categories; NaN is a gap.
        category: (d,) which are codes.
        source: (n,) never decreasing.
    """
    n, d = values.shape
    if n < 2 or not d:
        return Layout.of_any_order(source, d)
    found, left = Layout.of_any_order(source, d), set(range(d))
    segment = source
    while strata := _first_strata(values, left, source, segment):
        j, where = strata
        left.remove(j)
        found.key[:, j] = where
        changed = _different(values[1:, j], values[:-1, j]) & where[1:]
        segment = np.concatenate([[0], np.cumsum(changed | (segment[1:] != segment[:-1]))])
    ordered = _sorted(values, category, source, segment)
    found.key[ordered] = True
    runs = np.array([run(values[:, j]) for j in range(d)])
    rows = ordered.any(1)
    length = np.where(rows, np.maximum(WINDOW, RUNS * np.where(ordered, runs, 0).max(1)), n)
    finest = np.where(ordered, runs, np.inf).argmin(1)
    value = np.where(category[finest], np.arange(n), values[np.arange(n), finest])
    window = _windows(segment, length)
    drift = _ranks(value[:, None], window)[:, 0]
    return Layout(window, found.key, np.where(rows, drift, 0))


def stretches(n: int, most: int, length: int = STRETCH) -> np.ndarray:
    """About `most` of n rows: evenly spaced stretches of neighbours, or all if they are as few.

    >>> stretches(12, 6, 3).tolist()
    [0, 1, 2, 6, 7, 8]
    """
    at = np.arange(n)
    return at if n <= most else at[at % (length * n / most) < length]


def run(values: np.ndarray) -> float:
    """Rows in a row with one value (n,), on average."""
    return len(values) / (1 + int(_different(values[1:], values[:-1]).sum()))


def alike(
    values: np.ndarray,
    category: np.ndarray,
    layout: Layout,
    noise: Noise,
    permutations: int = PERMUTATIONS,
) -> list[Alike]:
    """The columns in which rows resemble their neighbours, keys left out.

    Args:
        values: (n, d), as for `layout_of`; gaps resemble nothing.
        category: (d,) which are codes.
        layout: of these rows.
        noise: of the permutations.
        permutations: B of them.
    """
    tested = np.flatnonzero(~layout.key.all(0)).tolist()
    if not tested or len(values) < 2:
        return []
    values = np.where(layout.key, np.nan, values)
    drifts = bool(layout.drift.any())
    numbers = tested if drifts else [j for j in tested if not category[j]]
    ranks = _ranks(_as_numbers(values[:, numbers], category[numbers]), layout.window)
    codes, measure = _codes(values[:, tested]), _Measure(layout)
    found = np.empty((permutations + 1, len(numbers) + len(tested)))
    found[0], named = measure(ranks, codes), np.empty(0, bool)
    # Where columns drift, so do the shares of their values: ranks, less the drift, must tell.
    deciding = slice(0, len(numbers) if drifts else None)
    for b in range(permutations):
        order = np.argsort(layout.window + noise.of(b).uniform(len(values)).numpy())
        found[b + 1] = measure(ranks[order], codes[order])
        if b + 1 in (FIRST, permutations):
            most = NOTHING / FIRST if b + 1 < permutations else LEVEL
            named = _named(found[: b + 2], deciding, len(numbers), most)
            if not named[deciding].any():
                return []
    r, m = np.split(named, [len(numbers)])
    excess, usual = found[0] - found[1:].mean(0), found[1:, len(numbers) :].mean(0)
    same = excess[len(numbers) :] / np.maximum(measure.pairs - usual, 1)
    ranked = {j: (float(excess[i]), bool(r[i])) for i, j in enumerate(numbers)}
    out = []
    for i, j in enumerate(tested):
        rank, named = ranked.get(j, (0.0, False))
        if named or (m[i] and not drifts):
            out.append(Alike(j, None if category[j] else rank, float(same[i]), bool(m[i])))
    return out


def _named(found: np.ndarray, deciding: slice, numbers: int, level: float) -> np.ndarray:
    """The statistics of the first row that are larger than chance makes the largest of a row.

    So may the sum of all r be, of the first `numbers`: then those are named that chance alone
    would leave below at the level of CLEAR.
    """
    z = _standardised(found)
    together = _standardised(z[:, :numbers].sum(1, keepdims=True))
    most = np.sort(np.maximum(z[1:, deciding].max(1), together[1:, 0]))

    def p(value: np.ndarray) -> np.ndarray:
        return (1 + len(most) - np.searchsorted(most, value)) / (1 + len(most))

    named = p(z[0]) <= level
    if p(together[0])[0] <= level:
        named[:numbers] |= (z[1:, :numbers] >= z[0, :numbers]).mean(0) <= CLEAR
    return named


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and standard deviation 1, or 0."""
    spread = values.std(0)
    return (values - values.mean(0)) / np.where(spread > 0, spread, 1)


class _Measure:
    """Both statistics of rows in some order."""

    def __init__(self, layout: Layout):
        self.inside = layout.window[1:] == layout.window[:-1]
        self.pairs = int(self.inside.sum())
        new = np.concatenate([[True], ~self.inside])
        self.starts = np.flatnonzero(new)
        self.number = np.cumsum(new) - 1
        drift = layout.drift[:, None]
        self.size = np.diff(np.append(self.starts, len(new)))[:, None]
        drift = drift - (np.add.reduceat(drift, self.starts) / self.size)[self.number]
        squares = np.add.reduceat(drift**2, self.starts)
        self.squares = np.where(squares > 0, squares, 1)
        self.drift = drift.astype(np.float32) if layout.drift.any() else None

    def __call__(self, ranks: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """r of ranks (n, numbers), and m of codes (n, d), one after the other."""
        if self.drift is not None:  # a line is taken off in every window; mean 0 stays
            slope = np.add.reduceat(ranks * self.drift, self.starts) / self.squares
            ranks = ranks - slope.astype(np.float32)[self.number] * self.drift
            # What is left may be much in some windows and little in others: all count alike.
            left = np.sqrt(np.add.reduceat(ranks**2, self.starts) / self.size)
            scale = np.where(left > 1e-4, 1 / np.maximum(left, 1e-4), 0)
            ranks = ranks * scale.astype(np.float32)[self.number]
        products = (ranks[1:] * ranks[:-1])[self.inside].sum(0, dtype=np.float64)
        total = (ranks**2).sum(0, dtype=np.float64)
        same = (codes[1:] == codes[:-1])[self.inside].sum(0)
        return np.concatenate([products / np.where(total > 0, total, 1), same])


def _as_numbers(values: np.ndarray, category: np.ndarray) -> np.ndarray:
    """Columns (n, d) with categories as numbers: whether a row has the most common one."""
    out = values.copy()
    for j in np.flatnonzero(category):
        column = values[:, j]
        levels, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        if len(levels):
            out[:, j] = np.where(np.isnan(column), np.nan, column == levels[counts.argmax()])
    return out


def _ranks(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(n, d) float32 ranks within windows as shares of them, less their mean; 0 for a gap."""
    import pandas as pd

    if not values.shape[1]:
        return np.empty(values.shape, np.float32)
    groups = pd.DataFrame(values).groupby(window)
    ranks = groups.rank(pct=True)
    return (ranks - ranks.groupby(window).transform("mean")).fillna(0).to_numpy(np.float32)


def _codes(values: np.ndarray) -> np.ndarray:
    """(n, d) int32 numbers of the different values; every gap is one of its own."""
    import pandas as pd

    codes = np.empty(values.shape, np.int32)
    gap = -np.arange(len(values)) - 1
    for j, column in enumerate(values.T):
        number = pd.factorize(column)[0]  # -1 for a gap
        codes[:, j] = np.where(number < 0, gap, number)
    return codes


def _different(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Whether neighbours (n - 1,) have different values; gaps are alike."""
    return ~((after == before) | (np.isnan(after) & np.isnan(before)))


def _contiguous(values: np.ndarray, segment: np.ndarray) -> tuple[int, int, int]:
    """Runs of a column (n,) within segments, different values within them, different values."""
    import pandas as pd

    codes = pd.factorize(values)[0]
    inside = segment[1:] == segment[:-1]
    runs = 1 + int((~inside | (codes[1:] != codes[:-1])).sum())
    levels = int(codes.max()) + 2
    within = len(np.unique(segment.astype(np.int64) * levels + codes + 1))
    return runs, within, len(np.unique(codes))


def _first_strata(
    values: np.ndarray, columns: Iterable[int], source: np.ndarray, segment: np.ndarray
) -> tuple[int, np.ndarray] | None:
    """The first of some columns that makes strata, and where."""
    found = ((j, _strata(values[:, j], source, segment)) for j in columns)
    return next(((j, where) for j, where in found if where.any()), None)


def _strata(values: np.ndarray, source: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """(n,) in which sources a column has few values, each in one run of a segment.

    In all, or in those where chance would not do it. The values recur in several sources.
    """
    import pandas as pd

    none = np.zeros(len(values), bool)
    if len(np.unique(values[: 10 * FEW])) > FEW + 1:
        return none
    codes = pd.factorize(values)[0] + 1  # 0 for a gap
    levels = int(codes.max()) + 1
    if len(np.unique(codes)) > FEW:
        return none
    new_segment = np.concatenate([[True], segment[1:] != segment[:-1]])
    new_run = new_segment | np.concatenate([[True], codes[1:] != codes[:-1]])
    inside = np.unique(segment.astype(np.int64) * levels + codes, return_index=True)[1]
    K = int(source.max()) + 1
    segments, runs = (np.bincount(source[new], minlength=K) for new in (new_segment, new_run))
    within = np.bincount(source[inside], minlength=K)
    if within.sum() <= len(np.unique(codes)):
        return none
    one_run, changes = runs == within, runs > segments
    if one_run.all():
        return none | bool(changes.any())
    counts = np.bincount(source.astype(np.int64) * levels + codes, minlength=K * levels)
    others = np.bincount(source, minlength=K) - counts.reshape(K, levels).max(1)
    return (one_run & changes & (others >= MINORITY))[source]


def _sorted(
    values: np.ndarray, category: np.ndarray, source: np.ndarray, segment: np.ndarray
) -> np.ndarray:
    """(n, d) whether a column rises, or falls, in the row's source, or in all together.

    Categories may also have one run of each.
    """
    inside = (segment[1:] == segment[:-1])[:, None]
    steps = np.diff(values, axis=0)
    new = np.concatenate([[True], source[1:] != source[:-1]])
    starts, number = np.flatnonzero(new), np.cumsum(new) - 1
    last = np.zeros((1, values.shape[1]), bool)  # of the last row there is no step

    def counted(which: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.concatenate([which & inside, last]), starts)

    ups, downs = counted(steps > 0), counted(steps < 0)
    found = _one_way(ups, downs) | _one_way(ups.sum(0), downs.sum(0))
    for j in np.flatnonzero(category & (ups + downs).sum(0).astype(bool)):
        runs, within, _ = _contiguous(values[:, j], segment)
        found[:, j] |= runs == within and (ups + downs)[:, j].sum() >= CHANGES
    return found[number]


def _one_way(ups: np.ndarray, downs: np.ndarray) -> np.ndarray:
    """Whether there are many changes, nearly all of one direction."""
    changes = ups + downs
    return (changes >= CHANGES) & (np.minimum(ups, downs) <= OUT_OF_ORDER * changes)


def _windows(segment: np.ndarray, length: np.ndarray) -> np.ndarray:
    """(n,) number of the window of each row: segments cut into equal parts of about a length."""
    new = np.concatenate([[True], segment[1:] != segment[:-1]])
    number, starts = np.cumsum(new) - 1, np.flatnonzero(new)
    size = np.diff(np.append(starts, len(segment)))
    parts = np.maximum(size // length[starts].astype(np.int64), 1)
    part = (np.arange(len(segment)) - starts[number]) * parts[number] // size[number]
    return (np.cumsum(parts) - parts)[number] + part
