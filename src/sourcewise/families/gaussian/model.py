"""Conditional Gaussians (section 4.1 of the paper), fitted exactly by maximum likelihood.

    x | y = k ~ N([phi_k; psi], Sigma_k),   phi_k in R^d1,  psi in R^(d - d1)

The sources of a block share psi and, unless each has its own, Sigma. With `W = sum_k n_k S_k / n`
the pooled covariance within sources and `xbar_k = [a_k; b_k]` the sources' means, the maximum of
the likelihood is, for one shared Sigma,

    psi = bbar (mean over all rows),   phi_k = a_k - B (b_k - psi),   B = W_12 W_22^-1,
    Sigma = W + sum_k (n_k / n) (xbar_k - mu_k)(xbar_k - mu_k)'

(given x_2, the rest is a regression with an intercept per source; x_2 itself has one mean). With a
diagonal or identity Sigma, B = 0. With own full covariances there is no closed form: psi and the
Sigma_k are improved in turn, each step exact, until psi stands still.

Shrinkage replaces the covariance S by `(1 - a) S + a tr(S)/d I`; `ledoit-wolf` estimates a (Ledoit
and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004).
"""

from typing import ClassVar

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError, listing
from sourcewise.families.base import BatchNoise, ConditionalModel, Density, Diagnostic
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.truths.gaussian import gaussian_log_prob, gaussian_sample

__all__ = ["Gaussian", "ledoit_wolf_intensity"]


