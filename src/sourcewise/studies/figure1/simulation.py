"""Many simulated fits of the paper's Gaussian at once (arXiv 2502.14583, section 4.1).

A run draws labels `y_i` uniform on K sources and `x_i = mu_(y_i) + z_i`, z_i standard normal in
R^d, and fits pooled and separate maximum-likelihood estimates on the same draws. Their error
`mu_hat - mu` is a function of the sums `s_k = sum of z_i over source k` alone:

    separate  s_k / n_k
    pooled    [s_k / n_k (first d1 coordinates); sum_k s_k / n (the other d - d1)]

so mu is never needed, and runs are cheap in batches. `draw_samples` draws every x and sums it;
`draw_statistics` draws the sufficient statistics `(n_k, s_k)` themselves, from their exact law.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sourcewise.randomness import Noise

__all__ = [
    "Distances",
    "Setup",
    "Sums",
    "average_tv",
    "distances",
    "draw_samples",
    "draw_statistics",
    "in_batches",
    "paper_estimates",
]

_BLOCK = 1000  # runs that share a key in draw_statistics


class Setup(NamedTuple):
    """A cell: K sources, n examples, d coordinates, d1 of them specific. It names its draws."""

    K: int
    n: int
    d: int
    d1: int


@dataclass(frozen=True)
class Sums:
    """Sufficient statistics of R runs."""

    counts: Tensor  # n_k, (R, K) float64
    sums: Tensor  # s_k, (R, K, d) float64; zero where n_k is


@dataclass(frozen=True)
class Distances:
    """Distance `|mu_hat_k - mu_k|` of R runs; 0 where not seen.

    A source without examples has no estimate of its specific coordinates: it is not seen in that
    run, and averages are taken over the runs in which it is.
    """

    radius: Tensor  # (R, K) float64
    seen: Tensor  # (R, K) bool

    @property
    def tv(self) -> Tensor:
        """Total variation `2 Phi(r/2) - 1`, (R, K)."""
        return torch.erf(self.radius / math.sqrt(8))


def draw_samples(setup: Setup, runs: range, noise: Noise) -> Sums:
    """Draw every label and every x of the given runs; a run's draws depend on its number alone.

    Normals are drawn in float32 and summed in float64.
    """
    K, n, d = setup.K, setup.n, setup.d
    generators = [noise.of("samples", *setup, run).generator() for run in runs]
    y = torch.stack([torch.randint(K, (n,), generator=g, dtype=torch.int32) for g in generators])
    z = torch.stack([torch.randn(n, d, generator=g) for g in generators])  # (R, n, d)
    member = (y[:, None, :] == torch.arange(K)[:, None]).double()  # (R, K, n)
    return Sums(member.sum(2), member @ z.double())


def draw_statistics(setup: Setup, runs: int, noise: Noise) -> Sums:
    """Draw `n_k` (multinomial) and `s_k = sqrt(n_k) N(0, I)` of runs 0, ..., runs - 1."""
    starts = range(0, runs, _BLOCK)
    blocks = [_statistics(setup, noise.of("statistics", *setup, i)) for i in starts]
    counts, sums = (torch.cat(parts)[:runs] for parts in zip(*blocks, strict=True))
    return Sums(counts, sums)


def _statistics(setup: Setup, noise: Noise) -> tuple[Tensor, Tensor]:
    K, left = setup.K, torch.full((_BLOCK,), float(setup.n), dtype=torch.float64)
    generator, counts = noise.of("counts").generator(), []
    for k in range(K - 1):  # one binomial after the other makes a multinomial
        share = torch.full_like(left, 1 / (K - k))
        counts.append(torch.binomial(left, share, generator=generator))
        left = left - counts[-1]
    n_k = torch.stack([*counts, left], 1)  # (R, K)
    z = noise.of("sums").normal(_BLOCK, K, setup.d, dtype=torch.float32)
    return n_k, n_k.sqrt()[..., None] * z


def distances(setup: Setup, drawn: Sums) -> tuple[Distances, Distances]:
    """Errors of the separate and of the pooled fit of each run, in this order."""
    d1, seen = setup.d1, drawn.counts > 0
    n_k = drawn.counts.clamp(min=1)  # sums are 0 where the count is
    specific = drawn.sums[..., :d1].square().sum(2) / n_k.square()  # (R, K)
    own = drawn.sums[..., d1:].square().sum(2) / n_k.square()
    shared = drawn.sums[..., d1:].sum(1).square().sum(1, keepdim=True) / setup.n**2  # (R, 1)
    separate = Distances((specific + own).sqrt(), seen)
    pooled_seen = seen if d1 else torch.ones_like(seen)
    return separate, Distances((specific + shared).sqrt() * pooled_seen, pooled_seen)


def in_batches(
    setup: Setup, runs: int, noise: Noise, batch: int | None = None
) -> tuple[Distances, Distances]:
    """`distances` of `draw_samples`, `batch` runs at a time; by memory if None.

    The result does not depend on the batch, the speed does: runs should stay in the cache.
    """
    size = batch or max(1, 500_000 // (setup.n * (setup.d + setup.K)))
    ranges = [range(i, min(i + size, runs)) for i in range(0, runs, size)]
    parts = [distances(setup, draw_samples(setup, r, noise)) for r in ranges]
    separate, pooled = (
        Distances(torch.cat([fit.radius for fit in fits]), torch.cat([fit.seen for fit in fits]))
        for fits in zip(*parts, strict=True)
    )
    return separate, pooled


def average_tv(value: Tensor, seen: Tensor) -> tuple[float, float]:
    """Average over sources of the mean over the runs in which a source was seen.

    Args:
        value: (R, K) one value per run and source.
        seen: (R, K) whether it counts.

    Returns:
        The average and its standard error (delta method; runs are independent).
    """
    times = seen.sum(0)  # (K,)
    if int(times.min()) == 0:
        return math.nan, math.nan
    mean = torch.where(seen, value, 0.0).sum(0) / times
    influence = torch.where(seen, value - mean, 0.0) * (len(value) / times)  # (R, K)
    error = influence.mean(1).std().item() / math.sqrt(len(value))
    return mean.mean().item(), error


def paper_estimates(
    errors: tuple[Distances, ...], noise: Noise, points: int = 500
) -> list[Tensor]:
    """The paper's noisy estimate of each run, `1/2 mean |p_hat(x|y)/p*(x|y) - 1|`.

    The mean is over test points: labels y are uniform, x is from the truth. With
    `e = mu_hat_y - mu_y` and `z = x - mu_y`, `log p_hat/p* = z'e - |e|^2/2`, and `z'e` is normal
    with variance `|e|^2`: one normal draw per test point is the exact law. Points of sources that
    were not seen are left out.

    Args:
        errors: fits of the same runs, (R, K) each; they share the test points.
        noise: of the test points.
        points: test points per run.

    Returns:
        (R,) for each fit.
    """
    R, K = errors[0].radius.shape
    y = noise.of("labels").integers(K, R, points)
    g = noise.of("points").normal(R, points, dtype=torch.float32)
    estimates = []
    for fit in errors:
        r, seen = fit.radius.gather(1, y), fit.seen.gather(1, y)  # (R, points)
        term = torch.expm1(r * g - r.square() / 2).abs() * seen
        estimates.append(0.5 * term.sum(1) / seen.sum(1).clamp(min=1))
    return estimates
