"""What an undecided difference lacks: how many times the rows, or how many training seeds."""

import math

import numpy as np

from sourcewise.statistics.interval import Interval, unbent
from sourcewise.statistics.rows import SEEDS, with_seeds
from sourcewise.statistics.shared_errors import SHARED
from sourcewise.statistics.verdicts import ALPHA, judge

__all__ = ["chances", "narrowed", "would_decide"]

MOST_SEEDS = 1000  # that a run takes
MOST_ROWS = 100.0  # times the rows that are worth telling
SURE = 0.8  # chance of a verdict that is asked for
NODES = 200  # of the distribution of the true value


def would_decide(
    interval: Interval,
    region: float,
    tests: int = 1,
    shared: str = "normalisers known better",
    fading: float = 0.0,
) -> str:
    """What an undecided difference lacks, in words.

    It is the least number of times the rows with which new data give a verdict in 80 of 100 cases
    (see `chances`), and `equivalent` is said of it if that is what most of these verdicts are.
    Where training seeds make most of the width, it is the least number of them that decides if
    value and spread stay (see `statistics.with_seeds`). No rows help where the errors that all
    rows share make most of the standard error, or where the allowance alone stands in the way.

    >>> would_decide(Interval(0.1, 0.03, 99), region=0.01, tests=4)
    'about 1.3 times the rows'
    >>> would_decide(Interval(0.0, 0.1, 99), region=0.2)
    'about 2.7 times the rows, and most likely equivalent then'
    >>> would_decide(Interval(0.1, 0.1, 99, allowance=0.2), region=0.01)
    'normalisers known better'

    Args:
        interval: of the difference.
        region: half the width of practical equivalence.
        tests: how many differences Holm corrects for.
        shared: what makes the errors smaller that all rows share.
        fading: the part of the value that shrinks like one over the number of rows: what
            parameters that are known better no longer gain.
    """
    room = max(abs(interval.value), region - abs(interval.value))
    if interval.scarce == SHARED or interval.allowance >= room:
        return shared
    if interval.scarce == SEEDS:
        return _seeds(interval, region, tests)
    most = chances(interval, region, tests, fading, MOST_ROWS)
    if sum(most) < SURE:
        return f"more than {MOST_ROWS:g} times the {interval.scarce}"
    low, high = 0.0, math.log(MOST_ROWS)
    while high - low > 1e-3:
        middle = (low + high) / 2
        enough = sum(chances(interval, region, tests, fading, math.exp(middle))) >= SURE
        low, high = (low, middle) if enough else (middle, high)
    factor = math.exp(high)
    decided, equivalent = chances(interval, region, tests, fading, factor)
    then = ", and most likely equivalent then" if equivalent > decided else ""
    if factor < 1.1:
        return f"a few more {interval.scarce}{then}"
    return f"about {float(f'{factor:.2g}'):g} times the {interval.scarce}{then}"


def chances(
    interval: Interval, region: float, tests: int, fading: float, factor: float
) -> tuple[float, float]:
    """How likely new data with so many times the rows give a verdict.

    The true value is `value - SE g^-1(t)`, t with df degrees of freedom and g the interval's bent
    statistic; with f times the rows it is `true - fading (1 - 1/f)`. The standard error is then
    r SE (see `narrowed`), the bend that over sqrt(f), as skewness of rows is, and the new estimate
    is normal about the true value. A first Holm step decides beyond `allowance + SE
    g^-1(t_{df, 1 - .025/tests})`.

    Returns:
        of a verdict for one side, and of `equivalent`.
    """
    from scipy.special import ndtr, stdtrit

    df, allowance = interval.df, interval.allowance
    nodes = stdtrit(df, (np.arange(NODES) + 0.5) / NODES)
    now = interval.value - interval.standard_error * unbent(nodes, interval.bend)
    true, bend = now - fading * (1 - 1 / factor), interval.bend / math.sqrt(factor)
    error = interval.standard_error * narrowed(now, fading, factor)
    decisive, usual = (float(stdtrit(df, 1 - p / 2)) for p in (ALPHA / tests, 1 - interval.level))
    low, high = (side * allowance + error * unbent(side * decisive, bend) for side in (-1, 1))
    first, last = (
        -side * (region - allowance) + error * unbent(side * usual, bend) for side in (1, -1)
    )

    def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        return np.maximum(ndtr((end - true) / error) - ndtr((start - true) / error), 0.0)

    equivalent = between(first, last)
    # Where an estimate would be both, it is equivalent.
    undecided = between(low, high) - between(np.maximum(low, first), np.minimum(high, last))
    return float((1 - equivalent - undecided).mean()), float(equivalent.mean())


def narrowed(true: np.ndarray, fading: float, factor: float) -> np.ndarray:
    """What a standard error is multiplied by with f times the rows.

    A log ratio of two models that are near each other has twice the variance of its mean. So the
    variance of a difference is made, in proportion, of what stays of it with ever more rows,
    D = |true - fading|, and of what fades, F = |fading|. The first part is over f; the second is
    over f^2, as what the models differ by shrinks as well:

        r^2 = s / f + (1 - s) / f^2,    s = D / (D + F).

    >>> narrowed(np.array([0.0, 0.02, -0.02]), 0.02, 4.0).round(3)
    array([0.395, 0.25 , 0.433])

    Args:
        true: the difference with the rows there are.
        fading: see `would_decide`; 0 leaves the root of f.
        factor: f.
    """
    stays = np.abs(true - fading)
    share = stays / (stays + abs(fading)) if fading else np.ones_like(stays)
    return np.sqrt(share / factor + (1 - share) / factor**2)


def _seeds(interval: Interval, region: float, tests: int) -> str:
    """The training seeds that decide, by bisection: more of them never widen the interval."""

    def decided(seeds: int) -> bool:
        found = with_seeds(interval, seeds)
        return judge(found, min(1.0, tests * found.p), region) != "undecided"

    assert interval.spread is not None
    low, high = interval.spread.seeds, MOST_SEEDS
    if not decided(high):
        return f"more rows beside more training seeds (no number of seeds up to {high} alone)"
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return f"about {high} training seeds"
