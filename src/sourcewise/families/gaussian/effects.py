"""How far the sources' means are apart, and what each source therefore takes from the others.

A source's sample mean, whitened by the covariance W = L L' within sources, and turned to
directions U in which sources vary independently, is z_k. In each direction

    z_k | m_k ~ N(m_k, v_k),   v_k = 1 / n_k,   m_k ~ N(m, t)          (k = 1..K sources)

The variance t between sources is the one of most restricted likelihood (Patterson and Thompson,
"Recovery of inter-block information when block sizes are unequal", 1971), with m integrated out:

    -2 l(t) = sum_k log(t + v_k) + log sum_k w_k + sum_k w_k (z_k - m)^2,
    w_k = 1 / (t + v_k),   m = sum_k w_k z_k / sum_k w_k

With equal n_k it is `max(0, sum_k (z_k - m)^2 / (K - 1) - 1/n)`. The means are then (empirical
Bayes; Morris, "Parametric empirical Bayes inference: theory and applications", 1983)

    E[m_k | z] = m + t / (t + v_k) (z_k - m)

K sources say little of d variances. So t is a mean of two: its own estimate, of K - 1 degrees of
freedom, and the one variance that fits all directions alike, which counts as d of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "Effects",
    "directions",
    "random_effects",
    "variance_between",
    "variances_between",
]

LADDER, HALVINGS = 64, 53  # steps of a search for a variance: coarse, then to the last digit
MOST, NUMBERS = 255, 2**12  # variances that are tried at once, of so many numbers together


@dataclass(frozen=True)
class Effects:
    """Means of K sources that are drawn together, in p directions.

    Args:
        mean: E[m_k | z], (K, p).
        variance: of m_k given z, that of m included, (K, p).
        share: of m in E[m_k | z], `v_k / (t + v_k)`, (K, p).
        unlikely: `(E[m_k | z] - m)^2 / 2t`, what its own mean costs a source, (K, p).
    """

    mean: Tensor
    variance: Tensor
    share: Tensor
    unlikely: Tensor


def random_effects(z: Tensor, v: Tensor, between: Tensor) -> Effects:
    """The posterior of means, given the variances between sources.

    Args:
        z: (K, p) sample means.
        v: (K,) their sampling variances.
        between: t, (p,).
    """
    w = 1 / (between + v[:, None])
    total = w.sum(0)
    m, share = (w * z).sum(0) / total, v[:, None] * w
    variance = (1 - share) * v[:, None] + share.square() / total
    unlikely = between / 2 * (w * (z - m)).square()
    return Effects(m + (1 - share) * (z - m), variance, share, unlikely)


def variances_between(z: Tensor, v: Tensor) -> Tensor:
    """(p,) t of each direction: see the module.

    Args:
        z: (K, p) sample means.
        v: (K,) their sampling variances.
    """
    K, p = z.shape
    common, own = variance_between(z, v, common=True), variance_between(z, v)
    return (p * common + (K - 1) * own) / (p + K - 1)


def directions(z: Tensor, v: Tensor) -> Tensor:
    """(d, d) U: orthogonal directions in which the sample means z (K, d) are uncorrelated."""
    w = 1 / (variance_between(z, v, common=True) + v)
    apart = z - w @ z / w.sum()
    return torch.linalg.eigh((apart.T * w) @ apart).eigenvectors


def variance_between(z: Tensor, v: Tensor, common: bool = False) -> Tensor:
    """The variance between sources of most restricted likelihood.

    Args:
        z: (K, p) sample means.
        v: (K,) their sampling variances, above 0.
        common: one variance for all directions.

    Returns:
        t >= 0, (p,), or (1,) if it is common; 0 for one source.

    >>> variance_between(torch.tensor([[1.0], [3.0], [5.0]]), torch.full((3,), 1.5))
    tensor([2.5000])
    """
    if len(z) < 2:
        return z.new_zeros(1 if common else z.shape[1])

    def summed(each: Tensor) -> Tensor:
        return each.sum(1, keepdim=True) if common else each

    low, high = 1e-6 * v.min(), 2 * ((z - z.mean(0)).square().sum(0).max() + v.max())
    rungs = low * (high / low) ** torch.linspace(0, 1, LADDER, dtype=z.dtype)
    ladder, most = torch.cat([torch.zeros_like(rungs[:1]), rungs]), _at_once(z)
    each = [summed(_restricted(z, v, some[:, None])) for some in ladder.split(most)]
    best = torch.cat(each).argmax(0)
    ends = ladder[(best - 1).clamp(min=0)], ladder[(best + 1).clamp(max=LADDER)]
    return _root(lambda t: summed(_score(z, v, t)), *ends, most)


def _at_once(z: Tensor) -> int:
    """How many variances are tried together: more where sources and directions are few."""
    return max(1, min(MOST, NUMBERS // z.numel()))


def _restricted(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """(G, p) twice the restricted log-likelihood of each t, (G, 1), less a constant."""
    w, total, apart = _weighed(z, v, t)
    likely = w.log().sum(1) - total.log()
    return likely - (w * apart.square()).sum(1)


def _score(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """(G, p) its derivative at each t, (G, p) or (G, 1)."""
    w, total, apart = _weighed(z, v, t)
    return (w * apart).square().sum(1) - total + w.square().sum(1) / total


def _weighed(z: Tensor, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """w (G, K, p), their sum (G, p), and z less the mean that they make, (G, K, p)."""
    w = 1 / (t[:, None, :] + v[:, None])
    total = w.sum(1)
    return w, total, z - ((w * z).sum(1) / total)[:, None]


def _root(score: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, most: int) -> Tensor:
    """Where a score falls through 0; low where it is not positive there.

    The interval is cut into `most` + 1 parts at a time, of which that of the root is the next one.
    """
    start, rises = low, score(low[None])[0] > 0
    cuts = torch.linspace(0, 1, most + 2, dtype=low.dtype)[:, None]
    for _ in range(math.ceil(HALVINGS / math.log2(most + 1))):
        grid = low + (high - low) * cuts
        part = (score(grid[1:-1]) > 0).cumprod(0).sum(0, keepdim=True)
        low, high = grid.gather(0, part)[0], grid.gather(0, part + 1)[0]
    return torch.where(rises, (low + high) / 2, start)
