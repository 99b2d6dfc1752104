"""What an undecided difference lacks: how many times the rows, or how many training seeds."""

import math

from sourcewise.statistics import ALPHA, SEEDS, SHARED, Interval, judge, with_seeds

__all__ = ["would_decide"]

MOST_SEEDS = 1000  # that a run takes


def would_decide(
    interval: Interval, region: float, tests: int = 1, shared: str = "normalisers known better"
) -> str:
    """What an undecided difference lacks, in words, if value and spread stay as they are.

    The standard error shrinks like one over the root of the number of rows; the allowance stays. A
    decision needs |value| beyond the allowance by the critical value of the first Holm step,
    `t_{df, 1 - .025/tests} SE`, or the whole interval inside the region; whichever takes fewer
    rows. Where training seeds make most of the width, it is the least number of them that decides
    (see `statistics.with_seeds`). No rows help where the errors that all
    rows share make most of the standard error, or where the allowance alone stands in the way.

    >>> would_decide(Interval(0.1, 0.1, 99), region=0.01)
    'about 3.9 times the rows'
    >>> would_decide(Interval(0.1, 0.1, 99, allowance=0.2), region=0.01)
    'normalisers known better'

    Args:
        interval: of the difference.
        region: half the width of practical equivalence.
        tests: how many differences Holm corrects for.
        shared: what makes the errors smaller that all rows share.
    """
    from scipy.special import stdtrit

    critical = float(stdtrit(interval.df, 1 - ALPHA / 2 / tests)) * interval.standard_error
    spread, size = interval.half_width - interval.allowance, abs(interval.value)
    ways = [(critical, size), (spread, region - size)]
    open_ways = [(width, gap - interval.allowance) for width, gap in ways]
    ratios = [width / gap for width, gap in open_ways if gap > 0]
    blocked = not ratios and any(gap > 0 for _, gap in ways)
    if blocked or interval.scarce == SHARED:
        return shared
    ratio = min(ratios, default=math.inf)
    if interval.scarce == SEEDS and ratio < math.inf:
        return _seeds(interval, region, tests)
    if ratio > 10:
        return f"more than 100 times the {interval.scarce}"
    factor = ratio**2
    if factor < 1.1:
        return f"a few more {interval.scarce}"
    return f"about {float(f'{factor:.2g}'):g} times the {interval.scarce}"


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
    return f"about {high} training seeds (--seeds {high})"
