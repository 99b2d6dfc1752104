"""`log Z_s` for drawn labels, behind `theory.gaussian.drawn`.

Ours: section 2 of the project's theory, docs/theory/gaussian.md.
With `N = (1-s) n` whole, `Z_s = E Z(N_1, ..., N_K)` over multinomial counts of N draws. Given the
counts the sum over elements is, by `theory.gaussian.tilt`,

    Z(N_1, ...) = exp(N r) prod_k f(N_k) prod_blocks g(N_b),
    f(N) = min(cells, 1 + sqrt(pi/alpha) / (2 eta))^d1,

g alike with power d - d1; r is a constant as `sum_k N_k = N`. Both decrease in N.

*The mean of the product is at most the product of means.* More draws in one block leave fewer for
the rest. Let h(M) be decreasing, M the count of the first block. Given M the rest is multinomial
with N - M draws, so the mean of a decreasing function of it increases with M; by Chebyshev's
association inequality the product of the two has a mean of at most the product of their means.
Repeating this, first for the blocks, then for the sources of each, with `M_b ~ Binomial(N, P_b)`
and `q_k = p_k/P_b` in block b,

    Z_s <= exp(N r) prod_blocks E[ g(M_b) prod_(k in b) E[f(Binomial(M_b, q_k)) | M_b] ].

Pooled, M_b = N; separate, q_k = 1. The means over binomials are upper sums
(`theory.gaussian.binomial`). They decrease in P_b and q_k, so many different shares may be rounded
down to a few.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from sourcewise.theory.checks import Floats
from sourcewise.theory.gaussian.binomial import edges, log_below, log_mean
from sourcewise.theory.gaussian.tilt import Cells

__all__ = ["Block", "blocks_of_shares", "log_z_drawn"]

_MOST_SHARES = 64  # different ones; more are rounded down


@dataclass(frozen=True)
class Block:
    """Blocks alike, of probability `P_b = sum of their p_k`; arrays of one shape, as (points,).

    >>> one = np.ones(1)  # two blocks, each of three sources with equal shares
    >>> Block(2 * one, one / 2, ((3 * one, one / 3),)).nested
    True

    Args:
        times: (...) how many, >= 1.
        share: (...) P_b, in (0, 1].
        within: times and shares q_k of sources alike, (...) each.
    """

    times: Floats
    share: Floats
    within: tuple[tuple[Floats, Floats], ...]

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
