"""The localized bound for conditional Gaussians with labels that are drawn, not given.

Ours: section 2 of the project's theory, docs/theory/gaussian.md.
n pairs are drawn from `p*(y) p*(x|y)`, `p_k` the probability of source k. For a bracket element p'
let `b = sum_k p_k BC_k`.

1. *Weighed union.* `P(sum_i log p'/p*(x_i|y_i) >= 0) <= E prod_i sqrt(p'/p*) = b^n`, the pairs
   being independent. Over the elements with `b^(s n) < delta/Z_s` these probabilities sum to at
   most `delta` if `Z_s >= sum over elements of b^((1-s) n)`. So with probability `1 - delta` the
   element above the estimate has `b >= exp(-a_s)`, `a_s = (log Z_s + log(1/delta)) / (s n)`, and
   `R_TV = sum_k p_k TV_k <= T(eps, a_s)`, whatever the p_k.
2. *A mean over counts.* Choose s such that `N = (1-s) n` is whole. By the multinomial theorem
   `b^N = E prod_k BC_k^(N_k)`, (N_k) multinomial of N draws: Z_s is the mean of its value given
   counts, and that mean is at most a product of means over binomials, which are summed from above
   (`theory.gaussian.tilt_drawn`).

N = 0 counts all elements alike. Start from eps and s of `localized`, then look about: any choice
made before the data holds. `refined`, too, is for drawn labels, and is admitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.theory import checks
from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_eta
from sourcewise.theory.gaussian.localized import localized
from sourcewise.theory.gaussian.tilt import Groups, make_cells
from sourcewise.theory.gaussian.tilt_drawn import Block, blocks_of_shares, log_z_drawn
from sourcewise.theory.general import Bound, refined, worst_case

__all__ = ["localized_drawn", "localized_drawn_for_shares", "localized_drawn_for_sizes"]

Floats = NDArray[np.float64]

_LOOK = np.array([-1.0, 0.0, 1.0])
_STEPS = ((0.3, 0.6), (0.15, 0.3), (0.06, 0.1))  # of log eta and log N
_CHUNK = 1 << 18  # numbers per array


@dataclass(frozen=True)
class _Points:
    """What is asked, (points,) each, and the blocks."""

    blocks: tuple[Block, ...]
    n: Floats
    d: int
    d1: Floats
    finer: Floats
    B: Floats
    delta: Floats

    def at(self, rows: slice | NDArray[np.bool_]) -> "_Points":
        blocks = tuple(block.at(rows) for block in self.blocks)
        parts = (self.d1, self.finer, self.B, self.delta)
        return _Points(blocks, self.n[rows], self.d, *(part[rows] for part in parts))


def localized_drawn(
    K: ArrayLike,
    n: ArrayLike,
    d: int,
    d1: ArrayLike,
    B: ArrayLike,
    delta: ArrayLike = 0.05,
    J: ArrayLike = 1,
) -> Bound:
    """The bound for labels drawn uniformly, `p_k = 1/K`, in J blocks of equal size; all broadcast.

    Never above `refined`. Above `localized`, which has the labels in exact shares, by ever less
    as n grows.

    >>> found = localized_drawn(K=5, n=5000, d=10, d1=5, B=5.0)
    >>> round(found.value, 4), round((1 - found.s) * 5000)
    (0.2852, 368)

    Args:
        K: sources, whole, >= 1.
        n: examples in all, > 0.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
        B: bound on the means, > 0.
        delta: error probability, in (0, 1).
        J: blocks, in 1..K: 1 is pooled, K is separate. Where J does not divide K, the value
            interpolates: use `localized_drawn_for_sizes`.
    """
    start = localized(K, n, d, d1, B, delta, J)
    given = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (K, n, d1, B, delta, J))
    )
    shape = given[0].shape
    K, n, d1, B, delta, J = (values.ravel() for values in given)
    block = Block(J, 1 / J, ((K / J, J / K),))
    points = _Points((block,), n, d, d1, J / K, B, delta)
    found = np.empty((4, len(n)))
    eps, s = np.ravel(start.epsilon), np.ravel(start.s)
    for kind in (J == 1, (J > 1) & (J == K), (J > 1) & (J < K)):  # each has its own cost
        found[:, kind] = _in_chunks(points.at(kind), eps[kind], s[kind])
    return _best(found, K * d1 + J * (d - d1), points, shape)


def localized_drawn_for_shares(
    p: ArrayLike,
    n: ArrayLike,
    d: int,
    d1: int,
    B: float,
    delta: float = 0.05,
    blocks: Sequence[Sequence[int]] | None = None,
) -> Bound:
    """The bound for labels drawn with probabilities p, which also weigh the average.

    At most `T(eps, a_s)` for `R_TV = sum_k p_k TV_k`. A source may be so rare that it draws
    no example.

    >>> round(localized_drawn_for_shares([0.1, 0.2, 0.7], 5000, d=10, d1=5, B=5.0).value, 4)
    0.2409

    Args:
        p: (K,) probabilities of the sources, positive, summing to 1.
        n: examples in all, > 0; broadcasts.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
        B: bound on the means, > 0.
        delta: error probability, in (0, 1).
        blocks: sources of each block, every source once; one block of all (pooled) if None.
    """
    shares = checks.shares(p)
    groups = checks.blocks(blocks, len(shares))
    K, J, points = len(shares), len(groups), np.size(n)
    parts = blocks_of_shares((shares[group] for group in groups), points)
    return _unequal(parts, K, J, n, d, d1, B, delta)


def localized_drawn_for_sizes(
    sizes: ArrayLike, n: ArrayLike, d: int, d1: int, B: float, delta: float = 0.05
) -> Bound:
    """The bound for labels drawn uniformly, `p_k = 1/K`, in blocks of these sizes.

    Equal sizes are `localized_drawn`.

    >>> round(localized_drawn_for_sizes([3, 2], n=5000, d=10, d1=5, B=5.0).value, 4)
    0.3074

    Args:
        sizes: (J,) sources of each block, each >= 1.
        n: examples in all, > 0; broadcasts.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
        B: bound on the means, > 0.
        delta: error probability, in (0, 1).
    """
    size, times = np.unique(checks.counts(sizes, least=1), return_counts=True)
    K, J, ones = float(times @ size), int(times.sum()), np.ones(np.size(n))
    parts = tuple(
        Block(many * ones, each / K * ones, ((each * ones, ones / each),))
        for each, many in zip(size, times, strict=True)
    )
    return _unequal(parts, K, J, n, d, d1, B, delta)


def _unequal(
    parts: tuple[Block, ...],
    K: float,
    J: int,
    n: ArrayLike,
    d: int,
    d1: int,
    B: float,
    delta: float,
) -> Bound:
    start = localized(K, n, d, d1, B, delta, J)
    shape, n = np.shape(n), np.asarray(n, dtype=np.float64).ravel()
    ones = np.ones(len(n))
    points = _Points(parts, n, d, d1 * ones, J / K * ones, B * ones, delta * ones)
    found = _in_chunks(points, np.ravel(start.epsilon), np.ravel(start.s))
    return _best(found, (K * d1 + J * (d - d1)) * ones, points, shape)


def _in_chunks(points: _Points, eps: Floats, s: Floats) -> Floats:
    nested = any(block.nested for block in points.blocks)
    step = max(1, _CHUNK // (9 * 56 * (56 if nested else 1)))  # eta and N, edges, edges
    parts = [np.empty((4, 0))]
    for low in range(0, len(eps), step):
        at = slice(low, low + step)
        parts.append(_search(points.at(at), eps[at], s[at]))
    return np.concatenate(parts, axis=1)


def _search(points: _Points, eps: Floats, s: Floats) -> Floats:
    """Value, eps, s, log Z_s at the best place found about the start: (4, points)."""
    log_eta, N = np.log(gaussian_eta(np.maximum(eps, 1e-300), points.d)), (1 - s) * points.n
    widest, most = np.log(gaussian_eta(1.0, points.d)), np.ceil(points.n) - 1
    best = None
    for eta_step, N_step in _STEPS:
        etas = np.minimum(log_eta[:, None] + eta_step * _LOOK, widest)
        sizes = np.clip(np.rint(N[:, None] * np.exp(N_step * _LOOK)), 0, most[:, None])
        found = _best_of(points, etas, sizes)
        best = found if best is None else np.where(found[0] < best[0], found, best)
        log_eta, N = best[4:]
    assert best is not None
    return best[:4]


def _best_of(points: _Points, log_eta: Floats, N: Floats) -> Floats:
    """Value, eps, s, log Z_s, log eta, N of the best pair: (6, points)."""
    rows = len(N)
    unused = np.zeros((rows, 0))
    groups = Groups(unused, unused, np.zeros(0, bool), points.d1[:, None], points.finer[:, None])
    own, rest, eps = make_cells(groups, np.exp(log_eta), points.d, points.B)
    N, n = N[:, None, :], points.n[:, None, None]
    log_number = log_z_drawn(points.blocks, own, rest, points.d, points.d1[:, None, None], N)
    a = np.maximum(log_number - np.log(points.delta)[:, None, None], 0) / (n - N)
    value = worst_case(eps, a)
    at = np.argmin(value.reshape(rows, -1), axis=1)
    full = (value, eps, 1 - N / n, log_number, log_eta[:, :, None], N)
    return np.stack(
        [np.broadcast_to(v, value.shape).reshape(rows, -1)[np.arange(rows), at] for v in full]
    )


def _best(found: Floats, m: Floats, points: _Points, shape: tuple[int, ...]) -> Bound:
    """The smaller of the search's value and of `refined`."""
    n, delta = points.n, points.delta
    whole = refined(envelope_bracketing(m, points.d, points.B), n, delta)
    untilted = np.stack([whole.value, whole.epsilon, np.ones(len(n)), whole.log_number])
    value, eps, s, log_number = np.where(found[0] < untilted[0], found, untilted)
    parts = (value, eps, s, log_number, log_number / (s * n), -np.log(delta) / (s * n))
    if shape == ():
        return Bound("localized_drawn", *(float(part[0]) for part in parts))
    return Bound("localized_drawn", *(part.reshape(shape) for part in parts))
