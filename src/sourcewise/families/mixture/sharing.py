"""The M step: what the components of K sources share, and how closely.

All forms have weights pi_k of each source and covariances Sigma_j of the components, which the
sources share. Means come in three forms:

- `components`: mu_kj = mu_j. Sources differ in their weights alone.
- `offsets`: mu_kj = mu_j + delta_k. A shape is shared, and each source stands elsewhere.
- `means`: every mu_kj is free. With J = 1 this is the Gaussian of linear discriminant analysis.

Of offsets, mu given delta and delta given mu are each exact (a conditional maximisation: the
objective never falls), with P_j the inverse of Sigma_j and t the steps:

    t_j = sum_k u_kj / sum_k N_kj
    t_k = (sum_k N_kj P_j)^-1 sum_j P_j (u_kj - N_kj t_j)

*Partial pooling* draws what is a source's own towards what is shared: weights by a Dirichlet prior
alpha m, m the weights of all sources together, and means by normal priors N(m_j, Sigma_j / kappa),

    pi_kj = (N_kj + alpha m_j) / (n_k + alpha)
    mu_kj = (N_kj xbar_kj + kappa m_j) / (N_kj + kappa)

with the alpha and kappa under which the sources' numbers are likeliest (empirical Bayes):

    sum_k log Dirichlet-multinomial(N_k; alpha m)
    sum_kj log N(xbar_kj; m_j, (1 / kappa + 1 / N_kj) Sigma_j)
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.families.mixture.em import Fits, Prior, Sums, bounded, grouped
from sourcewise.families.mixture.settings import Means, Shape

__all__ = ["Form", "concentration", "maximised", "mean_rows"]

LADDER = torch.logspace(-2, 6, 65, dtype=torch.float64)  # of alpha and kappa
LEAST = 1e-12  # rows, below which a component of a source stays as it is
TINY = 1e-300  # a weight whose logarithm is a number: products with 0 must stay 0


@dataclass(frozen=True)
class Form:
    """The form of a mixture.

    Args:
        means: what the sources' means share.
        shape: of covariances; tied: all components have one.
        partial: whether what is not shared is drawn towards what is.
    """

    means: Means = "components"
    shape: Shape = "full"
    partial: bool = False


def maximised(fits: Fits, sums: Sums, prior: Prior, form: Form) -> Fits:
    """The M step."""
    mean, kappa = _means(fits, sums, form)
    step = mean - fits.mean
    cross = sums.first[..., :, None] * step[..., None, :]
    own = sums.count[..., None, None]
    scatter = sums.second - cross - cross.mT + own * step[..., :, None] * step[..., None, :]
    scatter, rows = grouped(scatter, fits.G), grouped(sums.count, fits.G)
    if kappa is not None:  # the normal priors of means speak of covariances too
        apart = mean - mean.mean(1, keepdim=True)
        drawn = (apart[..., :, None] * apart[..., None, :]).sum(1, keepdim=True)
        scatter, rows = scatter + kappa[:, None, None, None, None] * drawn, rows + mean.shape[1]
    covariance = _covariances(scatter, rows, prior, form.shape)
    return Fits(_log_weights(sums.count, form), mean, covariance)


def _means(fits: Fits, sums: Sums, form: Form) -> tuple[Tensor, Tensor | None]:
    """(S, K, J, D), and (S,) kappa where means are drawn to each other."""
    count = sums.count.clamp(min=LEAST)[..., None]
    if fits.G > 1 or fits.mean.shape[1] == 1:
        return fits.mean + sums.first / count, None
    if form.means != "means":
        step = sums.first.sum(1, keepdim=True) / count.sum(1, keepdim=True)
        if form.means == "components":
            return fits.mean + step, None
        rest = sums.first - sums.count[..., None] * step
        return fits.mean + step + _offsets(fits, sums.count, rest), None
    own = fits.mean + sums.first / count
    if not form.partial:
        return own, None
    center = fits.mean.mean(1, keepdim=True)
    kappa = mean_rows(own - center, count[..., 0], fits.covariance[:, 0])
    return center + count / (count + kappa[:, None, None, None]) * (own - center), kappa


def _offsets(fits: Fits, count: Tensor, rest: Tensor) -> Tensor:
    """(S, K, 1, D) t_k."""
    P = torch.cholesky_inverse(torch.linalg.cholesky(fits.covariance))
    weight = (count[..., None, None] * P).sum(2)
    pull = (P @ rest[..., None]).sum(2)
    eye = LEAST * torch.eye(P.shape[-1], dtype=P.dtype)
    return torch.linalg.solve(weight + eye, pull)[..., 0][:, :, None]


def _covariances(scatter: Tensor, rows: Tensor, prior: Prior, shape: Shape) -> Tensor:
    """(S, G, J, D, D)."""
    J = rows.shape[2]
    if shape == "tied":
        scatter, rows = scatter.sum(2, keepdim=True), rows.sum(2, keepdim=True)
    nu = prior.rows[:, :, None] * (J if shape == "tied" else 1)
    whole = scatter + nu[..., None, None] * prior.target[:, :, None]
    covariance = whole / (rows + nu).clamp(min=LEAST)[..., None, None]
    if shape == "diagonal":
        variances = covariance.diagonal(dim1=-2, dim2=-1).maximum(prior.floor)
        return torch.diag_embed(variances)
    covariance = bounded(0.5 * (covariance + covariance.mT), prior.floor)
    return covariance.expand(-1, -1, J, -1, -1)


def _log_weights(count: Tensor, form: Form) -> Tensor:
    """(S, K, J)."""
    rows, whole = count.sum(2, keepdim=True), count.sum(1, keepdim=True)
    shared = whole / whole.sum(2, keepdim=True).clamp(min=LEAST)
    if not form.partial or count.shape[1] == 1 or count.shape[2] == 1:
        own = torch.where(rows > 0, count / rows.clamp(min=LEAST), shared)
        return own.clamp(min=TINY).log()
    alpha = concentration(count, shared[:, 0])[:, None, None]
    return ((count + alpha * shared) / (rows + alpha)).clamp(min=TINY).log()


def concentration(count: Tensor, shared: Tensor) -> Tensor:
    """(S,) alpha of the Dirichlet prior under which counts are likeliest.

    Args:
        count: (S, K, J) of each source; responsibilities count in part.
        shared: m, (S, J).
    """
    base = LADDER[:, None, None, None] * shared.clamp(min=LEAST)[:, None]  # (A, S, 1, J)
    each = (torch.lgamma(base + count) - torch.lgamma(base)).sum(-1)
    alpha, rows = LADDER[:, None, None], count.sum(2)
    scores = (each + torch.lgamma(alpha) - torch.lgamma(alpha + rows)).sum(2)
    return LADDER[scores.argmax(0)]


def mean_rows(apart: Tensor, count: Tensor, covariance: Tensor) -> Tensor:
    """(S,) kappa, the rows that a shared mean counts for, under which means are likeliest.

    Args:
        apart: (S, K, J, D) of the sources' means from the shared ones.
        count: (S, K, J) rows that they are means of.
        covariance: (S, J, D, D).
    """
    L = torch.linalg.cholesky(covariance)[:, None]
    squares = (
        torch.linalg.solve_triangular(L, apart[..., None], upper=False).square().sum((-2, -1))
    )
    spread = 1 / LADDER[:, None, None, None] + 1 / count
    known = count > 1e-3  # of a component that a source hardly has, nothing is learnt
    each = apart.shape[-1] * spread.log() + squares / spread
    scores = torch.where(known, each, 0.0).sum((-2, -1))
    return LADDER[scores.argmin(0)]
