"""The maximum of a Gaussian likelihood from sums over rows: all blocks of a partition at once.

The sources of a block share psi and, unless each has its own, Sigma; `model.py` has the formulas.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError, listing
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.gaussian.shrinkage import (
    Covariances,
    choices,
    held_out,
    shrunk,
    sound,
    weights,
)
from sourcewise.families.gaussian.sums import MomentSums, Sums
from sourcewise.moments import Moments
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.truths.gaussian import gaussian_log_prob

__all__ = [
    "Solution",
    "free_parameters",
    "predicted",
    "predicted_parts",
    "solve",
    "solve_moments",
    "summed",
    "weights_by_parts",
]


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
    settings: GaussianSettings,
    moments: Moments,
    partition: Partition,
    names: tuple[str, ...],
    parts: Moments | None = None,
) -> Solution:
    """See `families.offers.Solvable`."""
    weighed = weights_by_parts(settings, moments, parts, partition)
    return solve(settings, MomentSums(moments), partition, names, weighed)


def weights_by_parts(
    settings: GaussianSettings, moments: Moments, parts: Moments | None, partition: Partition
) -> Tensor | None:
    """(C, M) of ways to shrink by what they predict of parts; None: nothing is left open."""
    if parts is None or len(choices(settings, moments.first.shape[1])) == 1:
        return None
    return weights(predicted_parts(settings, moments, parts, partition))


def predicted_parts(
    settings: GaussianSettings, moments: Moments, parts: Moments, partition: Partition
) -> Tensor:
    """(C, M) see `predicted`: of all parts together, as if each had sources of its own.

    Args:
        settings: see `predicted`.
        moments: of the rows of K sources.
        parts: of the same rows in P parts, (P K) groups.
        partition: the blocks of sources.
    """
    K = len(moments.count)
    P = len(parts.count) // K
    known = moments.repeated(P).minus(parts)
    present = (known.count > 0).tolist()
    kept = [[k for k in partition.sources if present[p * K + k]] for p in range(P)]
    blocks = [
        tuple(p * K + k for k in block)
        for p in range(P)
        for block in partition.keep(kept[p]).blocks
    ]
    found = predicted(settings, MomentSums(known), MomentSums(parts), Partition(tuple(blocks)))
    whole = _covariance_of(settings, partition, K)[0]
    virtual = _covariance_of(settings, Partition(tuple(blocks)), P * K)[0]
    inside = (virtual >= 0).nonzero().squeeze(1)
    owner = torch.empty(found.shape[1], dtype=torch.int64)
    owner[virtual[inside]] = whole[inside % K]
    return summed(found, owner, int(whole.max()) + 1)


def summed(scores: Tensor, owner: Tensor, M: int) -> Tensor:
    """(C, M) scores (C, N) added up by owner (N,); NaN where all are."""
    known = (~scores.isnan()).all(0)
    out = scores.new_zeros(len(scores), M).index_add_(1, owner[known], scores[:, known])
    none = torch.ones(M, dtype=torch.bool).index_fill_(0, owner[known], False)
    return out.masked_fill(none, torch.nan)


def predicted(
    settings: GaussianSettings, known: Sums, unknown: Sums, partition: Partition
) -> Tensor:
    """(C, M) log densities of unknown rows under fits to known ones, summed, of each covariance.

    Args:
        settings: what is shared, the form of the covariance, and how it may be shrunk.
        known: sums over rows to fit to, of every source of the partition.
        unknown: over rows of the same sources; those of sources outside the partition are left.
        partition: the blocks of sources.
    """
    fit = _unshrunk(settings, known, partition)
    n, which = fit.of.n, fit.which
    inside = (which >= 0).nonzero().squeeze(1)
    t = torch.zeros_like(n).index_add_(0, which[inside], unknown.counts[inside].to(n.dtype))
    mean, _ = unknown.scatter(fit.mean, which, len(n), settings.covariance == "diagonal")
    scatter = torch.where(t[:, None, None] > 0, mean * t[:, None, None], 0.0)
    return held_out(choices(settings, scatter.shape[1]), fit.of, scatter, t)


@dataclass(frozen=True)
class _Unshrunk:
    """A fit before its covariances are shrunk."""

    mean: Tensor  # mu, (K, d)
    which: Tensor  # (K,) the covariance of each source; -1 for sources in no block
    of: Covariances  # M of them


def _covariance_of(
    settings: GaussianSettings, partition: Partition, K: int
) -> tuple[Tensor, Tensor]:
    """(K,) the covariance and the block of each source; -1 for sources in no block."""
    block = torch.tensor(partition.block_of(K))
    if settings.shares:
        return block, block
    used, which = list(partition.sources), torch.full((K,), -1)
    which[used] = torch.arange(len(used))
    return which, block


def _unshrunk(settings: GaussianSettings, sums: Sums, partition: Partition) -> _Unshrunk:
    which, block = _covariance_of(settings, partition, len(sums.counts))
    used, M = list(partition.sources), int(which.max()) + 1
    mu = _means(settings, sums, partition, block)
    n = mu.new_zeros(M).index_add_(0, which[used], sums.counts[used].to(mu.dtype))
    if settings.covariance == "identity":
        S, fourth = torch.eye(mu.shape[1], dtype=mu.dtype).repeat(M, 1, 1), torch.zeros_like(n)
    else:
        S, fourth = sums.scatter(mu, which, M, settings.covariance == "diagonal")
    return _Unshrunk(mu, which, Covariances(S, fourth, n))


def solve(
    settings: GaussianSettings,
    sums: Sums,
    partition: Partition,
    names: tuple[str, ...],
    weighed: Tensor | None = None,
) -> Solution:
    """Mean, covariance and shrinkage of every block, shared inside it as the settings say.

    Args:
        settings: what is shared, and the form of the covariance.
        sums: over the training rows.
        partition: the blocks of sources.
        names: the K sources' names, for messages.
        weighed: (C, M) weights of ways to shrink; None: the first of them.

    Raises:
        InputError: a source without rows, or a singular covariance, with the remedy.
    """
    used, counts = list(partition.sources), sums.counts
    if not bool(counts[used].all()):
        empty = next(k for k in used if counts[k] == 0)
        raise InputError(f"source {names[empty]!r} has no training rows: no mean can be estimated")
    fit = _unshrunk(settings, sums, partition)
    d = fit.mean.shape[1]
    sizes = Counter(map(len, partition)).items()
    free = sum(count * free_parameters(settings, size, d) for size, count in sizes)

    def who(m: int) -> str:
        own = [names[k] for k in (fit.which == m).nonzero().squeeze(1).tolist()]
        return f"sources {listing(own, 3)}" if len(own) > 1 else repr(own[0])

    ways = choices(settings, d)
    if weighed is None:
        ways, weighed = ways[:1], torch.ones_like(fit.of.n)[None]
    S, intensity = shrunk(ways, weighed, fit.of)
    factor = _cholesky(S, fit.of.n, who, _remedies(settings))
    return Solution(fit.mean, factor, intensity, fit.which, free)


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


def _remedies(settings: GaussianSettings) -> str:
    """What helps where a covariance is singular, and is not in force."""
    stronger = {"none": "ledoit-wolf"}.get(str(settings.shrinkage), "0.1")
    ways = [] if isinstance(settings.shrinkage, float) else [f"--set shrinkage={stronger}"]
    ways += ["--set covariance=diagonal"] if settings.covariance == "full" else []
    return ", ".join([*ways, f"{'or ' * bool(ways)}leave dependent columns out (--ignore)"])


def _cholesky(S: Tensor, n: Tensor, who: Callable[[int], str], remedies: str) -> Tensor:
    """L of each covariance (M, d, d); a singular one is refused."""
    factor, failed = torch.linalg.cholesky_ex(S)
    if not bool((whole := sound(S, factor, failed)).all()):
        m = int((~whole).nonzero()[0])
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
