"""From per-example contributions to words: intervals, tests, verdicts.

The difference of two strategies on a source is positive when it favours the strategy over the
baseline. Two kinds of interval say what it would do elsewhere:

- `jackknife`: over new training samples and new test rows. The whole cross-validated estimate is
  computed again with each of G groups of rows left out;
  `SE^2 = (G - 1)/G sum_g (theta_(g) - mean theta)^2`, t with G - 1 degrees of freedom.
- `rows_and_seeds`: over new test rows and training seeds, for these training data.

Verdicts come in this order: interval inside the region of practical equivalence: `equivalent`;
Holm-adjusted p < .05: `pool` or `separate`; otherwise `undecided`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "ALPHA",
    "DOMINATED",
    "SEEDS",
    "SHARED",
    "Interval",
    "Overall",
    "SeedSpread",
    "Verdict",
    "averaged_errors",
    "beta_from_gain",
    "dominance",
    "holm",
    "jackknife",
    "judge",
    "judge_overall",
    "rows_and_seeds",
    "with_seeds",
    "with_shared_errors",
]

Verdict = Literal["pool", "separate", "equivalent", "undecided"]
Overall = Literal["pool", "separate", "equivalent", "undecided", "mixed"]
LEVEL = 0.95
ALPHA = 0.05


@dataclass(frozen=True)
class SeedSpread:
    """What training seeds and test rows make of an interval.

    Args:
        seeds: how many there are, two at least.
        variance: that they make, as many as they are.
        df: its degrees of freedom.
        rows: the variance that test rows make.
        df_rows: likewise.
    """

    seeds: int
    variance: float
    df: float
    rows: float
    df_rows: float


@dataclass(frozen=True)
class Interval:
    """A value with its t interval.

    Args:
        value: the estimate.
        standard_error: its standard error.
        df: degrees of freedom of t, or those whose t gives the same width.
        level: nominal coverage.
        scarce: what would shrink it most: rows, training seeds, or `SHARED`, whichever makes
            most of its width.
        allowance: the most that a bias may add or take, >= 0; it never averages out.
        spread: what training seeds make of it; None: they make nothing, or it is not known.
    """

    value: float
    standard_error: float
    df: float
    level: float = LEVEL
    scarce: str = "rows"
    allowance: float = 0.0
    spread: SeedSpread | None = None

    @property
    def half_width(self) -> float:
        """`t_{df, (1 + level)/2} SE + allowance`."""
        from scipy.special import stdtrit

        if self.standard_error == 0:
            return self.allowance
        spread = float(stdtrit(self.df, (1 + self.level) / 2)) * self.standard_error
        return spread + self.allowance

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.half_width

    @property
    def p(self) -> float:
        """Two-sided p-value of a value within the allowance; 1 if that is all there is."""
        from scipy.special import stdtr

        beyond = max(0.0, abs(self.value) - self.allowance)
        if self.standard_error == 0:
            return 1.0 if beyond == 0 else 0.0
        return float(2 * stdtr(self.df, -beyond / self.standard_error))


DOMINATED = 0.8
SHARED = "what rows share"  # an error that no row makes smaller
SEEDS = "training seeds"


def dominance(replicates: ArrayLike) -> float:
    """Share of the jackknife variance that one group of rows makes, from 1/G to 1.

    Ten normal replicates give .37 on average and pass `DOMINATED` once in 2800 times; near 1, a
    few rows (outliers, a faulty instrument) decide how wide the interval is.
    """
    values = np.asarray(replicates, dtype=float)
    squares = (values - values.mean()) ** 2
    return float(squares.max() / squares.sum()) if squares.any() else 0.0


def jackknife(estimate: float, replicates: ArrayLike, level: float = LEVEL) -> Interval:
    """Interval of an estimate from its delete-group replicates.

    >>> x = np.arange(10.0)
    >>> leave_one_out = (x.sum() - x) / 9
    >>> bool(np.isclose(jackknife(x.mean(), leave_one_out).standard_error, x.std(ddof=1) / 10**.5))
    True

    Args:
        estimate: theta, from all rows.
        replicates: (G,) theta_(g), from all rows but those of group g.
        level: nominal coverage.
    """
    values = np.asarray(replicates, dtype=float)
    G = len(values)
    spread = float(((values - values.mean()) ** 2).sum())
    return Interval(float(estimate), math.sqrt((G - 1) / G * spread), G - 1, level)


def averaged_errors(errors: ArrayLike) -> np.ndarray:
    """(K, 3 + B) errors of the mean of R scores whose normalisers are simulated one by one.

    Standard errors are independent, `SE^2 = sum_r SE_r^2 / R^2`; biases do not average out, and
    parts of draws are averaged as they are.

    Args:
        errors: (R, K, 3 + B), see `with_shared_errors`.
    """
    found = np.asarray(errors, dtype=float)
    out = found.mean(0)
    out[:, 0] = np.sqrt((found[:, :, 0] ** 2).sum(0)) / len(found)
    return out


def with_shared_errors(
    interval: Interval, weight: np.ndarray, errors: Sequence[tuple[float, np.ndarray]]
) -> Interval:
    """Wider by errors that all rows of a source share, such as that of a simulated normaliser.

    Standard errors are independent between sources and models. Biases are not. Every simulated
    log Z is too low in expectation, so what the models on one side of a difference are overstated
    by adds up, and the larger side counts. An error of quadrature may go either way in each
    model: at worst all add up. Models that are drawn by the same streams err alike, so draws come
    as parts, of which each is compared with the same part of the other model's.

    >>> error = np.array([[0.3, 0.1, 0.0], [0.4, 0.2, 0.1]])  # of two sources
    >>> wider = with_shared_errors(Interval(1.0, 0.0, 9), np.array([0.5, 0.5]), [(1.0, error)])
    >>> round(wider.standard_error, 4), round(wider.allowance, 4)
    (0.25, 0.2)

    Args:
        interval: of a weighted mean over sources.
        weight: (K,) its weights.
        errors: of every model in it, its sign and (K, 3 + B) standard errors, what log densities
            may be overstated by beyond them, what they may be wrong by either way, and what each
            of B equal parts of its draws would make of the value if they were all (B = 0: none).
    """
    used = weight > 0
    parts = [(sign, weight[used, None] * error[used]) for sign, error in errors]
    variance = sum(float((part[:, 0] ** 2).sum()) for _, part in parts)
    drawn = np.sum([sign * part[:, 3:] for sign, part in parts], 0)
    if drawn.size:
        variance += float(np.var(drawn, 1, ddof=1).sum()) / drawn.shape[1]
    sides = [
        sum(float(part[:, 1].sum()) for sign, part in parts if sign * side > 0) for side in (1, -1)
    ]
    either = sum(float(part[:, 2].sum()) for _, part in parts)
    own = interval.standard_error**2
    return replace(
        interval,
        standard_error=math.sqrt(own + variance),
        allowance=interval.allowance + max(sides) + either,
        scarce=SHARED if variance > own else interval.scarce,
    )


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

        half-width^2 = (t_rows SE_rows)^2 + (t_seeds SE_seeds)^2;

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
    rows, df = _of_rows(moves, k, np.arange(n) if unit is None else np.asarray(unit), w > 0)
    seeds, df_seeds = _of_seeds(means * w)
    both, of_seeds = _joined(rows, df, seeds, df_seeds, level)
    scarce = SEEDS if of_seeds > 0.5 else "rows"
    found = Interval(float((means @ w).mean()), math.sqrt(rows + seeds), both, level, scarce)
    S = len(means)
    return replace(found, spread=SeedSpread(S, seeds, df_seeds, rows, df) if S > 1 else None)


def with_seeds(interval: Interval, seeds: int) -> Interval:
    """As it would be with another number of training seeds, two or more.

    `SE_seeds^2` shrinks like 1 / S, and its degrees of freedom grow like S - 1; all else stays.
    """
    now = interval.spread
    assert now is not None
    variance = now.variance * now.seeds / seeds
    df = now.df * (seeds - 1) / (now.seeds - 1)
    joined, _ = _joined(now.rows, now.df_rows, variance, df, interval.level)
    square = interval.standard_error**2 - now.variance + variance
    return replace(interval, standard_error=math.sqrt(max(square, 0.0)), df=joined)


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
) -> tuple[float, float]:
    """The variance that test rows make, and its degrees of freedom.

    Args:
        moves: (n,) by which each row moves the value.
        stratum: (n,) of each row.
        unit: (n,) of each row.
        used: (K,) the strata of positive weight.
    """
    kept = used[stratum]
    moves, k, u = moves[kept], stratum[kept], np.unique(unit[kept], return_inverse=True)[1]
    pairs, pair = np.unique(np.stack([k, u]), axis=1, return_inverse=True)  # stratum and unit
    m = np.bincount(pairs[0], minlength=len(used))
    if (m[used] < 2).any():
        raise ValueError("an interval needs test rows of at least two units of each source")
    z = np.bincount(pair, weights=moves) * np.sqrt(m / np.maximum(m - 1, 1))[pairs[0]]
    total = float((np.bincount(pairs[1], weights=z) ** 2).sum())
    own = np.bincount(pairs[0], weights=z**2, minlength=len(used))
    spread = float((own[used] ** 2 / (m[used] - 1)).sum())
    most = float(pairs[1].max())  # all units but one: no more than that where they are shared
    return total, min(total**2 / spread, most) if spread > 0 else most


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    stepped = [p[i] * (len(p) - rank) for rank, i in enumerate(order)]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped)) if len(p) else []
    return adjusted.tolist()


def judge(interval: Interval, p_holm: float, region: float) -> Verdict:
    """The verdict on one difference; `region` is half the width of practical equivalence."""
    if -region <= interval.low and interval.high <= region:
        return "equivalent"
    if p_holm < ALPHA:
        return "pool" if interval.value > 0 else "separate"
    return "undecided"


def judge_overall(
    macro: Interval, p: float, region: float, per_source: Mapping[str, str]
) -> Overall:
    """The verdict on all sources: `mixed` where they significantly disagree, else by the macro."""
    if {"pool", "separate"} <= set(per_source.values()):
        return "mixed"
    return judge(macro, p, region)


def beta_from_gain(gain: float, excess: float, K: int, J: int = 1) -> float:
    """Beta-hat from measured errors: `(1 - m / m_separate) K / (K - J)`, never clipped.

    With excess errors in nats, `m / m_separate = (excess - gain) / excess`.

    >>> beta_from_gain(gain=2.0, excess=5.0, K=5)
    0.5

    Args:
        gain: error of separate minus error of the strategy, nats.
        excess: error of separate above the best possible, nats.
        K: number of sources.
        J: number of blocks, below K.
    """
    return gain / excess * K / (K - J)
