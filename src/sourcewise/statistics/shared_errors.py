"""Errors that all rows of a source share, such as those of simulated normalisers."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.statistics.interval import Interval

__all__ = ["SHARED", "averaged_errors", "with_shared_errors"]

SHARED = "what rows share"  # an error that no row makes smaller


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
        bend=interval.bend * (own / (own + variance)) ** 1.5 if own else 0.0,
        allowance=interval.allowance + max(sides) + either,
        scarce=SHARED if variance > own else interval.scarce,
    )
