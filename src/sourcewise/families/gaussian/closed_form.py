"""The maximum of a Gaussian likelihood from sums over rows: all blocks of a partition at once.

The sources of a block share psi and, unless each has its own, Sigma; `model.py` has the formulas.
Two kinds of sums serve: those of the rows at hand, and moments that parts of the rows add up to.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError, listing
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.moments import Moments
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.truths.gaussian import gaussian_log_prob

__all__ = [
    "RowSums",
    "Solution",
    "free_parameters",
    "ledoit_wolf_intensity",
    "solve",
    "solve_moments",
]


ROWS = 1 << 16  # that are looked at together


class Sums(Protocol):
    """What a fit asks of the rows of K sources."""

    @property
    def counts(self) -> Tensor:
        """(K,) numbers of rows."""
        ...

    @property
    def means(self) -> Tensor:
        """(K, d) the sources' own."""
        ...

    def scatter(self, mu: Tensor, group: Tensor, G: int, diagonal: bool) -> tuple[Tensor, Tensor]:
        """Of residuals `r = x - mu_y` in groups of sources.

        Args:
            mu: (K, d).
            group: (K,) of each source; -1 for none.
            G: number of groups.
            diagonal: only diagonal entries count.

        Returns:
            mean r r', (G, d, d), and sum |r r'|^2, (G,).
        """
        ...


@dataclass(frozen=True)
class RowSums:
    """Sums over rows (n, d) of sources y (n,), taken when they are asked for."""

    x: Tensor
    y: Tensor
    K: int

    @property
    def counts(self) -> Tensor:
        """See `Sums`."""
        return torch.bincount(self.y, minlength=self.K)

    @property
    def means(self) -> Tensor:
        """See `Sums`."""
        sums = self.x.new_zeros(self.K, self.x.shape[1]).index_add_(0, self.y, self.x)
        return sums / self.counts[:, None]

    def scatter(self, mu: Tensor, group: Tensor, G: int, diagonal: bool) -> tuple[Tensor, Tensor]:
        """See `Sums`."""
        d = self.x.shape[1]
        S, fourth = self.x.new_zeros(G, d, d), self.x.new_zeros(G)
        for g in range(G):
            whole = bool((group == g).all())
            own = torch.arange(len(self.y)) if whole else (group[self.y] == g).nonzero().squeeze(1)
            for rows in own.split(ROWS):
                r = self.x[rows] - mu.index_select(0, self.y[rows])
                squares = r.square()
                if diagonal:
                    S[g].diagonal().add_(squares.sum(0))
                    fourth[g] += squares.square().sum()
                else:
                    S[g] += r.T @ r
                    fourth[g] += squares.sum(1).square().sum()
            S[g] /= len(own)
        return S, fourth


@dataclass(frozen=True)
class _MomentSums:
    """Sums that moments of K sources give."""

    moments: Moments

    @property
    def counts(self) -> Tensor:
        return self.moments.count

    @property
    def means(self) -> Tensor:
        return self.moments.mean

    def scatter(self, mu: Tensor, group: Tensor, G: int, diagonal: bool) -> tuple[Tensor, Tensor]:
        residual, used = self.moments.about(mu), (group >= 0).nonzero().squeeze(1)
        where = group[used]
        n = mu.new_zeros(G).index_add_(0, where, self.counts[used])
        S = mu.new_zeros(G, *residual.second.shape[1:])
        S = S.index_add_(0, where, residual.second[used]) / n[:, None, None]
        S = torch.diag_embed(S.diagonal(dim1=1, dim2=2)) if diagonal else S
        each = residual.fourth
        each = each.diagonal(dim1=1, dim2=2).sum(1) if diagonal else each.sum((1, 2))
        return S, mu.new_zeros(G).index_add_(0, where, each[used])


