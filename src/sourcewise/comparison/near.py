"""Near copies among rows of numbers: rows much closer to one other row than chance brings them.

How close is too close, the data say. Where the density hardly changes within the k nearest
neighbours of a row, its nearest one is the nearest of k - 1 points that fill the ball of the k-th
evenly (Facco, d'Errico, Rodriguez and Laio, Scientific Reports 7, 2017, for k = 2). So with r_1
and r_k the distances of these neighbours, in D dimensions,

    v = (r_1 / r_k)^D,   P(v < t) = 1 - (1 - t)^(k - 1),

whatever the density. D is what the outer half of the neighbours say of it, where copies of a few
rows are not seen: E log(r_k / r_j) = sum_(i=j)^(k-1) 1 / (i D). A copy has a v far below what so
many rows reach by chance. Where the dimension falls with the scale, as near the edges of the data,
the law errs on the safe side.

Columns count by shares of rows below, so neither units nor tails matter, and ties are broken at
random, so that decimals make no copies. Columns of few values tell nothing of distance: in them,
copies are equal.
"""

import math
from collections.abc import Sequence

import numpy as np

from sourcewise.comparison.copies import SHARE, NearCopies
from sourcewise.errors import counted
from sourcewise.forms import Whole, as_table
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

__all__ = ["near_pairs", "near_rows"]

NEIGHBOURS = 10
USUAL = 0.8  # different values a row, where ties are not
FEW = 20  # values of a column that tells nothing of distance
MOST_COLUMNS, MOST_CHECKED = 10, 100  # of distances, and of the pairs that are found
MOST_ROWS, SOME_ROWS = 20_000, 4000  # whose neighbours are looked for: all, or some of more
CHANCE = 1e-6  # of as many close pairs
FAR = 0.1  # of the rows lie between the values of two copies, in half of the columns at most


def near_rows(data: Sources) -> NearCopies | None:
    """Rows of a table with a near copy in another unit; None if there are few.

    Few: less than one in a thousand of the rows of every source, too few to move a score.
    """
    assert not isinstance(data.x, Whole)
    rows = as_table(data.x).matrix().numpy()
    complete = np.flatnonzero(~np.isnan(rows).any(1))
    # Identical rows are one: their units keep them together, or they are so by chance.
    first = np.sort(np.unique(data.same.numpy()[complete], return_index=True)[1])
    unit, y = data.units.numpy()[complete[first]], data.y.numpy()[complete[first]]
    rows = rows if len(first) == len(rows) else rows[complete[first]]
    pairs, asked = near_pairs(rows, Noise(0).of("near copies"))
    pairs = pairs[unit[pairs[:, 0]] != unit[pairs[:, 1]]]
    if not len(pairs):
        return None
    copied = np.unique(pairs)
    share = np.bincount(y[copied], minlength=data.K) / data.counts.numpy().clip(1)
    if (share * len(first) < SHARE * asked).all():
        return None
    across = np.unique(pairs[y[pairs[:, 0]] != y[pairs[:, 1]]])
    some = "" if asked == len(first) else f" ({asked} rows were looked at)"
    a, b = complete[first[pairs[0]]].tolist()
    return NearCopies(
        len(copied),
        f"{counted(len(copied), 'row')} have a near copy among other rows, much closer than "
        f"chance brings them{some}, {len(across)} of them in another source, such as "
        f"{data.places(a)} and {data.places(b)}",
    )


def near_pairs(values: np.ndarray, noise: Noise) -> tuple[np.ndarray, int]:
    """Pairs of near copies, and how many rows were asked for one.

    Args:
        values: (n, d) of different rows, without gaps.
        noise: of ties, and of the rows that are asked where there are very many.

    Returns:
        (pairs, 2) numbers of rows, no pair twice; the first were asked.
    """
    from scipy.spatial import cKDTree

    none = np.empty((0, 2), np.int64), len(values)
    numbers, few = _kinds(values)
    if len(values) < 2 * NEIGHBOURS or not numbers:
        return none
    ranks = _ranks(values, numbers, noise)
    asked = np.arange(len(values))
    if len(asked) > MOST_ROWS:
        asked = np.sort(noise.of("asked").permutation(len(asked))[:SOME_ROWS].numpy())
    some = ranks[:, :MOST_COLUMNS]
    distance, index = cKDTree(some).query(some[asked], k=NEIGHBOURS + 1, p=np.inf, workers=1)
    nearest, middle, last = (distance[:, k] for k in (1, NEIGHBOURS // 2, NEIGHBOURS))
    outer = np.log(last / middle).mean()
    if not outer > 0:
        return none
    D = sum(1 / i for i in range(NEIGHBOURS // 2, NEIGHBOURS)) / outer
    p = -np.expm1((NEIGHBOURS - 1) * np.log1p(-np.minimum((nearest / last) ** D, 1 - 1e-12)))
    pairs = np.stack([asked, index[:, 1]], 1)
    close = _alike(values[:, few], ranks, pairs)
    found = pairs[close & (p < _threshold(p, close))]
    return found[np.unique(np.sort(found, 1), axis=0, return_index=True)[1]], len(asked)


def _kinds(values: np.ndarray) -> tuple[list[int], list[int]]:
    """Columns of more than a few values, those of most values first, and the others."""
    counts = [len(np.unique(column)) for column in values.T]
    order = np.argsort(-np.array(counts), kind="stable").tolist()
    numbers = [j for j in order if counts[j] > FEW]
    return numbers[:MOST_CHECKED], order[len(numbers) :][:MOST_CHECKED]


def _ranks(values: np.ndarray, columns: Sequence[int], noise: Noise) -> np.ndarray:
    """(n, d) shares of rows below in some columns, a line between every tenth of them.

    Two values may be as close as ever.

    Where ties are usual, each value is spread over the ranks of its ties, and elsewhere over the
    smallest gap between two, which may be a step of the decimals.
    """
    n, d = len(values), len(columns)
    ranks = np.empty((n, d))
    for j, c in enumerate(columns):
        column = values[:, c]
        levels, level, count = np.unique(column, return_inverse=True, return_counts=True)
        middle = (np.cumsum(count) - count / 2) / n
        spread = noise.of("ties", j).uniform(n).numpy() - 0.5
        if len(levels) < USUAL * n:
            ranks[:, j] = middle[level] + spread * count[level] / n
        else:
            knots = np.unique([*range(0, len(levels), NEIGHBOURS), len(levels) - 1])
            column = column + spread * np.diff(levels).min()
            ranks[:, j] = np.interp(column, levels[knots], middle[knots])
    return ranks


def _alike(values: np.ndarray, ranks: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Whether the rows of pairs agree in columns of few values and are close in most others."""
    a, b = pairs.T
    return (values[a] == values[b]).all(1) & (np.median(np.abs(ranks[a] - ranks[b]), 1) <= FAR)


def _threshold(p: np.ndarray, close: np.ndarray) -> float:
    """Below which p-values (n,) are those of copies: where they exceed chance by most; 0: none."""
    from scipy.stats import poisson

    best, most = 0.0, 0.0
    for t in 10.0 ** -np.arange(2, 13):
        found, chance = float((close & (p < t)).sum()) / 2, len(p) * t / 2
        told = poisson.sf(math.ceil(found) - 1, chance) < CHANCE and found >= 2 * chance
        if told and found - chance > most:
            best, most = t, found - chance
    return best
