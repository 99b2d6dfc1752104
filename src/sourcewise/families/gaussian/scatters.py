"""What sources have in common in their covariances, and what each takes from that.

The scatter A_k about a source's mean has f_k = n_k - 1 degrees of freedom:

    A_k | Sigma_k ~ Wishart(f_k, Sigma_k),   Sigma_k ~ inverse Wishart(m, nu C),   m = nu + d + 1

C is the covariance that sources have in common, E[Sigma_k], and counts as nu rows:

    E[Sigma_k | A_k] = (nu C + A_k) / (nu + f_k)

How likely nu is has a closed form in the eigenvalues l_ki of A_k in units of C (Chen, "Bayesian
inference for a normal dispersion matrix and its application to stochastic multiple regression
analysis", 1979), G being the multivariate gamma function:

    log p(A | C, nu) = sum_k [log G((m + f_k)/2) - log G(m/2) + m d/2 log nu - f_k/2 log det C
                              - (m + f_k)/2 sum_i log(nu + l_ki)] + constant

C starts as the covariance of all sources, and becomes likelier by steps of expectation and
maximisation (Dempster, Laird and Rubin, 1977), in which nu is renewed:

    (nu C)^-1 <- 1/K sum_k (m + f_k)/m (nu C + A_k)^-1

Variances. One nu cannot tell sources that differ in scale alone from those that differ in all. So
there is a second account: the log variances s_ki of each column are random effects like the means
(`effects`; their sampling variance is the trigamma function of f_k / 2), and what is said above
holds of D_k^-1 A_k D_k^-1, D_k = exp(s_k / 2). That scales were fitted costs, by Laplace's method,

    sum_ki [(s_ki - s_i)^2 / 2t_i + 1/2 log(1 + t_i / (2/f_k + 2/m)) + f_k/2 s_ki] + d/2 log K

(its last term: t_i was fitted too; Schwarz, "Estimating the dimension of a model", 1978).

The posterior mean is averaged over both accounts and a ladder of nu, weighed by how likely each
is: few sources tell neither well. Diagonal covariances are d variances in these formulas, each
with d = 1, of one nu.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from sourcewise.families.gaussian.effects import random_effects, variances_between

__all__ = ["Account", "Scatters", "accounts", "posterior"]

STRENGTHS = tuple(2.0**i for i in range(-2, 21))  # rows that C may count as
NUMBERS = 2**12  # that are taken together
STEPS = 10  # of expectation and maximisation
SMALLEST = 1e-6  # variance of a source, in units of that of all
UNKNOWN = 1e12  # sampling variance of what a source says nothing of


@dataclass(frozen=True)
class Scatters:
    """Scatters of the rows of K sources about their means.

    Args:
        A: `sum (x - xbar)(x - xbar)'`, (K, d, d).
        f: their degrees of freedom, (K,).
        diagonal: whether they are d variances each.
    """

    A: Tensor
    f: Tensor
    diagonal: bool = False

    @property
    def pooled(self) -> Tensor:
        """(d, d) the covariance of all."""
        return self.A.sum(0) / self.f.sum().clamp(min=1)

    def scaled(self, scale: Tensor) -> "Scatters":
        """In units (K, d)."""
        return replace(self, A=self.A / (scale[:, :, None] * scale[:, None, :]))

    def shrunk(self, a: Tensor) -> "Scatters":
        """`(1 - a) A_k + a f_k T`, T the diagonal of the covariance of all."""
        target = torch.diag_embed(self.pooled.diagonal())
        return replace(self, A=(1 - a) * self.A + a * self.f[:, None, None] * target)

    def log_likely(self, common: Tensor) -> Tensor:
        """(G,) log p(A | C, nu) of each of `STRENGTHS`, less a constant; C is (d, d)."""
        values, log_det = self._values(common)
        most = max(1, NUMBERS // values.numel())
        some = (v[:, None] + values[:, None] for v in self._strengths.split(most))  # (K, G, d)
        logs = torch.cat([each.log().sum(2) for each in some], 1)
        first, rows = self._sizes
        return (first - rows * logs).sum(0) - self.f.sum() / 2 * log_det

    @cached_property
    def _strengths(self) -> Tensor:
        """(G,) nu."""
        return self.A.new_tensor(STRENGTHS)

    @cached_property
    def _sizes(self) -> tuple[Tensor, Tensor]:
        """(K, G) what numbers of rows alone say in `log_likely`, and (K, G) `(m + f) / 2`."""
        nu, f, d = self._strengths, self.f[:, None], self.A.shape[1]
        size, copies = (1, d) if self.diagonal else (d, 1)
        m = nu + size + 1
        gammas = _multigamma((m + f) / 2, size) - _multigamma(m / 2, size)
        return copies * (gammas + m * size / 2 * nu.log()), (m + f) / 2

    def _values(self, common: Tensor) -> tuple[Tensor, Tensor]:
        """(K, d) the eigenvalues of A_k in units of C, and log det C."""
        if self.diagonal:
            scale = common.diagonal()
            return self.A.diagonal(dim1=1, dim2=2) / scale, scale.log().sum()
        L = torch.linalg.cholesky(common)
        half = torch.linalg.solve_triangular(L, self.A, upper=False)
        whole = torch.linalg.solve_triangular(L, half.mT, upper=False)
        return torch.linalg.eigvalsh(whole).clamp(min=0), 2 * L.diagonal().log().sum()


@dataclass(frozen=True)
class Account:
    """One account of how the covariances of K sources differ.

    Args:
        scatters: of rows in units of the sources' scales.
        common: C, (d, d).
        scale: D, (K, d).
        cost: (G,) of fitted scales, for each of `STRENGTHS`.
    """

    scatters: Scatters
    common: Tensor
    scale: Tensor
    cost: Tensor

    @property
    def log_likely(self) -> Tensor:
        """(G,) of each of `STRENGTHS`."""
        return self.scatters.log_likely(self.common) - self.cost


def accounts(scatters: Scatters, a: Tensor) -> list[Account]:
    """Both accounts: without scales, and with them.

    Args:
        scatters: of the rows.
        a: the share of its diagonal that the covariance of all is shrunk by; C is had likewise.
    """
    none = scatters.f.new_zeros(len(STRENGTHS))
    plain = Account(scatters, _common(scatters.shrunk(a)), torch.ones_like(scatters.A[:, 0]), none)
    known = scatters.f >= 1
    if int(known.sum()) < 2:
        return [plain]
    scale, cost = _scales(scatters, known)
    scaled = scatters.scaled(scale)
    return [plain, Account(scaled, _common(scaled.shrunk(a)), scale, cost)]


def _scales(scatters: Scatters, known: Tensor) -> tuple[Tensor, Tensor]:
    """(K, d) D, and (G,) what it costs; sources that are not known (K,) take the common ones."""
    f, variances = scatters.f[:, None], scatters.pooled.diagonal()
    own = scatters.A.diagonal(dim1=1, dim2=2) / f.clamp(min=1) / variances
    half = scatters.f.clamp(min=1) / 2
    s = own.clamp(min=SMALLEST).log() - (torch.digamma(half) - half.log())[:, None]
    v = torch.where(known, torch.polygamma(1, half), UNKNOWN)
    t = variances_between(s[known], v[known])
    found = random_effects(s, v, t)
    m = s.new_tensor(STRENGTHS) + (1 if scatters.diagonal else len(t)) + 1
    error = (2 / f[known] + 2 / m)[:, None, :]  # (K, 1, G)
    fitted = (1 + t[:, None] / error).log().sum((0, 1)) / 2
    spreads = len(t) / 2 * math.log(int(known.sum()))  # d variances t of K sources, by BIC
    cost = found.unlikely.sum() + (f / 2 * found.mean).sum() + fitted + spreads
    return (found.mean / 2).exp(), cost


def _common(scatters: Scatters) -> Tensor:
    """(d, d) C: see the module."""
    common, f = scatters.pooled, scatters.f[:, None, None]
    logs, eye = f.new_tensor(STRENGTHS).log(), torch.eye(len(common), dtype=f.dtype)
    for _ in range(STEPS):
        nu = (scatters.log_likely(common).softmax(0) * logs).sum().exp()
        m = nu + (1 if scatters.diagonal else len(common)) + 1
        inverse = torch.linalg.solve(nu * common + scatters.A, eye.expand_as(scatters.A))
        common = torch.linalg.inv(((m + f) / m * inverse).mean(0)) / nu
        common = (common + common.T) / 2
    return common


def posterior(found: Sequence[Account]) -> tuple[Tensor, Tensor]:
    """(K, d, d) E[Sigma_k | A_k], and (K,) the share in it of what sources have in common."""
    likely = torch.stack([account.log_likely for account in found])
    likely = likely.flatten().softmax(0).view_as(likely)
    first = found[0].scatters
    nu = likely.new_tensor(STRENGTHS)
    one = likely[:, None] / (nu + first.f[:, None])  # (accounts, K, G)
    share, own = (one * nu).sum(2), one.sum(2)
    total = torch.zeros_like(first.A)
    for account, a, b in zip(found, share, own, strict=True):
        units = account.scale[:, :, None] * account.scale[:, None, :]
        A = account.scatters.A
        total += (a[:, None, None] * account.common + b[:, None, None] * A) * units
    return total, share.sum(0)


def _multigamma(a: Tensor, size: int) -> Tensor:
    """log G(a) of size x size matrices, less a constant."""
    return torch.lgamma(a[..., None] - torch.arange(size, dtype=a.dtype) / 2).sum(-1)
