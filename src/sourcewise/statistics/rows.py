"""The interval of a mean over new test rows and training seeds, for these training data."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.statistics.interval import LEVEL, Interval, SeedSpread

__all__ = ["SEEDS", "Units", "row_moments", "rows_and_seeds", "with_seeds"]

SEEDS = "training seeds"


def rows_and_seeds(
    differences: ArrayLike,
    unit: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    stratum: ArrayLike | None = None,
    level: float = LEVEL,
    sizes: ArrayLike | None = None,
) -> Interval:
    """Interval of a (stratified) mean over test rows and training seeds, for these training data.

    The value is `sum_k w_k R_k`, `R_k = sum_i d_i / sum_i s_i` over the rows of stratum k: a
    mean, or, with sizes s, a ratio (nats per symbol). To first order row i of a stratum with m_k
    units moves it by `z_i = w_k (d_i - R_k s_i) / sum_i s_i`; each stratum has a mean of its own,
    so these are scaled by `sqrt(m_k / (m_k - 1))`. A unit may have rows in several strata:
    `SE^2 = SE_rows^2 + SE_seeds^2`, `SE_rows^2 = sum_units (sum of its z)^2`, and that of seeds
    from the spread of the S seeds' values (`_of_seeds`). With df_rows from the m_k - 1,

        half-width^2 = (t_rows SE_rows)^2 + (t_seeds SE_seeds)^2,

    bent by a third of the skewness that rows make, `sum_units (sum of its z)^3 / SE^3`;

    df is that of the t which gives the same width. Satterthwaite's takes a spread of two or three
    seeds that came out small for one that is well known, and covers less than its level.

    Args:
        differences: (S, n) per training seed and test row.
        unit: (n,) rows of one unit stay together; None: each row is a unit.
        weight: (K,) weight of each stratum; None: there is one.
        stratum: (n,) in {0, ..., K - 1}; a stratum of positive weight needs two units.
        level: nominal coverage.
        sizes: (n,) units of each row, above 0; None: each row is one.

    Reference:
        Cochran, "Sampling techniques", 1977, section 6.4 (the ratio estimator).
        Graybill and Wang, "Confidence intervals on nonnegative linear combinations of variances",
        1980 (each part of a sum with quantiles of its own).
    """
    values = np.atleast_2d(np.asarray(differences, dtype=float))
    n = values.shape[1]
    k = np.zeros(n, int) if stratum is None else np.asarray(stratum)
    w = np.ones(1) if weight is None else np.asarray(weight, dtype=float)
    s = np.ones(n) if sizes is None else np.asarray(sizes, dtype=float)
    totals = np.bincount(k, weights=s, minlength=len(w))
    totals[totals == 0] = 1.0
    means = np.stack([np.bincount(k, weights=row, minlength=len(w)) / totals for row in values])
    moves = (w / totals)[k] * (values.mean(0) - means.mean(0)[k] * s)
    rows, df, third = _of_rows(moves, k, np.arange(n) if unit is None else np.asarray(unit), w > 0)
    seeds, df_seeds = _of_seeds(means * w)
    both, of_seeds = _joined(rows, df, seeds, df_seeds, level)
    scarce = SEEDS if of_seeds > 0.5 else "rows"
    S, square = len(means), rows + seeds
    return Interval(
        float((means @ w).mean()),
        math.sqrt(square),
        both,
        level,
        scarce,
        spread=SeedSpread(S, seeds, df_seeds, rows, df) if S > 1 else None,
        bend=third / square**1.5 / 3 if square else 0.0,
    )


@dataclass(frozen=True)
class Units:
    """Which unit and stratum each row is of; rows of one unit stay together."""

    pair: np.ndarray | None  # (n,) of each row its pair of stratum and unit; None: its own
    stratum: np.ndarray  # (P,) of each pair
    unit: np.ndarray  # (P,) of each pair, numbered
    size: np.ndarray  # (K,) units of each stratum

    @classmethod
    def of(cls, unit: np.ndarray, stratum: np.ndarray, K: int) -> "Units":
        """Of units and strata (n,), the latter in {0, ..., K - 1}."""
        alone = (
            unit.dtype.kind == "i" and len(unit) and 0 <= unit.min() <= unit.max() < 2 * len(unit)
        )
        if alone and np.bincount(unit).max() == 1:  # rows may be millions: nothing is sorted
            return cls(None, stratum, unit, np.bincount(stratum, minlength=K))
        numbered = np.unique(unit, return_inverse=True)[1]
        keys, pair = np.unique(numbered * K + stratum, return_inverse=True)
        return cls(pair, keys % K, keys // K, np.bincount(keys % K, minlength=K))

    def sums(self, moves: np.ndarray) -> np.ndarray:
        """(P,) of moves (n,) about their stratum's mean, scaled for what taking it off took."""
        m = self.size
        whole = moves if self.pair is None else np.bincount(self.pair, weights=moves)
        return whole * np.sqrt(m / np.maximum(m - 1, 1))[self.stratum]


