"""The general bound on average total variation from a bracketing number, in three forms.

Setting (arXiv 2502.14583, section 3): n pairs (x, y) from `p*(y) p*(x|y)`, the maximum-likelihood
estimate p̂ over a class of conditional densities that holds the truth. With `N(eps)` its upper
bracketing number in L1, uniform in y, and `a(eps) = (log N(eps) + log(1/delta)) / n`, with
probability at least `1 - delta`

| form | `R_TV = E_y TV(p̂(.|y), p*(.|y))` is at most | source |
|---|---|---|
| paper | `3 sqrt(a(1/n))`, for `delta <= 1/2` | Theorem 3.2 |
| simple | `min_eps eps/(1+eps) + sqrt(1 - exp(-2 a)/(1+eps))` | theory, section 2 |
| refined | `min_eps T(eps, a)`, T the exact worst case | theory, section 2 |

Two more forms need to know the class: localized, given the labels, and localized_drawn. See
`theory.gaussian.localized` and `theory.gaussian.drawn`.
N is fixed before the data are seen, so eps may be chosen freely. All three hold for any
distribution of the sources; its shape enters through N only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.errors import InputError
from sourcewise.theory.bracketing import Bracketing
from sourcewise.theory.checks import Floats, above, confidence, numbers

__all__ = ["Bound", "paper", "refined", "simple", "worst_case"]


# 400 points in [1e-8, 1] and, coarser, below: for n above 10^8. An eps above 1 proves nothing.
_TINY = np.geomspace(1e-16, 1e-8, 60, endpoint=False)
_EPSILON = np.concatenate([_TINY, np.geomspace(1e-8, 1, 400)])
_CHUNK = 1 << 18  # numbers per array while scanning: a few of them fit into the cache


@dataclass(frozen=True)
class Bound:
    """A bound on `R_TV`, average total variation, and its parts; arrays if arguments were."""

    form: str  # paper, simple, refined, localized or localized_drawn
    value: Any  # the bound
    epsilon: Any  # the bracket width at which it is attained
    s: Any  # the tilt of the union bound; 1 except for localized forms
    log_number: Any  # log bracketing number at epsilon (`log Z_s` of localized forms if s < 1)
    complexity: Any  # its share of a, `log_number / (s n)`
    confidence: Any  # the other share of a, `log(1/delta) / (s n)`

    @classmethod
    def of(cls, form: str, *parts: ArrayLike) -> "Bound":
        """All parts (...) from value on, broadcast; plain floats if there is but one number."""
        arrays = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in parts))
        return cls(form, *(array if array.ndim else float(array) for array in arrays))

    @property
    def vacuous(self) -> Any:
        """Whether it says nothing: no total variation is above 1."""
        return self.value >= 1


def paper(bracketing: Bracketing, n: ArrayLike, delta: ArrayLike = 0.05) -> Bound:
    """`3 sqrt((log N(1/n) + log(1/delta)) / n)`: Theorem 3.2 as printed, not cut off at 1.

    >>> line = Bracketing(1, 1.0, lambda eps: eps / 2, lambda eta: 2 * eta, "line")
    >>> round(paper(line, n=1000).value, 4)
    0.3088

    Args:
        bracketing: the class; m and B broadcast with n and delta.
        n: examples, n > 0.
        delta: error probability, in (0, 1), here at most 1/2.
    """
    size = above("n", n)
    if np.any(confidence(delta) > 0.5):
        raise InputError("delta must be above 0 and at most 0.5 for the form 'paper'")
    log_number, complexity, doubt = _terms(bracketing, size, delta, bracketing.log_cells(1 / size))
    value = 3 * np.sqrt(complexity + doubt)
    return Bound.of("paper", value, 1 / size, 1.0, log_number, complexity, doubt)


def simple(bracketing: Bracketing, n: ArrayLike, delta: ArrayLike = 0.05) -> Bound:
    """`min_eps eps/(1+eps) + sqrt(1 - exp(-2a)/(1+eps))`, at most 1; proof in two lines.

    Normalise the bracket element above p̂ (the first term) and use `TV <= sqrt(1 - BC^2)` (the
    second). eps runs over 400 points of [1e-8, 1], some smaller ones, and 1/n. Arguments as for
    `paper`.

    >>> line = Bracketing(1, 1.0, lambda eps: eps / 2, lambda eta: 2 * eta, "line")
    >>> round(simple(line, n=1000).value, 4), round(refined(line, n=1000).value, 4)
    (0.1486, 0.1479)
    """

    def normalised(eps: Floats, a: Floats) -> Floats:
        return np.minimum(eps / (1 + eps) + np.sqrt((eps - np.expm1(-2 * a)) / (1 + eps)), 1.0)

    return _scan("simple", normalised, bracketing, n, delta, snap=False)


def refined(bracketing: Bracketing, n: ArrayLike, delta: ArrayLike = 0.05) -> Bound:
    """`min_eps T(eps, a(eps))` with T of `worst_case`: the best that Theorem 3.2's proof gives.

    At most `simple`, hence at most `paper` for delta <= 1/2: same eps, and the gap that the whole
    number of cells really leaves. Arguments as for `paper`.
    """
    return _scan("refined", worst_case, bracketing, n, delta, snap=True)


def worst_case(eps: ArrayLike, a: ArrayLike) -> Floats:
    """T(eps, a): the largest average TV(p̂, p*) that bracket and likelihood leave possible.

    `sup { TV(p̂, p*) : p' >= p̂, ∫p' <= 1 + eps, ∫ sqrt(p' p*) >= b = exp(-a) }` is
    `t1 = eps/2 + sqrt((1+eps/2)^2 - b^2)` if `t1 (1 - t1) >= eps`, else `sin^2(theta)` with
    `theta = atan(sqrt eps) + arccos(b / sqrt(1+eps))`, or 1 if `theta >= pi/2`. It is concave, so
    averages over y are covered (theory, section 2). Increasing in both arguments.

    >>> round(float(worst_case(0.01, 0.02)), 4)
    0.2269

    Args:
        eps: gap, >= 0.
        a: `-log b`, >= 0.
    """
    e, a = np.asarray(eps, dtype=np.float64), np.asarray(a, dtype=np.float64)
    lost = e - np.expm1(-2 * a)  # 1 + eps - b^2 without cancellation
    t1 = e / 2 + np.sqrt(lost + e * e / 4)
    theta = np.arctan(np.sqrt(e)) + np.arctan2(np.sqrt(lost), np.exp(-a))
    touching = np.where(theta < math.pi / 2, np.sin(np.minimum(theta, math.pi / 2)) ** 2, 1.0)
    return np.where(t1 * (1 - t1) >= e, t1, touching)


def _scan(
    form: str,
    value_of: Callable[[Floats, Floats], Floats],
    bracketing: Bracketing,
    n: ArrayLike,
    delta: ArrayLike,
    snap: bool,
) -> Bound:
    """Smallest value over the grid of eps and 1/n, some thousand points at a time."""
    n, delta = above("n", n), confidence(delta)
    m, B = numbers("m", bracketing.m, 0), above("B", bracketing.B)
    dense = m if bracketing.m_dense is None else np.asarray(bracketing.m_dense, dtype=np.float64)
    given = (m, B, n, delta, dense, np.asarray(bracketing.log_choices, dtype=np.float64))
    shape = np.broadcast_shapes(*(values.shape for values in given))
    flat = [np.broadcast_to(values, shape).reshape(-1, 1) for values in given]
    step, parts = max(1, _CHUNK // len(_EPSILON)), []
    for low in range(0, len(flat[0]), step):
        m_, B_, n_, delta_, dense_, choices_ = (values[low : low + step] for values in flat)
        part = replace(bracketing, m=m_, log_choices=choices_, B=B_ if B.ndim else bracketing.B)
        if bracketing.m_dense is not None:
            part = replace(part, m_dense=dense_)
        parts.append(_smallest(value_of, part, n_, delta_, snap))
    found = np.concatenate(parts, axis=1).reshape(5, *shape)
    value, eps, log_number, complexity, doubt = found
    return Bound.of(form, value, eps, 1.0, log_number, complexity, doubt)


def _smallest(
    value_of: Callable[[Floats, Floats], Floats],
    bracketing: Bracketing,
    n: Floats,
    delta: Floats,
    snap: bool,
) -> Floats:
    """Value, eps, log N and the two terms of a, (5, points), for columns n and delta."""
    best = None
    for eps in (_EPSILON, 1 / n):
        log_c = bracketing.log_cells(eps)
        gap = np.minimum(bracketing.gap(log_c), eps) if snap else eps
        log_number, complexity, doubt = _terms(bracketing, n, delta, log_c)
        row = least(value_of(gap, complexity + doubt), gap, log_number, complexity, doubt)
        best = row if best is None else np.where(row[0] < best[0], row, best)
    assert best is not None
    return best


def least(value: Floats, *others: Floats) -> Floats:
    """The least value of each point, and the others (broadcast) in its place: (parts, points)."""
    rows, at = len(value), np.argmin(value.reshape(len(value), -1), axis=1)
    parts = [np.broadcast_to(part, value.shape).reshape(rows, -1) for part in (value, *others)]
    return np.stack([part[np.arange(rows), at] for part in parts])


def _terms(
    bracketing: Bracketing, n: Floats, delta: ArrayLike, log_c: Floats
) -> tuple[Floats, Floats, Floats]:
    log_number = bracketing.number_of_cells(log_c)
    return log_number, log_number / n, -np.log(np.asarray(delta, dtype=np.float64)) / n
