"""What tests hold the theory against, and pictures show: the average law, brackets as objects.

The brackets are what the theory counts, built element by element:

- of constant functions on an interval, the picture to have in mind (appendix G of the paper): the
  class `f(x) = theta` on [0, width], `low <= theta <= high`. Constants `low + j eps/width` bracket
  it; fewer cannot: one function of the bracket serves members within eps/width of each other only.
  So `N(eps) = max(1, ceil((high - low) width / eps))`;
- of Gaussians, the two kinds of `theory.gaussian.brackets`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.errors import InputError
from sourcewise.theory.checks import number, numbers, positive
from sourcewise.theory.gaussian.brackets import envelope_eta, gaussian_eta, log_mass
from sourcewise.theory.mlp import nearest_centres

Floats = NDArray[np.float64]


def asymptotic_kl(p: float, n: float) -> float:
    """`p / (2n)`: limit of the average Kullback-Leibler divergence (theory, section 3)."""
    return p / (2 * n)


def asymptotic_tv_by_source(v: ArrayLike, p: ArrayLike, n: float) -> float:
    """`(2 pi n)^(-1/2) sum_k p_k sqrt(v_k)`, between the law and `asymptotic_bound`.

    Separate training has `v_k = q/p_k`, q parameters per source; Gaussians trained pooled have
    `v_k = d1/p_k + d - d1`.

    >>> round(asymptotic_tv_by_source([10 / 0.2] * 5, [0.2] * 5, n=500), 4)
    0.1262
    """
    return float(np.asarray(p) @ np.sqrt(v) / np.sqrt(2 * math.pi * n))


def centres(B: float, cells: int) -> Floats:
    """Middles `-B + (B/c)(2j+1)`, j = 0..c-1, of c equal cells of [-B, B]; none leaves the box.

    >>> centres(1.0, 2).tolist()
    [-0.5, 0.5]

    Args:
        B: bound, B > 0.
        cells: c >= 1.
    """
    return B / cells * (2 * np.arange(cells, dtype=np.float64) + 1) - B


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


@dataclass(frozen=True)
class GaussianBracket:
    """One element: lies above `N(mu, I)` for every `|mu - centre|_inf <= eta`.

    >>> round(GaussianBracket(np.zeros(1), eta=0.4).log_integral, 4)
    0.3627

    Args:
        centre: (d,) middle of the cell.
        eta: half-width of the cell, > 0.
    """

    centre: Floats
    eta: float

    @property
    def precision(self) -> float:
        """c, the best precision: `sqrt(c) = sqrt(1 + eta^2/4) - eta/2`."""
        return math.exp(-2 * math.asinh(self.eta / 2))

    @property
    def log_integral(self) -> float:
        """`log ∫p' = d g(eta/2)`."""
        return len(self.centre) * float(log_mass(np.asarray(self.eta / 2)))

    def log_density(self, x: ArrayLike) -> Floats:
        """`log p'(x)`, x (..., d) -> (...)."""
        square = np.sum((np.asarray(x, dtype=np.float64) - self.centre) ** 2, axis=-1)
        c, d = self.precision, len(self.centre)
        # d c eta^2 / (2 (1-c)) of the paper is d (1-c) / 2 at the best c
        return -c / 2 * square + d * ((1 - c) / 2 - math.log(2 * math.pi) / 2)


@dataclass(frozen=True)
class EnvelopeBracket:
    """The supremum of `N(mu, I)` over `|mu - centre|_inf <= eta`.

    Arguments as for `GaussianBracket`.

    >>> round(EnvelopeBracket(np.zeros(1), eta=0.4).log_integral, 4)
    0.277
    """

    centre: Floats
    eta: float

    @property
    def log_integral(self) -> float:
        """`log ∫p' = d log(1 + eta sqrt(2/pi))`."""
        return len(self.centre) * math.log1p(math.sqrt(2 / math.pi) * self.eta)

    def log_density(self, x: ArrayLike) -> Floats:
        """`log p'(x)`, x (..., d) -> (...)."""
        beyond = np.abs(np.asarray(x, dtype=np.float64) - self.centre) - self.eta
        square = np.sum(np.maximum(beyond, 0) ** 2, axis=-1)
        return -square / 2 - len(self.centre) / 2 * math.log(2 * math.pi)


def build_gaussian_bracket(mean: ArrayLike, B: float, epsilon: float) -> GaussianBracket:
    """The element above `N(mean, I)` among the Gaussian brackets of gap at most epsilon.

    >>> element = build_gaussian_bracket([0.3, -0.9], B=1.0, epsilon=0.1)
    >>> element.eta <= gaussian_eta(0.1, d=2), element.log_integral <= np.log1p(0.1)
    (np.True_, np.True_)

    Args:
        mean: (d,) in [-B, B].
        B: bound on the means, > 0.
        epsilon: gap, > 0.
    """
    mu = numbers("mean", np.atleast_1d(mean), -B, B)
    centre, eta = _cell(mu, B, float(gaussian_eta(epsilon, len(mu))))
    return GaussianBracket(centre, eta)


def build_envelope_bracket(mean: ArrayLike, B: float, epsilon: float) -> EnvelopeBracket:
    """The element above `N(mean, I)` among the envelope brackets.

    Arguments as for `build_gaussian_bracket`.

    >>> build_envelope_bracket([0.3, -0.9], B=1.0, epsilon=0.1).log_integral <= np.log1p(0.1)
    np.True_
    """
    mu = numbers("mean", np.atleast_1d(mean), -B, B)
    centre, eta = _cell(mu, B, float(envelope_eta(epsilon, len(mu))))
    return EnvelopeBracket(centre, eta)


def _cell(mean: Floats, B: float, half_width: float) -> tuple[Floats, float]:
    cells = math.ceil(positive("B", B) / half_width)
    return nearest_centres(mean, B, cells), B / cells
