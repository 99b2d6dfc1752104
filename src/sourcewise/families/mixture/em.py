"""EM for S mixtures of Gaussians at once: of K sources, with exact steps.

    p(z | y = k) = sum_j pi_kj N(z; mu_kj, Sigma_j)

*E step.* With the parameters at hand, `r_ij` is proportional to `pi_kj N(z_i; mu_kj, Sigma_j)`.
Of a row with gaps the density is that of its observed columns o, and what M asks of the others is
their conditional mean and covariance. With P the inverse of `Sigma_oo` in its place (0 elsewhere),

    A = Sigma P,   E(z - mu | z_o) = A (z - mu)_o,   Cov(z | z_o) = Sigma - Sigma P Sigma

*M step.* See `sharing`. It maximises the likelihood and the prior of covariances,

    log p(Sigma_j) = -nu/2 (log det Sigma_j + tr(Sigma_j^-1 T))

so that `Sigma_j = (scatter_j + nu T) / (N_j + nu)`: T counts for nu rows. Covariances are bounded
below by the floor f (D,): all eigenvalues of `diag(f)^-1/2 Sigma diag(f)^-1/2` are 1 or more,
which clipping them maximises exactly. No step lowers the objective. (Dempster, Laird and Rubin,
1977; of gaps Ghahramani and Jordan, 1994; of bounds Ingrassia, 2004; of the prior Fraley and
Raftery, 2007.)

Covariances come in G groups of sources: G = 1 where the K sources share them; G = K where each has
its own, so that the K mixtures, of which nothing is shared, are fitted side by side.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.families.mixture.pieces import Pieces, quadratic, symmetric

__all__ = ["Fits", "Prior", "Sums", "bounded", "expect", "grouped", "log_densities"]

NUMBERS = 1 << 22  # of responsibilities that are held at once
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Fits:
    """S mixtures of J components of K sources in D columns.

    Args:
        log_weight: log pi, (S, K, J).
        mean: mu, (S, K, J, D).
        covariance: Sigma, (S, G, J, D, D), G = 1 or K.
    """

    log_weight: Tensor
    mean: Tensor
    covariance: Tensor

    @property
    def S(self) -> int:
        """How many."""
        return self.mean.shape[0]

    @property
    def J(self) -> int:
        """Components of each."""
        return self.mean.shape[2]

    @property
    def G(self) -> int:
        """Groups of sources with the same covariances."""
        return self.covariance.shape[1]

    def take(self, index: Tensor) -> "Fits":
        """Some of the S."""
        return Fits(self.log_weight[index], self.mean[index], self.covariance[index])

    def source(self, k: int) -> "Fits":
        """Those of one source, where nothing is shared."""
        at = slice(k, k + 1)
        return Fits(self.log_weight[:, at], self.mean[:, at], self.covariance[:, at])

    def where(self, better: Tensor, others: "Fits") -> "Fits":
        """Those of others where `better` (S, G) says so."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return Fits(*(torch.where(_as(better, a), b, a) for a, b in pairs))


def _as(mask: Tensor, v: Tensor) -> Tensor:
    """A mask (S, G) for values (S, K, ...)."""
    return mask.view(*mask.shape, *[1] * (v.ndim - 2))


@dataclass(frozen=True)
class Prior:
    """What draws covariances.

    Args:
        rows: nu, (S, G).
        target: T, (S, G, D, D).
        floor: f, (D,) the least variances.
    """

    rows: Tensor
    target: Tensor
    floor: Tensor


@dataclass(frozen=True)
class Sums:
    """Sums over rows of each source and component, weighed by responsibilities.

    Args:
        count: N, (S, K, J).
        first: u, (S, K, J, D), of deviations from the means that the responsibilities are of.
        second: U, (S, K, J, D, D), of their products.
        inside: (S, G) log-likelihood of the rows that fits are fitted to.
        outside: (S, G) of the others.
        prior: (S, G) of covariances, without what no parameter changes.
    """

    count: Tensor
    first: Tensor
    second: Tensor
    inside: Tensor
    outside: Tensor
    prior: Tensor

    @property
    def objective(self) -> Tensor:
        """(S, G) what no step lowers."""
        return self.inside + self.prior

    def where(self, better: Tensor, others: "Sums") -> "Sums":
        """Those of others where `better` (S, G) says so."""
        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return Sums(*(torch.where(_as(better, a), b, a) for a, b in pairs))


