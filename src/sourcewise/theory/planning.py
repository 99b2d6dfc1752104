"""Bounds and laws read backwards: how much data a target needs, and what would help more.

The bounds are those of Theorem 3.2 (arXiv 2502.14583) and our sharper forms, the law is that of
`theory.asymptotic`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.errors import InputError
from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.checks import numbers, positive, whole
from sourcewise.theory.general import Bound
from sourcewise.theory.sharing import parameters, similarity

__all__ = ["Change", "sample_size", "what_helps"]

_MOST = 1e15  # examples; nobody has more, and all whole numbers up to it are floats
_AT_ONCE = 24  # sizes tried in one call: bounds are cheaper together
_AROUND = np.array([1, 1.003, 1.03, 1.3])  # sizes tried first, over a guess


def sample_size(
    bound: Callable[[ArrayLike], Bound],
    target: float,
    at_once: int = _AT_ONCE,
    near: float | None = None,
) -> int:
    """A whole n with `bound(n) <= target < bound(n - 1)`: examples that guarantee the target.

    Bounds fall with n, but for steps of the number of cells, so this is the smallest n or nearly.
    An `InputError` if no n up to 10^15 is enough.

    >>> from sourcewise.theory.gaussian.brackets import envelope_bracketing
    >>> from sourcewise.theory.general import refined
    >>> pooled = envelope_bracketing(30, d=10, B=5.0)
    >>> sample_size(lambda n: refined(pooled, n), target=0.33)
    5000

    Args:
        bound: n, one number or many -> the bound.
        target: average TV, in (0, 1).
        at_once: sizes tried in one call, >= 1; 1 for a bound that takes them one by one.
        near: a guess, > 0, which saves time if it is a little too low; none if None.
    """
    if not 0 < target < 1:
        raise InputError(f"target must be above 0 and below 1, got {target!r}")
    if bound(1.0).value <= target:
        return 1
    if bound(_MOST).value > target:
        raise InputError(f"target {target:g} would need more than {_MOST:g} examples")
    low, high = 1, int(_MOST)  # the target is missed at low and met at high
    places = np.geomspace(low, high, at_once + 2) if near is None else near * _AROUND
    while high - low > 1:
        inside = np.unique(places.round())
        inside = inside[(inside > low) & (inside < high)]
        inside = inside if len(inside) else np.array([float((low + high) // 2)])
        met = np.asarray(bound(inside).value) <= target
        first = int(np.argmax(met)) if met.any() else len(inside)
        edges = [low, *(int(n) for n in inside), high]
        low, high = edges[first], edges[first + 1]
        places = np.geomspace(low, high, at_once + 2)
    return high


@dataclass(frozen=True)
class Change:
    """One row of `what_helps`: a change of the situation and the errors after it."""

    name: str  # the change, in words
    K: int  # sources
    n: float  # examples in all
    beta: float  # similarity
    pooled: float  # the bound, pooled training
    separate: float  # the bound, separate training
    law_pooled: float  # `sqrt(p / (2 pi n))`, pooled
    law_separate: float  # the same, separate


def what_helps(
    bound: Callable[[ArrayLike, ArrayLike, ArrayLike], Bound],
    shared: float,
    specific: float,
    K: int,
    n: float,
    factor: float = 2,
) -> list[Change]:
    """What would help more: more data, more sources, or more sharing?

    Rows: as it is; factor times the data; factor times the sources with the same data in all;
    factor times both, so that each source stays as large; all but 1/factor of the source-specific
    parameters shared. Each is judged by a bound and by the law `sqrt(p / (2 pi n))`.

    >>> from sourcewise.theory.gaussian.brackets import envelope_bracketing
    >>> from sourcewise.theory.general import refined
    >>> bound = lambda m, J, n: refined(envelope_bracketing(m, 10, 5.0), n)
    >>> rows = what_helps(bound, shared=5, specific=5, K=5, n=500)
    >>> [(row.name, round(row.law_pooled, 4)) for row in rows][1]
    ('2 x the data', 0.0691)

    Args:
        bound: (m, J, n) -> the bound for m parameters in J blocks.
        shared: P_shared, parameters that all sources could share, >= 0.
        specific: P_src, parameters of one source alone, >= 0.
        K: sources, K >= 1.
        n: examples in all, > 0.
        factor: of each change, > 1.
    """
    numbers("factor", factor, 1 + 1e-9)
    total, kept = positive("shared + specific", shared + specific), specific / factor
    more = whole("K", round(K * factor), 2)
    sizes = [
        ("as it is", K, n, specific),
        (f"{factor:g} x the data", K, n * factor, specific),
        (f"{factor:g} x the sources, same data", more, n, specific),
        (f"{factor:g} x the sources and the data", more, n * more / K, specific),
        (f"1/{factor:g} of the source-specific parameters", K, n, kept),
    ]
    changes = []
    for name, k, size, own in sizes:
        m, beta = parameters(total - own, own, k, [1, k]), similarity(total - own, own)
        found = (bound(m, np.array([1, k]), size).value, asymptotic_bound(m, size))
        changes.append(Change(name, k, size, beta, *np.concatenate(found).tolist()))
    return changes
