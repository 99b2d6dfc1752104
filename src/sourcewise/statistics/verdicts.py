"""Tests that are adjusted for each other, and the words of a verdict.

Verdicts come in this order: Holm-adjusted p of a value outside the region of practical equivalence
at most .025, which for a single test is an interval inside it: `equivalent`; Holm-adjusted p of a
difference below .05: `pool` or `separate`; otherwise `undecided`.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from sourcewise.statistics.interval import Interval

__all__ = ["ALPHA", "Overall", "Verdict", "holm", "judge", "judge_overall"]

Verdict = Literal["pool", "separate", "equivalent", "undecided"]
Overall = Literal["pool", "separate", "equivalent", "undecided", "mixed"]
ALPHA = 0.05


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


def judge(
    interval: Interval, p_holm: float, region: float, outside: float | None = None
) -> Verdict:
    """The verdict on one difference.

    Args:
        interval: of the difference.
        p_holm: its adjusted p-value.
        region: half the width of practical equivalence.
        outside: the adjusted p-value of a value outside of it; None: of this test alone.
    """
    if (interval.outside(region) if outside is None else outside) <= (1 - interval.level) / 2:
        return "equivalent"
    if p_holm < ALPHA:
        return "pool" if interval.value > 0 else "separate"
    return "undecided"


def judge_overall(average: Verdict, per_source: Iterable[str]) -> Overall:
    """The verdict on all sources: `mixed` where they disagree, else that on the average."""
    return "mixed" if {"pool", "separate"} <= set(per_source) else average
