"""Conditional Gaussians in the partitions of a case: shares, groups, labels given and drawn.

Groups are consecutive sources. J blocks stand for one partition: 1 is pooled, K separate, the
number of groups is the groups.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.theory.gaussian.drawn import Shares, localized_drawn
from sourcewise.theory.gaussian.localized import Counts, localized
from sourcewise.theory.gaussian.partitions import (
    Kinds,
    asymptotic_tv,
    expected_tv,
    kinds,
    kinds_of_sizes,
    missing_share,
)
from sourcewise.theory.general import Bound

__all__ = ["Partitions", "allocate"]

_BOUND_PARTS = [part.name for part in fields(Bound)][1:]  # all but the form
_FEW = 0.01  # sources without an example, of which nothing is said


@dataclass(frozen=True)
class Partitions:
    """Bounds and laws of K sources in J blocks, for n examples.

    Args:
        d: coordinates.
        d1: source-specific ones.
        B: bound on the means.
        delta: error probability.
        K: sources of the case.
        groups: sizes of its groups; none if None.
        shares: of the sources; equal if None.
    """

    d: int
    d1: int
    B: float
    delta: float
    K: int
    groups: list[int] | None
    shares: list[float] | None

    def given_labels(self, K: ArrayLike, n: ArrayLike, J: ArrayLike) -> Bound:
        """The localized bound, labels in exact shares; nan where a source has no example."""
        if self.shares is not None and np.ndim(n):
            found = [self.given_labels(K, size, J) for size in np.ravel(n).tolist()]
            rows = [[getattr(one, part) for one in found] for part in _BOUND_PARTS]
            return Bound("localized", *(np.array(row) for row in rows))
        if self.shares is not None:
            n_k = allocate(self.shares, n)
            if not n_k.all():
                return Bound("localized", *[math.nan] * len(_BOUND_PARTS))
            counts = Counts.of_sources(n_k, self._blocks(int(np.asarray(J))), self.shares)
        elif self._is_groups(J):
            counts = Counts.of_sizes(self.groups or (), n)
        else:
            counts = Counts.equal(K, n, J)
        return localized(counts, self.d, self.d1, self.B, self.delta)

    def drawn_labels(self, K: ArrayLike, n: ArrayLike, J: ArrayLike) -> Bound:
        """The localized bound, labels drawn: a source may have no example."""
        if self.shares is not None:
            shares = Shares.of_sources(self.shares, self._blocks(int(np.asarray(J))))
        elif self._is_groups(J):
            shares = Shares.of_sizes(self.groups or ())
        else:
            shares = Shares.equal(K, J)
        return localized_drawn(shares, n, self.d, self.d1, self.B, self.delta)

    def law(self, K: int, n: int, J: int) -> float:
        """The sharp law."""
        return asymptotic_tv(self._kinds(K, J), n, self.d, self.d1)

    def exact(self, K: int, n: int, J: int) -> float:
        """The exact expectation."""
        return expected_tv(self._kinds(K, J), n, self.d, self.d1)

    def notes(self, n: int) -> dict[str, str]:
        """What `exact` stands for, and why there is no `localized`, where that must be said."""
        p, found = self.shares, {}
        missing = missing_share(self._kinds(self.K, 1), n)
        if missing >= _FEW:
            found["exact"] = (
                "given that a source draws an example: "
                f"{100 * missing:.3g} % of them draw none on average"
            )
        if p is not None and not allocate(p, n).all():
            found["localized"] = (
                f"needs an example of the rarest source, of share {min(p):g}: "
                f"--samples {math.ceil(1 / min(p))} or more will do"
            )
        return found

    def _kinds(self, K: int, J: int) -> Kinds:
        if self.shares is not None:
            return kinds(self.shares, self._blocks(J))
        if self._is_groups(J):
            return kinds_of_sizes(self.groups or ())
        return Kinds(*(np.array([number]) for number in (1 / K, 1 / J, float(K))))

    def _is_groups(self, J: ArrayLike) -> bool:
        return self.groups is not None and np.ndim(J) == 0 and J == len(self.groups)

    def _blocks(self, J: int) -> list[list[int]]:
        """The sources of each block."""
        sizes = {1: [self.K], self.K: [1] * self.K}.get(J, self.groups or [])
        ends = np.cumsum(sizes).tolist()
        return [list(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]


def allocate(p: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """Whole counts n_k near `n p_k` that sum to n: largest remainders get the rest.

    >>> allocate([0.45, 0.45, 0.1], 9).tolist()
    [4.0, 4.0, 1.0]
    """
    exact = np.asarray(p, dtype=np.float64) * np.asarray(n, dtype=np.float64)
    counts = np.floor(exact)
    rest = round(float(np.asarray(n)) - counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1
    return counts
