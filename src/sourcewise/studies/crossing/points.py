"""Points of the crossing's curves, and where a curve crosses zero."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["CrossingPoint", "place"]


@dataclass(frozen=True)
class CrossingPoint:
    """Mean difference pooled minus separate at one size, nats per row, with standard error.

    Args:
        n_k: training rows per source.
        difference: maximum likelihood.
        standard_error: over repetitions.
        ledoit_wolf: the same difference with Ledoit-Wolf shrinkage in both arms.
        ledoit_wolf_error: its standard error.
        law: predicted by parameter counts.
        sandwich: predicted with the population's fourth moments.
        exact: predicted by the exact expectations for Gaussians; None where they do not exist.
    """

    n_k: int
    difference: float
    standard_error: float
    ledoit_wolf: float
    ledoit_wolf_error: float
    law: float
    sandwich: float
    exact: float | None


def place(points: Sequence[CrossingPoint], curve: str) -> float | None:
    """Rows per source at which a curve turns from pooled to separate, or None.

    Args:
        points: in the order of n_k.
        curve: the name of a field.
    """
    values = [getattr(point, curve) for point in points]
    known = [(p.n_k, v) for p, v in zip(points, values, strict=True) if v is not None]
    for (n0, v0), (n1, v1) in reversed(list(pairwise(known))):
        if v0 > 0 >= v1:
            share = v0 / (v0 - v1)
            return math.exp(math.log(n0) + share * (math.log(n1) - math.log(n0)))
    return None