class Gaussian(ConditionalModel):
    """`N(mu_y, L_y L_y')` with exact maximum-likelihood (or shrunk) parameters.

    Args:
        settings: what is shared, and the form of the covariance.
        K: number of sources.
        d: number of variables.

    Attributes:
        mean: mu, (K, d).
        scale_tril: L, (K, d, d), or (1, d, d) if the covariance is shared.
        intensity: shrinkage a, (K,) or (1,).
    """

    recipe: ClassVar[str] = "exact"
    mean: Tensor
    scale_tril: Tensor
    intensity: Tensor

    def __init__(self, settings: GaussianSettings, *, K: int, d: int):
        super().__init__()
        self.settings, self.K, self.d = settings, K, d
        named = {"all": d, "none": 0}
        given = settings.specific
        self.d1 = given if isinstance(given, int) else named[given]
        if self.d1 > d:
            raise InputError(f"setting specific: at most the {d} columns, not {settings.specific}")
        self.shares = settings.shared_covariance or settings.covariance == "identity"
        M = 1 if self.shares else K
        self.register_buffer("mean", torch.zeros(K, d, dtype=torch.float64))
        self.register_buffer("scale_tril", torch.eye(d, dtype=torch.float64).repeat(M, 1, 1))
        self.register_buffer("intensity", torch.zeros(M, dtype=torch.float64))

    @property
    def free_parameters(self) -> int:
        """`K d1 + (d - d1)` means, and the covariances' entries."""
        entries = {"identity": 0, "diagonal": self.d, "full": self.d * (self.d + 1) // 2}
        covariances = 1 if self.shares else self.K
        means = self.K * self.d1 + self.d - self.d1
        return means + covariances * entries[self.settings.covariance]

    def diagnostics(self) -> list[Diagnostic]:
        """The shrinkage intensity of each covariance, and how it shrinks if that is `auto`."""
        s, out = self.settings, []
        if self.penalty:
            out.append(Diagnostic("shrinkage", tuple(self.intensity.tolist())))
        if s.shrinkage == "auto":
            out.append(Diagnostic("shrinkage", (s.resolved_shrinkage,), setting=True))
        return out

    @property
    def penalty(self) -> str:
        """Shrinkage, if there is any."""
        return "" if self.settings.resolved_shrinkage == "none" else "shrinkage"

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of each row (B, d) under its source; gaps (NaN) are left out."""
        return Density(gaussian_log_prob(batch.tensor, batch.y, self.mean, self.scale_tril))

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """Minus the log density, (B,)."""
        return -gaussian_log_prob(batch.tensor, batch.y, self.mean, self.scale_tril)

    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """One draw per entry of y, (B, d)."""
        return gaussian_sample(y, self.mean, self.scale_tril, noise)

    @torch.no_grad()
    def fit_exactly(self, rows: Batch, names: tuple[str, ...]) -> None:
        """Set mean, covariance and shrinkage from all rows.

        Args:
            rows: (n, d) training rows and their sources.
            names: the K sources' names, for messages.

        Raises:
            InputError: a source without rows, or a singular covariance, with the remedy.
        """
        x, y = rows.tensor, rows.y
        counts = torch.bincount(y, minlength=self.K)
        if (counts == 0).any():
            empty = names[int((counts == 0).nonzero()[0])]
            raise InputError(f"source {empty!r} has no training rows: no mean can be estimated")
        means = torch.zeros(self.K, self.d, dtype=x.dtype).index_add_(0, y, x) / counts[:, None]
        self.mean.copy_(self._means(x, y, means, counts))
        if self.settings.covariance == "identity":
            return
        for k in range(len(self.scale_tril)):
            own = slice(None) if self.shares else (y == k).nonzero().squeeze(1)
            residuals = x[own] - self.mean.index_select(0, y[own])
            who = f"sources {listing(names, 3)}" if self.shares and self.K > 1 else repr(names[k])
            covariance, self.intensity[k] = self._covariance(residuals)
            self.scale_tril[k] = _cholesky(covariance, who, len(residuals), self._remedies())

    def _means(self, x: Tensor, y: Tensor, means: Tensor, counts: Tensor) -> Tensor:
        """(K, d) maximum-likelihood means; `means` are the sources' own."""
        d1 = self.d1
        if d1 == self.d:
            return means
        if not self.shares and self.K > 1:
            return self._alternate(x, y, means, counts)
        psi = x[:, d1:].mean(0)
        mu = means.clone()
        mu[:, d1:] = psi
        if self.settings.covariance == "full" and d1 > 0 and self.K > 1:
            residuals = x - means[y]
            W = residuals.T @ residuals / len(x)
            B = _regression(W, d1)
            mu[:, :d1] = means[:, :d1] - (means[:, d1:] - psi) @ B.T
        return mu

    def _alternate(self, x: Tensor, y: Tensor, means: Tensor, counts: Tensor) -> Tensor:
        """Shared psi under own covariances: psi given the Sigma_k, and the Sigma_k given psi."""
        d1, full = self.d1, self.settings.covariance == "full"
        own = torch.stack(
            [torch.cov(x[y == k].T, correction=0).reshape(self.d, self.d) for k in range(self.K)]
        )
        own = own if full else torch.diag_embed(own.diagonal(dim1=1, dim2=2))
        psi = x[:, d1:].mean(0)
        for _ in range(1000):
            gap = means[:, d1:] - psi  # (K, d - d1)
            block = own[:, d1:, d1:] + gap[:, :, None] * gap[:, None, :]
            block = block if full else torch.diag_embed(block.diagonal(dim1=1, dim2=2))
            weights = counts[:, None, None] * torch.linalg.pinv(block)
            moved = torch.linalg.solve(
                weights.sum(0), (weights @ means[:, d1:, None]).sum(0)
            ).squeeze(1)
            step, psi = (moved - psi).abs().max(), moved
            if step < 1e-12:
                break
        mu = means.clone()
        mu[:, d1:] = psi
        if full and d1 > 0:
            B = torch.stack([_regression(own[k], d1) for k in range(self.K)])
            gap = (means[:, d1:] - psi)[:, :, None]
            mu[:, :d1] = means[:, :d1] - (B @ gap).squeeze(2)
        return mu

    def _remedies(self) -> str:
        """What helps where a covariance is singular, and is not in force."""
        now = self.settings.resolved_shrinkage
        stronger = {"none": "ledoit-wolf", "ledoit-wolf": "0.1"}.get(str(now))
        ways = [f"--set shrinkage={stronger}"] if stronger else []
        ways += ["--set covariance=diagonal"] if self.settings.covariance == "full" else []
        return ", ".join([*ways, f"{'or ' * bool(ways)}leave dependent columns out (--ignore)"])

    def _covariance(self, residuals: Tensor) -> tuple[Tensor, float]:
        """The (shrunk) covariance (d, d) of residuals (n, d), and the intensity used."""
        S = residuals.T @ residuals / len(residuals)
        diagonal = self.settings.covariance == "diagonal"
        S = torch.diag(S.diagonal()) if diagonal else S
        a = self.settings.resolved_shrinkage
        if a == "none":
            return S, 0.0
        if a == "ledoit-wolf":
            a = ledoit_wolf_intensity(residuals, S, diagonal)
        target = S.trace() / self.d * torch.eye(self.d, dtype=S.dtype)
        return (1 - a) * S + a * target, float(a)


def _regression(S: Tensor, d1: int) -> Tensor:
    """`S_12 S_22^-1`: the regression of the first d1 coordinates on the others."""
    return torch.linalg.lstsq(S[d1:, d1:], S[d1:, :d1]).solution.T


def ledoit_wolf_intensity(residuals: Tensor, S: Tensor, diagonal: bool = False) -> float:
    """The shrinkage intensity that minimises the expected squared (Frobenius) error, estimated.

    `a = min(b, e) / e`, `e = |S - m I|^2`, `b = sum_i |r_i r_i' - S|^2 / n^2`, `m = tr(S)/d`.

    Args:
        residuals: r, (n, d), centred.
        S: their covariance `r'r/n`, (d, d).
        diagonal: S is diagonal; only diagonal entries count.
    """
    n, d = residuals.shape
    squares = residuals.square()
    fourth = squares.square().sum() if diagonal else squares.sum(1).square().sum()
    spread = (fourth / n - S.square().sum()) / n
    m = S.trace() / d
    error = S.square().sum() - d * m * m
    return float(torch.clamp(spread / error, 0, 1)) if error > 0 else 1.0


def _cholesky(covariance: Tensor, who: str, n: int, remedies: str) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(covariance)
    pivots = factor.diagonal()
    # A pivot is what a variable adds to those before it, on the scale of its own deviation.
    scales = covariance.diagonal().clamp(min=0).sqrt()
    if failed or not bool((pivots > 1e-7 * scales).all()) or not bool((scales > 0).all()):
        raise InputError(
            f"the covariance of {who} is singular (n = {n}, d = {len(covariance)}): {remedies}"
        )
    return factor
