"""What `sourcewise bound gaussian` computes, from its settings: partitions, shares, labels.

Groups are consecutive sources. J blocks stand for one partition: 1 is pooled, K separate, the
number of groups is the groups.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.theory.gaussian import drawn, localized
from sourcewise.theory.gaussian.partitions import Kinds, kinds, kinds_of_sizes, missing_share
from sourcewise.theory.general import Bound

__all__ = ["allocate", "drawn_labels", "given_labels", "notes", "sources"]

_BOUND_PARTS = ("value", "epsilon", "s", "log_number", "complexity", "confidence")
_FEW = 0.01  # sources without an example, of which nothing is said


def sources(s: Mapping[str, Any], J: int) -> Kinds:
    """The kinds of sources in the partition that J blocks stand for."""
    K = s["sources"]
    if "shares" in s:
        return kinds(s["shares"], _blocks(s, J))
    if J in (1, K):  # K may be too large for a list
        return Kinds(*(np.array([number]) for number in (1 / K, 1 / J, float(K))))
    return kinds_of_sizes(s["groups"])


def _blocks(s: Mapping[str, Any], J: int) -> list[list[int]]:
    """The sources of each block of that partition: consecutive ones."""
    K = s["sources"]
    sizes = {1: [K], K: [1] * K}[J] if J in (1, K) else s["groups"]
    ends = np.cumsum(sizes).tolist()
    return [list(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]


def given_labels(s: Mapping[str, Any], K: ArrayLike, n: ArrayLike, J: ArrayLike) -> Bound:
    """The localized bound, labels in exact shares; nan where a source has no example."""
    d, d1, B, delta = (s[name] for name in ("dim", "specific", "mean_bound", "delta"))
    p, sizes = s.get("shares"), s.get("groups", ())
    if p is None and np.ndim(J) == 0 and J == len(sizes):
        return localized.localized_for_sizes(sizes, n, d, d1, B, delta)
    if p is None:
        return localized.localized(K, n, d, d1, B, delta, J)
    if np.ndim(n):
        found = [given_labels(s, K, size, J) for size in np.ravel(n).tolist()]
        rows = [[getattr(one, part) for one in found] for part in _BOUND_PARTS]
        return Bound("localized", *(np.array(row) for row in rows))
    counts = allocate(p, n)
    if not counts.all():
        return Bound("localized", *[math.nan] * len(_BOUND_PARTS))
    return localized.localized_for_counts(
        counts, d, d1, B, delta, p, _blocks(s, int(np.asarray(J)))
    )


def drawn_labels(s: Mapping[str, Any], K: ArrayLike, n: ArrayLike, J: ArrayLike) -> Bound:
    """The localized bound, labels drawn: a source may have no example."""
    d, d1, B, delta = (s[name] for name in ("dim", "specific", "mean_bound", "delta"))
    p, sizes = s.get("shares"), s.get("groups", ())
    if p is not None:
        blocks = _blocks(s, int(np.asarray(J)))
        return drawn.localized_drawn_for_shares(p, n, d, d1, B, delta, blocks)
    if np.ndim(J) == 0 and J == len(sizes):
        return drawn.localized_drawn_for_sizes(sizes, n, d, d1, B, delta)
    return drawn.localized_drawn(K, n, d, d1, B, delta, J)


def notes(s: Mapping[str, Any]) -> dict[str, str]:
    """What `exact` stands for, and why there is no `localized`, where that must be said."""
    n, p, found = s["samples"], s.get("shares"), {}
    missing = missing_share(sources(s, 1), n)
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
