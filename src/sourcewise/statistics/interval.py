"""A value with its t interval, bent where its distribution is skewed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["LEVEL", "Interval", "SeedSpread", "unbent"]

LEVEL = 0.95


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

    `T = (value - true value) / standard error` is far from a t variable where the value and its
    standard error vary together: for skewed rows, and for estimates whose variance depends on the
    true value. With the bend a (0: none) the bent statistic (Hall, 1992)

        g(T) = T + a (T^2 + 1/2) + a^2 T^3 / 3

    is taken for a t variable instead; g increases, and its inverse is
    `(cbrt(1 + 3 a (x - a/2)) - 1) / a`. The ends are `value - SE g^-1(+-t)`.

    Args:
        value: the estimate.
        standard_error: its standard error.
        df: degrees of freedom of t, or those whose t gives the same width.
        level: nominal coverage.
        scarce: what would shrink it most: rows, training seeds, or `SHARED`, whichever makes
            most of its width.
        allowance: the most that a bias may add or take, >= 0; it never averages out.
        spread: what training seeds make of it; None: they make nothing, or it is not known.
        bend: a; a third of the skewness of a sum of independent terms. It shrinks with the
            standard error, like one over the root of the number of rows.

    Reference:
        Hall, "On the removal of skewness by transformation", 1992, J. R. Statist. Soc. B 54.
    """

    value: float
    standard_error: float
    df: float
    level: float = LEVEL
    scarce: str = "rows"
    allowance: float = 0.0
    spread: SeedSpread | None = None
    bend: float = 0.0

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - self.allowance - self._reach(1)

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.allowance - self._reach(-1)

    @property
    def half_width(self) -> float:
        """Half the distance of the ends; without a bend `t_{df, (1 + level)/2} SE + allowance`."""
        return (self.high - self.low) / 2

    @property
    def p(self) -> float:
        """Two-sided p-value of a true value within the allowance; 1 if that is all there is."""
        return min(1.0, 2 * self.above(0.0), 2 * self.below(0.0))

    def above(self, point: float) -> float:
        """One-sided p-value against a true value of at most `point`."""
        return self._tail(self.value - self.allowance - point)

    def below(self, point: float) -> float:
        """One-sided p-value against a true value of at least `point`."""
        return self._tail(-(self.value + self.allowance - point), -1)

    def outside(self, region: float) -> float:
        """p-value against a true value outside of +-region: the larger of two one-sided ones.

        It is at most (1 - level)/2 where the whole interval is inside.
        """
        return max(self.above(-region), self.below(region))

    def _reach(self, side: int) -> float:
        """`SE g^-1(side t)`."""
        from scipy.special import stdtrit

        if self.standard_error == 0:
            return 0.0
        x = side * float(stdtrit(self.df, (1 + self.level) / 2))
        return float(unbent(x, self.bend)) * self.standard_error

    def _tail(self, beyond: float, side: int = 1) -> float:
        """How likely t exceeds g of so many standard errors; side -1: of the mirrored values."""
        from scipy.special import stdtr

        if self.standard_error == 0:
            return 0.0 if beyond > 0 else 1.0
        T, a = beyond / self.standard_error, side * self.bend
        return float(stdtr(self.df, -(T + a * (T * T + 0.5) + a * a * T**3 / 3)))


def unbent(x: ArrayLike, a: float) -> np.ndarray:
    """`g^-1(x)`, see `Interval`.

    >>> T = unbent(2.0, 0.1)
    >>> round(float(T + 0.1 * (T**2 + 0.5) + 0.1**2 * T**3 / 3), 12)
    2.0
    """
    x = np.asarray(x, dtype=float)
    return x if abs(a) < 1e-9 else (np.cbrt(1 + 3 * a * (x - a / 2)) - 1) / a