def grouped(v: Tensor, G: int) -> Tensor:
    """(S, G, ...) sums over the sources of each group, of (S, K, ...)."""
    return v.sum(1, keepdim=True) if G == 1 else v


@dataclass(frozen=True)
class _Inverses:
    """What of covariances densities need, for each of E patterns of gaps (and groups).

    Args:
        P: (E, S, J, D, D) inverses of observed blocks, in their place.
        log_det: (E, S, J) of the blocks.
        key: (U,) which of them each pair of source and pattern has.
        covariance: (E, S, J, D, D) the whole.
    """

    P: Tensor
    log_det: Tensor
    key: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, fits: Fits, pieces: Pieces) -> "_Inverses":
        if fits.G == 1:
            covariance = fits.covariance[:, 0].expand(len(pieces.observed), -1, -1, -1, -1)
            observed, key = pieces.observed, pieces.pattern
        else:
            covariance = fits.covariance.transpose(0, 1)[pieces.source]
            observed, key = pieces.observed[pieces.pattern], torch.arange(len(pieces.source))
        if pieces.whole:
            L = torch.linalg.cholesky(covariance)
            P = torch.cholesky_inverse(L)
        else:
            seen = observed.to(covariance.dtype)
            both = (seen[:, :, None] * seen[:, None, :])[:, None, None]
            L = torch.linalg.cholesky(
                covariance * both + torch.diag_embed(1 - seen)[:, None, None]
            )
            P = torch.cholesky_inverse(L) * both
        log_det = 2 * L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return cls(P, log_det, key, covariance)


def _coefficients(fits: Fits, pieces: Pieces, inverses: _Inverses, given: int) -> Tensor:
    """(U, S J, F) of `log pi_kj + log N` in the features of rows, for each pair.

    Of the last `given` columns the density is taken off: what is left is that of the others.
    """
    P, log_det = inverses.P, inverses.log_det
    D, columns = pieces.D, pieces.observed.sum(1).to(P.dtype)
    if given:
        L = torch.linalg.cholesky(inverses.covariance[..., D - given :, D - given :])
        P = P.clone()
        P[..., D - given :, D - given :] -= torch.cholesky_inverse(L)
        log_det = log_det - 2 * L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        columns = columns - given
    key, k = inverses.key, pieces.source
    mu = fits.mean.transpose(0, 1)[k]  # (U, S, J, D)
    linear = (P[key] @ mu[..., None])[..., 0]
    normal = log_det[key] + (linear * mu).sum(-1) + columns[pieces.pattern, None, None] * LOG_2PI
    constant = fits.log_weight.transpose(0, 1)[k] - 0.5 * normal
    parts = [constant[..., None], linear, quadratic(P)[key]]
    return torch.cat(parts, -1).flatten(1, 2)