def row_moments(
    values: ArrayLike, units: Units, stratum: ArrayLike, sizes: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(K,) each: the second and third central moment of every stratum's mean; 0 without rows.

    Args:
        values: (n,) of each row.
        units: of the rows.
        stratum: (n,) in {0, ..., K - 1}.
        sizes: (n,) units of each row, above 0; None: each row is one.
    """
    x, k, K = np.asarray(values, dtype=float), np.asarray(stratum), len(units.size)
    s = np.ones(len(x)) if sizes is None else np.asarray(sizes, dtype=float)
    totals = np.bincount(k, weights=s, minlength=K)
    totals[totals == 0] = 1.0
    means = np.bincount(k, weights=x, minlength=K) / totals
    z = units.sums((x - means[k] * s) / totals[k])
    second, third = (np.bincount(units.stratum, weights=z**i, minlength=K) for i in (2, 3))
    return second, third


def with_seeds(interval: Interval, seeds: int) -> Interval:
    """As it would be with another number of training seeds, two or more.

    `SE_seeds^2` shrinks like 1 / S, and its degrees of freedom grow like S - 1; all else stays.
    """
    now = interval.spread
    assert now is not None
    variance = now.variance * now.seeds / seeds
    df = now.df * (seeds - 1) / (now.seeds - 1)
    joined, _ = _joined(now.rows, now.df_rows, variance, df, interval.level)
    before = interval.standard_error**2
    square = max(before - now.variance + variance, 0.0)
    bend = interval.bend * (before / square) ** 1.5 if square else 0.0
    return replace(interval, standard_error=math.sqrt(square), df=joined, bend=bend)


def _of_seeds(parts: np.ndarray) -> tuple[float, float]:
    """The variance that training seeds make, and its degrees of freedom.

    That of the sum over sources, but never below that of independent sources, `sum_k s_k^2 / S`:
    the swings of a few seeds cancel by chance. That they cancel for a reason cannot be told from
    so few, and is not counted on.

    Args:
        parts: (S, K) of each source.
    """
    S = len(parts)
    if S == 1:
        return 0.0, 1.0
    together = float(parts.sum(1).var(ddof=1)) / S
    each = parts.var(0, ddof=1) / S
    apart = float(each.sum())
    if apart <= together * (1 + 1e-9):
        return together, S - 1.0
    return apart, (S - 1) * apart**2 / float((each**2).sum())


def _joined(
    rows: float, df_rows: float, seeds: float, df_seeds: float, level: float
) -> tuple[float, float]:
    """Degrees of freedom of the t that gives `sqrt((t_rows^2 rows + t_seeds^2 seeds)/(rows +
    seeds))`, between the two; and the share of seeds in the square."""
    from scipy.special import stdtridf, stdtrit

    if rows == 0 or seeds == 0:
        return (df_rows, 0.0) if seeds == 0 else (df_seeds, 1.0)
    tail = (1 + level) / 2
    of_rows, of_seeds = (float(stdtrit(df, tail)) ** 2 for df in (df_rows, df_seeds))
    square = of_rows * rows + of_seeds * seeds
    found = float(stdtridf(tail, math.sqrt(square / (rows + seeds))))
    return min(max(found, min(df_rows, df_seeds)), max(df_rows, df_seeds)), (
        of_seeds * seeds / square
    )


def _of_rows(
    moves: np.ndarray, stratum: np.ndarray, unit: np.ndarray, used: np.ndarray
) -> tuple[float, float, float]:
    """The variance that test rows make, its degrees of freedom, and their third moment.

    Args:
        moves: (n,) by which each row moves the value.
        stratum: (n,) of each row.
        unit: (n,) of each row.
        used: (K,) the strata of positive weight.
    """
    kept = used[stratum]
    units = Units.of(unit[kept], stratum[kept], len(used))
    if (units.size[used] < 2).any():
        raise ValueError("an interval needs test rows of at least two units of each source")
    z = units.sums(moves[kept])
    whole = z if units.pair is None else np.bincount(units.unit, weights=z)
    total, third = float((whole**2).sum()), float((whole**3).sum())
    own = np.bincount(units.stratum, weights=z**2, minlength=len(used))
    spread = float((own[used] ** 2 / (units.size[used] - 1)).sum())
    most = len(whole) - 1.0  # all units but one: no more than that where they are shared
    return total, min(total**2 / spread, most) if spread > 0 else most, third
