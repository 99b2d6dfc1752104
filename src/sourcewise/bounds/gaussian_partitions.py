"""Conditional Gaussians in the partitions of a case: shares, groups, labels given and drawn.

Groups are consecutive sources. J blocks stand for one partition: 1 is pooled, K separate, the
number of groups is the groups.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.bounds.case import Common
from sourcewise.theory.gaussian import partitions
from sourcewise.theory.gaussian.drawn import Shares, localized_drawn
from sourcewise.theory.gaussian.localized import Counts, localized
from sourcewise.theory.general import Bound

__all__ = ["Partitions", "allocate"]

_BOUND_PARTS = [part.name for part in fields(Bound)][1:]  # all but the form
_FEW = 0.01  # sources without an example, of which nothing is said


@dataclass(frozen=True)
class Partitions:
    """Bounds and laws of K sources in J blocks, for n examples; sources have shares p if given."""

    common: Common
    d: int
    d1: int
    B: float
    p: list[float] | None

    def given_labels(self, K: ArrayLike, n: ArrayLike, J: ArrayLike) -> Bound:
        """The localized bound, labels in exact shares; nan where a source has no example."""
        p, sizes = self.p, self._sizes(J)
        if p is not None and np.ndim(n):
            found = [self.given_labels(K, size, J) for size in np.ravel(n).tolist()]
            rows = [[getattr(one, part) for one in found] for part in _BOUND_PARTS]
            return Bound("localized", *(np.array(row) for row in rows))
        if p is not None:
            n_k = allocate(p, n)
            if not n_k.all():
                return Bound("localized", *[math.nan] * len(_BOUND_PARTS))
            counts = Counts.of_sources(n_k, self._blocks(J), p)
        else:
            counts = Counts.equal(K, n, J) if sizes is None else Counts.of_sizes(sizes, n)
        return localized(counts, self.d, self.d1, self.B, self.common.delta)

    def drawn_labels(self, K: ArrayLike, n: ArrayLike, J: ArrayLike) -> Bound:
        """The localized bound, labels drawn: a source may have no example."""
        sizes = self._sizes(J)
        if self.p is not None:
            shares = Shares.of_sources(self.p, self._blocks(J))
        else:
            shares = Shares.equal(K, J) if sizes is None else Shares.of_sizes(sizes)
        return localized_drawn(shares, n, self.d, self.d1, self.B, self.common.delta)

    def law(self, K: int, n: int, J: int) -> float:
        """The sharp law."""
        return partitions.asymptotic_tv(self._kinds(K, J), n, self.d, self.d1)

    def exact(self, K: int, n: int, J: int) -> float:
        """The exact expectation."""
        return partitions.expected_tv(self._kinds(K, J), n, self.d, self.d1)

    def notes(self) -> dict[str, str]:
        """What `exact` stands for, and why there is no `localized`, where that must be said."""
        K, n, p, found = self.common.sources, self.common.samples, self.p, {}
        missing = partitions.missing_share(self._kinds(K, 1), n)
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

    def _kinds(self, K: int, J: int) -> partitions.Kinds:
        sizes = self._sizes(J)
        if self.p is not None:
            return partitions.kinds(self.p, self._blocks(J))
        if sizes is not None:
            return partitions.kinds_of_sizes(sizes)
        return partitions.Kinds(*(np.array([number]) for number in (1 / K, 1 / J, float(K))))

    def _sizes(self, J: ArrayLike) -> list[int] | None:
        """The sizes of the blocks if these are the groups, else None."""
        groups = self.common.groups
        return groups if groups is not None and np.ndim(J) == 0 and J == len(groups) else None

    def _blocks(self, J: ArrayLike) -> list[list[int]]:
        """The sources of each block."""
        K = self.common.sources
        sizes = self._sizes(J) or ([K] if J == 1 else [1] * K)
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
