"""The interval of an estimate over new training samples and new test rows."""

import math

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.statistics.interval import LEVEL, Interval

__all__ = ["DOMINATED", "curvature", "dominance", "jackknife"]

DOMINATED = 0.8


def dominance(replicates: ArrayLike) -> float:
    """Share of the jackknife variance that one group of rows makes, from 1/G to 1.

    Ten normal replicates give .37 on average and pass `DOMINATED` once in 2800 times; near 1, a
    few rows (outliers, a faulty instrument) decide how wide the interval is.
    """
    values = np.asarray(replicates, dtype=float)
    squares = (values - values.mean()) ** 2
    return float(squares.max() / squares.sum()) if squares.any() else 0.0


def jackknife(
    estimate: float, replicates: ArrayLike, level: float = LEVEL, bend: float = 0.0
) -> Interval:
    """Interval of an estimate from its delete-group replicates.

    Where few groups make most of the spread, it is known less well than G - 1 degrees of freedom
    say. With k the kurtosis of the replicates its own variance has the factor `(k - 1)/G`, in
    place of 2 / df: df is `min(G - 1, 2 G/(k - 1))`. Normal replicates (k = 3) lose nothing.

    >>> x = np.arange(10.0)
    >>> leave_one_out = (x.sum() - x) / 9
    >>> bool(np.isclose(jackknife(x.mean(), leave_one_out).standard_error, x.std(ddof=1) / 10**.5))
    True

    Args:
        estimate: theta, from all rows.
        replicates: (G,) theta_(g), from all rows but those of group g.
        level: nominal coverage.
        bend: see `Interval` and `curvature`.
    """
    values = np.asarray(replicates, dtype=float)
    G, squares = len(values), (values - values.mean()) ** 2
    spread, df = float(squares.sum()), G - 1.0
    if spread:
        kurtosis = G * float((squares**2).sum()) / spread**2
        df = min(df, 2 * G / max(kurtosis - 1, 1e-9))
    return Interval(float(estimate), math.sqrt((G - 1) / G * spread), df, level, bend=bend)


MOST_CURVED = 0.1


def curvature(standard_error: float, growth: float) -> float:
    """The bend of a difference of log densities, whose variance depends on its true value.

    A value far below what parameters save is that of two models that differ, so its variance is
    large as well: with growth c, `Var = SE^2 + c (estimate - true value)`. A root of the
    difference has a constant variance then (as of a noncentral chi-square), which to the order
    of one standard error is a bend of `-c / (4 SE)`. Between two models that are near each other
    a log ratio of densities has twice the variance of its mean, whatever the model: c is 2/n.
    Without this, intervals of such differences lie too high, and miss mostly above.

    >>> round(curvature(0.1, 0.02), 6)
    -0.05

    Args:
        standard_error: of the difference.
        growth: c, in units of the difference.
    """
    return -min(growth / (4 * standard_error), MOST_CURVED) if standard_error else 0.0
