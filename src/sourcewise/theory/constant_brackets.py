"""Brackets of constant functions on an interval: the picture to have in mind (appendix G).

The class: `f(x) = theta` on [0, width], `low <= theta <= high`. An upper bracket of size eps is
any finite set of functions such that each member has one above it, and the area between the two
is at most eps. Constants `low + j eps/width` do it; fewer cannot: one function of the bracket
serves members within eps/width of each other only. So
`N(eps) = max(1, ceil((high - low) width / eps))`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sourcewise.errors import InputError
from sourcewise.theory.checks import number, positive

__all__ = ["ConstantBrackets"]


@dataclass(frozen=True)
class ConstantBrackets:
    """The smallest upper bracket of the constants in [low, high] on [0, width], `N(eps)` of them.

    >>> brackets = ConstantBrackets(low=0.0, high=1.0, width=2.0, epsilon=0.5)
    >>> brackets.elements.tolist(), brackets.above(0.3)
    ([0.25, 0.5, 0.75, 1.0], 0.5)

    Args:
        low: smallest member, finite.
        high: largest member, >= low.
        width: length of the interval, > 0.
        epsilon: largest area between a member and its bracket, > 0.
    """

    low: float
    high: float
    width: float
    epsilon: float

    def __post_init__(self) -> None:
        positive("width", self.width)
        positive("epsilon", self.epsilon)
        number("high", self.high, number("low", self.low, -1e300))

    @property
    def number(self) -> int:
        """`N(eps) = max(1, ceil((high - low) width / eps))`."""
        return max(1, math.ceil((self.high - self.low) * self.width / self.epsilon))

    @property
    def elements(self) -> NDArray[np.float64]:
        """(N,) heights of the bracket functions; the largest is high."""
        return (
            self.high - (self.high - self.low) / self.number * np.arange(float(self.number))[::-1]
        )

    def above(self, theta: float) -> float:
        """The lowest element at or above a member; theta in [low, high]."""
        if not self.low <= theta <= self.high:
            raise InputError(f"theta must be in [{self.low:g}, {self.high:g}], got {theta!r}")
        return float(self.elements[np.searchsorted(self.elements, theta)])