def _chunks(pieces: Pieces, T: int) -> Iterator[slice]:
    """Pieces that are worked on together."""
    B, L = pieces.row.shape
    step = max(1, NUMBERS // (L * T))
    yield from (slice(start, start + step) for start in range(0, B, step))


def log_densities(fits: Fits, pieces: Pieces, given: int = 0) -> Tensor:
    """(n, S) log densities of rows, NaN of rows in no piece; of the other columns given some.

    Args:
        fits: S mixtures.
        pieces: the rows.
        given: number of columns, the last, that are conditioned on.
    """
    theta = _coefficients(fits, pieces, _Inverses.of(fits, pieces), given)
    out = theta.new_full((pieces.n, fits.S), torch.nan)
    for at in _chunks(pieces, fits.S * fits.J):
        row = pieces.row[at]
        each = (theta[pieces.pair[at]] @ pieces.features[at].mT).unflatten(1, (fits.S, fits.J))
        out[row[row >= 0]] = each.logsumexp(2).mT[row >= 0]
    return out


def expect(
    fits: Fits, pieces: Pieces, inside: Tensor, prior: Prior | None = None, given: int = 0
) -> Sums:
    """The E step, and what M asks of it.

    Args:
        fits: S mixtures.
        pieces: the rows.
        inside: (B, S, L) 1 for the rows that each is fitted to, otherwise 0.
        prior: of covariances.
        given: number of columns, the last, that are conditioned on.
    """
    S, K, J, _ = fits.mean.shape
    inverses = _Inverses.of(fits, pieces)
    theta = _coefficients(fits, pieces, inverses, given)
    sums = torch.zeros_like(theta)
    likelihood = theta.new_zeros(2, K, S)
    for at in _chunks(pieces, S * J):
        rows, pair, w = pieces.features[at], pieces.pair[at], inside[at]
        r = (theta[pair] @ rows.mT).unflatten(1, (S, J))  # (b, S, J, L)
        top = r.amax(2, keepdim=True)
        total = r.sub_(top).exp_().sum(2)
        value = (total.log() + top[:, :, 0]) * rows[:, None, :, 0]
        own = (value * w).sum(2)
        rest = value.sum(2) - own
        for out, v in zip(likelihood, (own, rest), strict=True):
            out.index_add_(0, pieces.source[pair], v)
        r *= (w / total)[:, :, None]
        sums.index_add_(0, pair, r.flatten(1, 2) @ rows)
    found = _completed(fits, pieces, inverses, sums.unflatten(1, (S, J)))
    own, rest = (grouped(v.T, fits.G) for v in likelihood)
    return Sums(*found, own, rest, _log_prior(fits, pieces, inverses, prior))


def _log_prior(fits: Fits, pieces: Pieces, inverses: _Inverses, prior: Prior | None) -> Tensor:
    """(S, G) `sum_j log p(Sigma_j)`."""
    if prior is None:
        return fits.mean.new_zeros(fits.S, fits.G)
    if pieces.whole and (fits.G == 1 or len(inverses.P) == fits.G):
        P, log_det = inverses.P.transpose(0, 1), inverses.log_det.transpose(0, 1)
    else:
        L = torch.linalg.cholesky(fits.covariance)
        P = torch.cholesky_inverse(L)
        log_det = 2 * L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    traces = (P * prior.target[:, :, None]).sum((-2, -1))
    return -0.5 * prior.rows * (log_det + traces).sum(2)


def _completed(
    fits: Fits, pieces: Pieces, inverses: _Inverses, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums (U, S, J, F) of pairs as those of sources, about the means, gaps expected."""
    K, D = fits.mean.shape[1], fits.mean.shape[3]
    k, mu = pieces.source, fits.mean.transpose(0, 1)[pieces.source]
    if not pieces.whole:
        mu = mu * pieces.observed[pieces.pattern].to(mu.dtype)[:, None, None]
    N, s = sums[..., 0], sums[..., 1 : 1 + D]
    u = s - N[..., None] * mu
    U = symmetric(sums[..., 1 + D :], D)
    U = U - s[..., :, None] * mu[..., None, :] - mu[..., :, None] * u[..., None, :]
    if not pieces.whole:
        A = inverses.covariance @ inverses.P
        rest = (inverses.covariance - A @ inverses.covariance)[inverses.key]
        A = A[inverses.key]
        u = (A @ u[..., None])[..., 0]
        U = A @ U @ A.mT + N[..., None, None] * rest
    if len(k) != K or not torch.equal(k, torch.arange(K)):
        N, u, U = (v.new_zeros(K, *v.shape[1:]).index_add_(0, k, v) for v in (N, u, U))
    return N.transpose(0, 1), u.transpose(0, 1), U.transpose(0, 1)


def bounded(covariance: Tensor, floor: Tensor) -> Tensor:
    """(..., D, D) with the eigenvalues of `diag(f)^-1/2 Sigma diag(f)^-1/2` at 1 or above."""
    # Most are far above: a Cholesky factor of what is left tells at a tenth of the cost.
    failed = torch.linalg.cholesky_ex(covariance - torch.diag(floor))[1] != 0
    if not bool(failed.any()):
        return covariance
    scale = floor.sqrt()
    outer = scale[:, None] * scale
    values, vectors = torch.linalg.eigh(covariance[failed] / outer)
    raised = (vectors * values.clamp(min=1.0)[..., None, :]) @ vectors.mT
    out = covariance.clone()
    out[failed] = raised * outer
    return out