@dataclass(frozen=True)
class Solution:
    """Parameters of K sources.

    Args:
        mean: mu, (K, d).
        scale_tril: L, (M, d, d), one for each covariance.
        intensity: (M,) shrinkage.
        which: (K,) the covariance of each source; -1 for sources in no block.
        free_parameters: of all blocks together.
    """

    mean: Tensor
    scale_tril: Tensor
    intensity: Tensor
    which: Tensor
    free_parameters: int

    def log_density(self, batch: Batch, noise: Noise) -> Tensor:
        """(B,) of rows (B, d) without gaps, under their sources."""
        x, y = batch.tensor, batch.y
        return gaussian_log_prob(x, y, self.mean, self.scale_tril, self.which)

    def total_log_density(self, rows: Moments) -> Tensor:
        """(K,) the sum over each source's rows; 0 for sources without, NaN without a model."""
        d, about = self.mean.shape[1], rows.about(self.mean)
        eye = torch.eye(d, dtype=self.mean.dtype)
        inverse = torch.linalg.solve_triangular(self.scale_tril, eye, upper=False)
        log_det = self.scale_tril.diagonal(dim1=1, dim2=2).log().sum(1)
        own = inverse[self.which]
        squares = ((own @ about.second) * own).sum((1, 2))
        rest = rows.count * (log_det[self.which] + 0.5 * d * math.log(2 * math.pi))
        return torch.where(self.which >= 0, -0.5 * squares - rest, torch.nan)


def free_parameters(settings: GaussianSettings, K: int, d: int) -> int:
    """Of a block of K sources: `K d1 + (d - d1)` means, and the covariances' entries."""
    entries = {"identity": 0, "diagonal": d, "full": d * (d + 1) // 2}
    d1, covariances = settings.specific_means(d), 1 if settings.shares else K
    return K * d1 + d - d1 + covariances * entries[settings.covariance]


def solve_moments(
    settings: GaussianSettings, moments: Moments, partition: Partition, names: tuple[str, ...]
) -> Solution:
    """See `solve`: from the moments of the rows."""
    return solve(settings, _MomentSums(moments), partition, names)


def solve(
    settings: GaussianSettings, sums: Sums, partition: Partition, names: tuple[str, ...]
) -> Solution:
    """Mean, covariance and shrinkage of every block, shared inside it as the settings say.

    Args:
        settings: what is shared, and the form of the covariance.
        sums: over the training rows.
        partition: the blocks of sources.
        names: the K sources' names, for messages.

    Raises:
        InputError: a source without rows, or a singular covariance, with the remedy.
    """
    counts, K = sums.counts, len(names)
    block = torch.tensor(partition.block_of(K))
    used = list(partition.sources)
    if not bool(counts[used].all()):
        empty = next(k for k in used if counts[k] == 0)
        raise InputError(f"source {names[empty]!r} has no training rows: no mean can be estimated")
    which, M = block, len(partition)
    if not settings.shares:
        which, M = torch.full((K,), -1), len(used)
        which[used] = torch.arange(M)
    mu = _means(settings, sums, partition, block)
    sizes = Counter(map(len, partition)).items()
    free = sum(count * free_parameters(settings, size, mu.shape[1]) for size, count in sizes)
    if settings.covariance == "identity":
        eye = torch.eye(mu.shape[1], dtype=mu.dtype)
        return Solution(mu, eye.repeat(M, 1, 1), mu.new_zeros(M), which, free)
    S, fourth = sums.scatter(mu, which, M, settings.covariance == "diagonal")
    n = mu.new_zeros(M).index_add_(0, which[used], counts[used].to(mu.dtype))

    def who(m: int) -> str:
        own = [names[k] for k in (which == m).nonzero().squeeze(1).tolist()]
        return f"sources {listing(own, 3)}" if len(own) > 1 else repr(own[0])

    S, intensity = _shrunk(settings, S, fourth, n)
    return Solution(mu, _cholesky(S, n, who, _remedies(settings)), intensity, which, free)


def _means(settings: GaussianSettings, sums: Sums, partition: Partition, block: Tensor) -> Tensor:
    """(K, d) maximum-likelihood means."""
    means, counts = sums.means, sums.counts
    d = means.shape[1]
    d1, mu = settings.specific_means(d), means.clone()
    if d1 == d:
        return mu
    K, full = len(means), settings.covariance == "full"
    if settings.shares:
        within, _ = sums.scatter(means, block, len(partition), False)
    else:
        within, _ = sums.scatter(means, torch.arange(K), K, not full)
    for j, members in enumerate(partition):
        k = list(members)
        if settings.shares or len(k) == 1:
            psi = counts[k].to(means.dtype) @ means[k, d1:] / counts[k].sum()
            covariances = within[j if settings.shares else k[0]].expand(len(k), d, d)
        else:
            psi = _shared_mean(means[k], within[k], counts[k], d1, full)
            covariances = within[k]
        mu[k, d1:] = psi
        if full and d1 > 0 and len(k) > 1:
            B = torch.stack([_regression(S, d1) for S in covariances])
            gap = (means[k, d1:] - psi)[:, :, None]
            mu[k, :d1] = means[k, :d1] - (B @ gap).squeeze(2)
    return mu


def _shared_mean(means: Tensor, own: Tensor, counts: Tensor, d1: int, full: bool) -> Tensor:
    """psi under own covariances: psi given the Sigma_k, and the Sigma_k given psi, in turn."""
    psi = counts.to(means.dtype) @ means[:, d1:] / counts.sum()
    for _ in range(1000):
        gap = means[:, d1:] - psi  # (K, d - d1)
        block = own[:, d1:, d1:] + gap[:, :, None] * gap[:, None, :]
        block = block if full else torch.diag_embed(block.diagonal(dim1=1, dim2=2))
        weights = counts[:, None, None] * torch.linalg.pinv(block)
        moved = torch.linalg.solve(weights.sum(0), (weights @ means[:, d1:, None]).sum(0))
        step, psi = (moved.squeeze(1) - psi).abs().max(), moved.squeeze(1)
        if step < 1e-12:
            break
    return psi


def _regression(S: Tensor, d1: int) -> Tensor:
    """`S_12 S_22^-1`: the regression of the first d1 coordinates on the others."""
    return torch.linalg.lstsq(S[d1:, d1:], S[d1:, :d1]).solution.T


def _shrunk(
    settings: GaussianSettings, S: Tensor, fourth: Tensor, n: Tensor
) -> tuple[Tensor, Tensor]:
    """(Shrunk) covariances (M, d, d) and the intensities used, (M,)."""
    a = settings.resolved_shrinkage
    if a == "none":
        return S, torch.zeros_like(n)
    if a == "ledoit-wolf":
        intensity = ledoit_wolf_intensity(S, fourth, n)
    else:
        intensity = torch.full_like(n, a)
    d, share = S.shape[1], intensity[:, None, None]
    m = S.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] / d
    return (1 - share) * S + share * (m * torch.eye(d, dtype=S.dtype)), intensity


