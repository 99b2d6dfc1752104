"""`log Z_s` for drawn labels, behind `theory.gaussian.drawn`.

Ours: section 2 of the project's theory, docs/theory/gaussian.md.
With `N = (1-s) n` whole, `Z_s = E Z(N_1, ..., N_K)` over multinomial counts of N draws. Given the
counts the sum over elements is, by `theory.gaussian.tilt`,

    Z(N_1, ...) = exp(N r) prod_k f(N_k) prod_blocks g(N_b),
    f(N) = min(cells, 1 + sqrt(pi/alpha) / (2 eta))^d1,

g alike with power d - d1; r is a constant as `sum_k N_k = N`. Both decrease in N, and more draws
in one block leave fewer for the rest, so the mean of the product is at most the product of means
(Chebyshev's association inequality). With `M_b ~ Binomial(N, P_b)` and `q_k = p_k/P_b` in block b,

    Z_s <= exp(N r) prod_blocks E[ g(M_b) prod_(k in b) E[f(Binomial(M_b, q_k)) | M_b] ].

Pooled, M_b = N; separate, q_k = 1. These means decrease in P_b and q_k, so many different shares
may be rounded down to a few.

*Means over binomials, from above.* Let f > 0 decrease and X ~ Binomial(N, p).
Between whole edges `0 = e_0 <= ... <= e_m` f is at most its value at the left one, so

    E f(X) <= f(e_m) + sum_(i >= 1) (f(e_(i-1)) - f(e_i)) P(X < e_i).

No factor is negative: the sum stays an upper bound with any upper bound on `P(X < e)`. Ours is
`(1-p)^N` at e = 1 and `1 - p^N` at e = N, both exact, and between them, with
`H(x) = x log(x/p) + (1-x) log((1-x)/(1-p))`,

    P(X < e) <= Phi(sign(e/N - p) sqrt(2 N H(e/N)))

(Zubkov and Serov, 2013, "A complete proof of universal inequalities for the distribution function
of the binomial law", Theory of Probability and its Applications 57). It neither overflows nor
vanishes, however large N or far the tail. The tests compare it with exact sums.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, xlog1py

from sourcewise.theory.checks import Floats
from sourcewise.theory.gaussian.tilt import Cells

__all__ = ["Block", "blocks_of_shares", "edges", "log_below", "log_mean", "log_z_drawn"]

_MOST_SHARES = 64  # different ones; more are rounded down
_BELOW = np.linspace(1, 0, 40)  # 40 edges down to 0, ever farther apart, and some above the mean
_ABOVE = np.linspace(0, 2, 16)  # of sqrt(X), whose standard deviation is at most about 1/2
_ALMOST_ONE = 1 - 2.0**-53


@dataclass(frozen=True)
class Block:
    """Blocks alike, of probability `P_b = sum of their p_k`; arrays of one shape, as (points,).

    >>> one = np.ones(1)  # two blocks, each of three sources with equal shares
    >>> Block(2 * one, one / 2, ((3 * one, one / 3),)).nested
    True
    """

    times: Floats  # (...) how many, >= 1
    share: Floats  # (...) P_b, in (0, 1]
    within: tuple[tuple[Floats, Floats], ...]  # times and shares q_k of sources alike, (...) each

    @property
    def nested(self) -> bool:
        """Whether neither its own count nor that of a source in it is sure."""
        return bool(np.any(self.share < 1) and np.any(self.within[0][1] < 1))

    def map(self, change: Callable[[Floats], Floats]) -> "Block":
        """The same with all its arrays changed: some of the points, or more of them."""
        within = tuple((change(times), change(share)) for times, share in self.within)
        return Block(change(self.times), change(self.share), within)


def blocks_of_shares(groups: Iterable[Floats]) -> tuple[Block, ...]:
    """Blocks from the probabilities of the sources of each; those alike are one `Block`.

    Single sources, and those within a block, are rounded to 64 shares if there are more.

    >>> pair, rest = blocks_of_shares([np.array([0.2, 0.3]), np.array([0.5])])[::-1]
    >>> float(pair.share), [float(q) for _, q in pair.within], float(rest.share)
    (0.5, [0.4, 0.6], 0.5)

    Args:
        groups: p_k of each block's sources, > 0, summing to 1 in all.
    """
    groups = list(groups)
    single = np.array([shares[0] for shares in groups if len(shares) == 1])
    found = [_block(times, share, np.ones(1)) for share, times in _few(single)]
    kinds: dict[bytes, tuple[int, Floats]] = {}
    for shares in (np.sort(shares) for shares in groups if len(shares) > 1):
        times, _ = kinds.get(shares.tobytes(), (0, shares))
        kinds[shares.tobytes()] = times + 1, shares
    for times, shares in kinds.values():
        whole = 1.0 if len(groups) == 1 else float(shares.sum())
        found.append(_block(times, whole, shares / shares.sum()))
    return tuple(found)


def _block(times: float, share: float, q: Floats) -> Block:
    within = tuple((np.array(many), np.array(value)) for value, many in _few(q))
    return Block(np.array(times), np.array(share), within)


def _few(shares: Floats) -> list[tuple[float, float]]:
    """Different shares and how often, the many rounded down to the least of their chunk."""
    values, times = np.unique(shares, return_counts=True)
    first = np.unique(np.linspace(0, len(values), _MOST_SHARES, endpoint=False).astype(int))
    if len(values) <= _MOST_SHARES:
        first = np.arange(len(values))
    if not len(values):
        return []
    return list(zip(values[first].tolist(), np.add.reduceat(times, first) * 1.0, strict=True))


def log_z_drawn(
    blocks: Iterable[Block], own: Cells, rest: Cells, d: int, d1: Floats, N: Floats
) -> Floats:
    """An upper bound on `log Z_s`, (points, etas, sizes).

    >>> blocks = [block.map(np.atleast_1d) for block in blocks_of_shares([np.full(5, 0.2)])]
    >>> cells = Cells(np.full((1, 1), 30.0), np.full((1, 1), 5.0))  # 30 in [-5, 5]
    >>> one, N = np.ones((1, 1, 1)), np.array([0.0, 10.0]).reshape(1, 1, 2)
    >>> found = log_z_drawn(blocks, cells, cells, 2, one, N)
    >>> found.round(2).ravel().tolist(), round(float(6 * np.log(30)), 2)  # N = 0 counts all
    ([20.41, 16.98], 20.41)

    Args:
        blocks: all of them, arrays (points,).
        own: cells of specific coordinates.
        rest: cells of shared coordinates.
        d: coordinates, d >= 1.
        d1: (points, 1, 1) specific coordinates, in 0..d.
        N: (points, 1, sizes) draws, whole, >= 0.
    """
    total = N * (d1 * own.raised + (d - d1) * rest.raised)
    for block in blocks:
        total = total + block.times[:, None, None] * _log_block(block, own, rest, d, d1, N)
    return total


def _log_block(block: Block, own: Cells, rest: Cells, d: int, d1: Floats, N: Floats) -> Floats:
    """`log E[ g(M) prod_k E[f(Binomial(M, q_k)) | M] ]`, M ~ Binomial(N, P_b)."""
    share = block.share[:, None, None]
    certain = bool(np.all(share == 1))
    M = N[..., None] if certain else edges(N, share)
    d1 = d1[..., None]
    log_h = (d - d1) * _log_sum(rest, M)
    for times, q in block.within if np.any(d1 > 0) else ():
        log_h = log_h + times[:, None, None, None] * _log_source(own, d1, M, q)
    if certain:
        return log_h[..., 0]
    return log_mean(log_h, log_below(M, N[..., None], share[..., None]))


def _log_source(own: Cells, d1: Floats, M: Floats, q: Floats) -> Floats:
    """`log E f(Binomial(M, q))`, (points, etas, sizes, edges of M)."""
    if np.all(q == 1):
        return d1 * _log_sum(own, M)
    q = q[:, None, None, None]
    e = edges(M, q)
    log_cdf = log_below(e, M[..., None], q[..., None])
    return log_mean(d1[..., None] * _log_sum(own, e), log_cdf)


def _log_sum(cells: Cells, N: Floats) -> Floats:
    """`log min(cells, 1 + sqrt(pi/alpha) / (2 eta))`, decreasing in N >= 0."""
    shape = cells.eta.shape + (1,) * (N.ndim - 2)
    with np.errstate(over="ignore", divide="ignore"):  # infinite: all cells count
        spread = np.log1p(cells.flat.reshape(shape) / np.sqrt(N))
    return np.minimum(cells.log_cells.reshape(shape), spread)


def edges(N: ArrayLike, p: ArrayLike) -> Floats:
    """Edges fit for X ~ Binomial(N, p): close together near its mean `N p`, (*shape, 56).

    >>> edges(3, 0.5)[[0, 39, -1]].tolist()
    [0.0, 1.0, 3.0]

    Args:
        N: trials, whole, >= 0.
        p: probability of success, in [0, 1]; broadcast with N to the shape.
    """
    N, p = np.asarray(N, dtype=np.float64), np.asarray(p, dtype=np.float64)
    root = np.sqrt(np.maximum(N * p, 1e-12))[..., None]
    least = np.minimum(0.05, root / 2)
    places = np.concatenate([root - least * (root / least) ** _BELOW, root + _ABOVE], axis=-1)
    places[..., 0] = 0
    return np.minimum(np.floor(np.maximum(places, 0) ** 2), N[..., None])


def log_below(e: ArrayLike, N: ArrayLike, p: ArrayLike) -> Floats:
    """An upper bound on `log P(X < e)`, X ~ Binomial(N, p).

    >>> exact = np.log([0.125, 0.5, 0.875])  # of 3 coins fewer than 1, 2, 3 heads
    >>> bool(np.all(log_below([1, 2, 3], 3, 0.5) >= exact - 1e-12))
    True

    Args:
        e: whole, in 1..N; at 0 it is an upper bound too, of no use.
        N: trials, whole, >= 0.
        p: probability of success, in [0, 1]; all broadcast.
    """
    e, N = np.asarray(e, dtype=np.float64), np.maximum(np.asarray(N, dtype=np.float64), 1)
    p = np.clip(p, 1e-100, _ALMOST_ONE)  # fewer successes: an upper bound still
    mean = N * p
    both = _deviance(e, mean) + _deviance(N - e, N * (1 - p))  # N H
    normal = log_ndtr(np.sign(e - mean) * np.sqrt(2 * np.maximum(both, 0)))
    last = np.log(-np.expm1(N * np.log(p)))
    return np.where(e >= N, last, np.where(e <= 1, N * np.log1p(-p), normal))


def log_mean(log_f: Floats, log_cdf: Floats) -> Floats:
    """An upper bound on `log E f(X)` from upper bounds on `log f` and `log P(X < e)` at edges.

    >>> e = edges(10, 0.5)
    >>> found = log_mean(-np.log(1 + e), log_below(e, 10, 0.5))
    >>> round(float(np.exp(found)), 3), round((1 - 0.5**11) * 2 / 11, 3)  # E 1/(1+X), exact
    (0.201, 0.182)

    Args:
        log_f: (..., edges) finite. f must decrease, its upper bounds need not.
        log_cdf: (..., edges) `log_below` at the same edges, the first of which is 0.
    """
    log_f = np.minimum.accumulate(log_f, axis=-1)
    with np.errstate(divide="ignore"):  # no drop, no contribution
        drop = log_f[..., :-1] + np.log(-np.expm1(np.diff(log_f, axis=-1)))
    terms = np.concatenate([drop + log_cdf[..., 1:], log_f[..., -1:]], axis=-1)
    most = terms.max(axis=-1, keepdims=True)
    return (most + np.log(np.exp(terms - most).sum(axis=-1, keepdims=True)))[..., 0]


def _deviance(x: Floats, mean: Floats) -> Floats:
    """`x log(x/mean) - x + mean`, without cancellation where x is near the mean."""
    off = (x - mean) / mean
    return mean * (xlog1py(1 + off, off) - off)
