"""Partial pooling, solved: means and covariances of each source, drawn towards those of all.

Between one model for all sources and one for each stands a model whose sources are themselves a
sample. `effects` says how far apart they are, and how much each of them takes from the others. All
of it comes from the sums that a pooled fit is made of. The density is the normal one with the mean
and covariance of the posterior predictive,

    x | y = k  ~  N(E[mu_k], E[Sigma_k] + Cov[mu_k]),

which of all normal densities loses least, on average over the posterior. Where covariances are
known (`identity`), they stay what they are. The covariance within sources, by which means are
compared, is that of the pooled fit, shrunk likewise, over its degrees of freedom.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.families.gaussian.closed_form import (
    Solution,
    free_parameters,
    solve,
    weights_by_parts,
)
from sourcewise.families.gaussian.effects import (
    Effects,
    directions,
    random_effects,
    variances_between,
)
from sourcewise.families.gaussian.scatters import Scatters, accounts, posterior
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.gaussian.sums import MomentSums, Sums
from sourcewise.moments import Moments
from sourcewise.partition import Partition

__all__ = ["PartialSolution", "apart", "partial_moments", "pooled_settings", "solve_partial"]


@dataclass(frozen=True)
class PartialSolution:
    """Partially pooled parameters of K sources.

    Args:
        solution: the parameters; each source has its own covariance.
        share: (K, 2) that all sources have in the mean and in the covariance of each, from 0 (as
            if it were alone) to 1 (as if all were one).
    """

    solution: Solution
    share: Tensor


def pooled_settings(settings: GaussianSettings, d: int) -> GaussianSettings:
    """What partially pooled models of d columns are drawn to: everything shared but the means.

    Raises:
        InputError: some means are not to be the sources' own.
    """
    if settings.specific_means(d) < d:
        raise InputError(
            "strategy partial draws the means of all columns together: --set specific=all, "
            f"not {settings.specific}"
        )
    return settings.model_copy(update={"shared_covariance": True, "shared_slopes": True})


def apart(settings: GaussianSettings) -> GaussianSettings:
    """What partially pooled models count as: nothing is shared but by drawing."""
    return settings.model_copy(update={"shared_covariance": False})


def partial_moments(
    settings: GaussianSettings,
    moments: Moments,
    partition: Partition,
    names: tuple[str, ...],
    parts: Moments | None = None,
) -> Solution:
    """See `families.offers.Solvable`."""
    settings = pooled_settings(settings, moments.first.shape[1])
    weighed = weights_by_parts(settings, moments, parts, partition)
    return solve_partial(settings, MomentSums(moments), partition, names, weighed).solution


def solve_partial(
    settings: GaussianSettings,
    sums: Sums,
    partition: Partition,
    names: tuple[str, ...],
    weighed: Tensor | None = None,
) -> PartialSolution:
    """Mean and covariance of every source of every block.

    Args:
        settings: see `pooled_settings`.
        sums: over the training rows.
        partition: the blocks of sources.
        names: the K sources' names, for messages.
        weighed: (C, M) weights of ways to shrink the covariance of a block; None: the first.

    Raises:
        InputError: what the pooled fit of a block would refuse.
    """
    pooled = solve(settings, sums, partition, names, weighed)
    K, d = pooled.mean.shape
    S, _ = sums.scatter(pooled.mean, torch.arange(K), K, settings.covariance == "diagonal")
    mean, share, covariance = pooled.mean.clone(), S.new_zeros(K, 2), torch.zeros_like(S)
    for j, block in enumerate(partition):
        k = list(block)
        n, shared = sums.counts[k].to(S.dtype), pooled.scale_tril[j] @ pooled.scale_tril[j].T
        own = _Block(settings.covariance, mean[k], n, S[k], shared, pooled.intensity[j])
        mean[k], covariance[k], share[k] = own.drawn_together()
    used, which = list(partition.sources), torch.full((K,), -1)
    which[used] = torch.arange(len(used))
    free = sum(free_parameters(apart(settings), len(block), d) for block in partition)
    intensity = pooled.intensity[pooled.which[used]]
    factor = torch.linalg.cholesky(covariance[used])
    return PartialSolution(Solution(mean, factor, intensity, which, free), share)


@dataclass(frozen=True)
class _Block:
    """The sources of a block before they are drawn together."""

    form: str  # of covariances
    mean: Tensor  # (K, d) of each source's rows
    n: Tensor  # (K,) their number
    S: Tensor  # (K, d, d) their covariances
    shared: Tensor  # (d, d) the covariance of the pooled fit
    intensity: Tensor  # (,) its shrinkage

    def drawn_together(self) -> tuple[Tensor, Tensor, Tensor]:
        """(K, d) means, (K, d, d) covariances of the density, (K, 2) shares of what is common."""
        known = self.form == "identity"
        lost = 0 if known else len(self.n)  # degrees of freedom that means took
        within = self.shared * (self.n.sum() / (self.n.sum() - lost).clamp(min=1))
        found, back = self._means(within)
        mean, share = found.mean @ back.T, found.share.mean(1)
        if known:
            return mean, within.expand_as(self.S), torch.stack([share, torch.ones_like(share)], 1)
        own, taken = self._covariances()
        covariance = own + (back * found.variance[:, None, :]) @ back.T
        return mean, covariance, torch.stack([share, taken], 1)

    def _means(self, within: Tensor) -> tuple[Effects, Tensor]:
        """The means in directions that vary independently, and (d, d) the way back from these."""
        L, v = torch.linalg.cholesky(within), 1 / self.n
        z = torch.linalg.solve_triangular(L, self.mean.T, upper=False).T
        U = directions(z, v) if self.form == "full" else torch.eye(z.shape[1], dtype=z.dtype)
        z = z @ U
        return random_effects(z, v, variances_between(z, v)), L @ U

    def _covariances(self) -> tuple[Tensor, Tensor]:
        """(K, d, d) E[Sigma_k], and (K,) the share in it of what is common."""
        A = self.S * self.n[:, None, None]
        scatters = Scatters(A, self.n - 1, self.form == "diagonal")
        return posterior(accounts(scatters, self.intensity))