def ledoit_wolf_intensity(S: Tensor, fourth: Tensor, n: Tensor) -> Tensor:
    """The shrinkage that minimises the expected squared (Frobenius) error, estimated, (M,).

    `a = min(b, e) / e`, `e = |S - m I|^2`, `b = sum_i |r_i r_i' - S|^2 / n^2`, `m = tr(S)/d`.

    Args:
        S: covariances `sum r r' / n` of centred residuals r, (M, d, d).
        fourth: sum |r r'|^2 over rows, (M,); of a diagonal S, of diagonal entries.
        n: rows, (M,).
    """
    norm = S.square().sum((1, 2))
    spread = (fourth / n - norm) / n
    m = S.diagonal(dim1=1, dim2=2).mean(1)
    error = norm - S.shape[1] * m * m
    return torch.where(error > 0, (spread / error).clamp(0, 1), 1.0)


def _remedies(settings: GaussianSettings) -> str:
    """What helps where a covariance is singular, and is not in force."""
    now = settings.resolved_shrinkage
    stronger = {"none": "ledoit-wolf", "ledoit-wolf": "0.1"}.get(str(now))
    ways = [f"--set shrinkage={stronger}"] if stronger else []
    ways += ["--set covariance=diagonal"] if settings.covariance == "full" else []
    return ", ".join([*ways, f"{'or ' * bool(ways)}leave dependent columns out (--ignore)"])


def _cholesky(S: Tensor, n: Tensor, who: Callable[[int], str], remedies: str) -> Tensor:
    """L of each covariance (M, d, d); a singular one is refused."""
    factor, failed = torch.linalg.cholesky_ex(S)
    pivots = factor.diagonal(dim1=1, dim2=2)
    # A pivot is what a variable adds to those before it, on the scale of its own deviation.
    scales = S.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    sound = (failed == 0) & (pivots > 1e-7 * scales).all(1) & (scales > 0).all(1)
    if not bool(sound.all()):
        m = int((~sound).nonzero()[0])
        if int(n[m]) < 2:
            raise InputError(
                f"the covariance of {who(m)} cannot be had from one row: bring more rows, leave "
                "this one out, or train it with another source (groups:A+B|C)"
            )
        raise InputError(
            f"the covariance of {who(m)} is singular (n = {int(n[m])}, d = {S.shape[1]}): "
            f"{remedies}"
        )
    return factor
