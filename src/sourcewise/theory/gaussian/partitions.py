"""Conditional Gaussians under any partition of the sources, of any shares: exact errors, the law.

A block b of sources shares one model, `P_b = sum of p_k over b` (theory, sections 3 and 4). Source
k estimates its d1 own coordinates from its n_k examples and the others from the n_b of its block:

    r_k^2 = chi2_d1 / n_k + chi2_(d-d1) / n_b, independent,     E TV_k = E[2 Phi(r_k/2) - 1].

With labels drawn, `n_k ~ Binomial(n, p_k)` and `n_b - n_k ~ Binomial(n - n_k, (P_b-p_k)/(1-p_k))`
given n_k. So a source matters through (p_k, P_b) alone, and sources alike in both are computed
once. One block of all is pooled training (`P_b = 1`, `n_b = n`), blocks of one source are separate
training (`P_b = p_k`, `n_b = n_k`). A source without an example has no estimate of its own
coordinates: its term is the expectation given `n_k >= 1`, or `n_b >= 1` if d1 = 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from sourcewise.errors import InputError
from sourcewise.theory import checks
from sourcewise.theory.checks import Floats, dimensions, positive, whole
from sourcewise.theory.gaussian.integrals import (
    count_law,
    few_nodes,
    fraction_law,
    likely,
    mean_chi,
)

__all__ = [
    "Kinds",
    "asymptotic_tv",
    "expected_tv",
    "expected_tv_given_counts",
    "kinds",
    "kinds_of_sizes",
    "missing_share",
    "tv_given_count",
]

Blocks = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Kinds:
    """Sources of a partition, those with the same share in a block of the same share together.

    >>> pooled = Kinds(np.array([0.2]), np.array([1.0]), np.array([5.0]))
    >>> round(expected_tv(pooled, n=500, d=10, d1=5), 4)
    0.0944

    Args:
        share: (kinds,) p_k of one such source.
        block: (kinds,) P_b of its block; 1 if pooled, p_k if separate.
        times: (kinds,) how many such sources there are; `times @ share` is 1.
    """

    share: Floats
    block: Floats
    times: Floats


def kinds(p: ArrayLike, blocks: Blocks | None = None) -> Kinds:
    """The kinds of sources with shares p in a partition: each pair `(p_k, P_b)`, and how often.

    >>> found = kinds([0.25, 0.25, 0.5], blocks=[[0, 1], [2]])
    >>> found.share.tolist(), found.block.tolist(), found.times.tolist()
    ([0.25, 0.5], [0.5, 0.5], [2.0, 1.0])

    Args:
        p: (K,) shares p_k, > 0, summing to 1.
        blocks: sources of each block, every source once; one block of all (pooled) if None.
    """
    share = checks.shares(p)
    block = np.ones(len(share))
    for members in checks.blocks(blocks, len(share)):
        if len(members) < len(share):
            block[members] = math.fsum(share[members].tolist())
    pairs, times = np.unique(np.stack([share, block], 1), axis=0, return_counts=True)
    return Kinds(pairs[:, 0], np.minimum(pairs[:, 1], 1.0), times.astype(np.float64))


def kinds_of_sizes(sizes: ArrayLike) -> Kinds:
    """The kinds of K equal sources in blocks of sizes J_b: pairs `(1/K, J_b/K)`; K may be huge.

    >>> kinds_of_sizes([3, 2]).times.tolist()
    [2.0, 3.0]

    Args:
        sizes: (J,) sources of each block, each >= 1.
    """
    size, blocks = np.unique(checks.counts(sizes, least=1), return_counts=True)
    K = float(blocks @ size)
    return Kinds(np.full(len(size), 1 / K), size / K, blocks * size)


def missing_share(at: Kinds, n: int) -> float:
    """Expected share of the sources that draw no example, `(1/K) sum_k (1 - p_k)^n`.

    >>> round(missing_share(kinds([0.2] * 5), n=5), 4)
    0.3277

    Args:
        at: the kinds of a partition; only shares matter.
        n: examples in all, n >= 1.
    """
    with np.errstate(divide="ignore"):  # one source, of share 1: never without
        none = np.exp(whole("n", n, 1) * np.log1p(-np.minimum(at.share, 1.0)))
    return float(at.times @ none / at.times.sum())


def expected_tv(
    p: ArrayLike | Kinds, n: int, d: int, d1: int, blocks: Blocks | None = None
) -> float:
    """Exact `E R_TV` of a partition when labels are drawn; given `n_k >= 1` (module docstring).

    >>> p, apart = [0.1, 0.2, 0.3, 0.1, 0.3], [[0], [1], [2], [3], [4]]
    >>> partitions = None, [[0, 1, 2], [3, 4]], apart
    >>> [round(expected_tv(p, 500, d=10, d1=5, blocks=blocks), 4) for blocks in partitions]
    [0.0926, 0.1009, 0.1195]

    Args:
        p: (K,) shares p_k, or the kinds of a partition (then without blocks).
        n: examples in all, n >= 1.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d; d for separate training.
        blocks: sources of each block, every source once; one block of all (pooled) if None.
    """
    at = p if isinstance(p, Kinds) else kinds(p, blocks)
    whole("n", n, 1)
    dimensions(d, d1)
    weight = at.times * at.share
    pairs = zip(weight.tolist(), at.share.tolist(), at.block.tolist(), strict=True)
    return math.fsum(part * _tv_of_kind(share, block, n, d, d1) for part, share, block in pairs)


def expected_tv_given_counts(
    counts: ArrayLike, d: int, d1: int, p: ArrayLike | None = None, blocks: Blocks | None = None
) -> float:
    """Exact `E R_TV` for given counts, `sum_k p_k E TV_k`; arguments as for `expected_tv`.

    >>> round(expected_tv_given_counts([100] * 5, d=10, d1=5), 4)
    0.0941
    >>> round(expected_tv_given_counts([100] * 5, d=10, d1=5, blocks=[[0, 1, 2], [3, 4]]), 4)
    0.1021

    Args:
        counts: (K,) examples per source, each >= 1; if d1 = 0, at least 1 per block.
        p: (K,) shares p_k; equal if None.
    """
    dimensions(d, d1)
    n_k = checks.counts(counts, least=0 if d1 == 0 else 1)
    n_b = np.empty(len(n_k))
    for members in checks.blocks(blocks, len(n_k)):
        n_b[members] = n_k[members].sum()
    if not n_b.all():
        raise InputError("counts must hold at least one example for each block")
    return float(checks.weights(p, len(n_k)) @ tv_given_count(n_k, n_b, d, d1))


def asymptotic_tv(
    p: ArrayLike | Kinds, n: float, d: int, d1: int, blocks: Blocks | None = None
) -> float:
    """`(2 pi n)^(-1/2) sum_k p_k E sqrt(s' I^-1 s | k)`: the limit of `expected_tv`.

    `s' I^-1 s = chi2_d1/p_k + chi2_(d-d1)/P_b`, s the score, I the information; its mean is
    `v_k = d1/p_k + (d-d1)/P_b`. This is the first, sharp expression of theory section 3. Arguments
    as for `expected_tv`.

    >>> round(asymptotic_tv([0.1, 0.2, 0.3, 0.1, 0.3], 500, 10, 5, [[0, 1, 2], [3, 4]]), 4)
    0.101
    """
    at = p if isinstance(p, Kinds) else kinds(p, blocks)
    dimensions(d, d1)
    B, weight = fraction_law(d1, d - d1)
    # sqrt(chi2_d1/p_k + chi2_(d-d1)/P_b) = chi_d sqrt(B/p_k + (1-B)/P_b), chi_d and B independent
    root = np.sqrt(B / at.share[:, None] + (1 - B) / at.block[:, None]) @ weight  # (kinds,)
    mean = float((at.times * at.share) @ root) * mean_chi(d)
    return mean / math.sqrt(2 * math.pi * positive("n", n))


def _tv_of_kind(share: float, block: float, n: int, d: int, d1: int) -> float:
    """`E TV_k` of a source of share p_k in a block of share P_b, when labels are drawn."""
    if d1 == 0:  # only the examples of the block matter
        share = block
    # A grid is exact where the law ends softly, far above n_k = 1.
    n_k, probability = likely(*count_law(n, share, parts=2 if n * share > 50 else 8))
    if d1 == d or share == block or block == 1:  # n_b follows from n_k, or does not matter
        rest = (n - n_k if block == 1 else np.zeros_like(n_k))[:, None]
        weight = np.ones((1, 1))
    else:
        most = 8 if n * block > 100 else 16  # 1e-15 and 1e-10: the value is smooth in n_b
        rest, weight = _rest_law(n - n_k, (block - share) / (1 - share), most)
    value = tv_given_count(n_k[:, None], n_k[:, None] + rest, d, d1)  # (counts, rests)
    return float(probability @ (value * weight).sum(1))


def _rest_law(n: Floats, share: float, most: int) -> tuple[Floats, Floats]:
    """At most so many nodes, and weights, of `Binomial(n_i, share)`: a row for each n_i."""
    share = min(share, 1.0)
    laws = [few_nodes(*count_law(size, share, least=0, parts=2), most) for size in n.tolist()]
    rest, weight = np.zeros((len(n), most)), np.zeros((len(n), most))
    for row, (value, probability) in enumerate(laws):
        rest[row, : len(value)], weight[row, : len(value)] = value, probability
    return rest, weight


def tv_given_count(n_k: Floats, n_b: Floats, d: int, d1: int) -> Floats:
    """`E[2 Phi(r/2) - 1]`, `r^2 = chi2_d1/n_k + chi2_(d-d1)/n_b`; n_k and n_b broadcast.

    `2 Phi(r/2) - 1 = P(Z^2 < r^2/4)`, Z normal; and `r^2 = chi2_d c(B)`,
    `c = B/n_k + (1-B)/n_b`, `B ~ Beta(d1/2, (d-d1)/2)` independent of chi2_d. As
    `Z^2/(Z^2 + chi2_d) ~ Beta(1/2, d/2)`, the value given B is the incomplete beta function at
    `c/(c+4)`.

    >>> tv_given_count(np.array([100.0]), np.array([300.0]), d=10, d1=5).round(4).tolist()
    [0.0996]

    Args:
        n_k: (...) examples of the source, >= 1, or >= 0 if d1 = 0.
        n_b: (...) examples of its block, >= 1.
        d: coordinates, d >= 1.
        d1: coordinates informed by n_k, in 0..d; the others are by n_b.
    """
    B, weight = fraction_law(d1, d - d1)
    own = np.maximum(n_k, 1)[..., None]  # n_k = 0 only if d1 = 0, B = 0
    c = B / own + (1 - B) / np.asarray(n_b)[..., None]  # (..., nodes)
    return betainc(0.5, d / 2, c / (c + 4)) @ weight
