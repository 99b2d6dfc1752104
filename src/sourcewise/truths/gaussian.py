"""Gaussian truths: `x | y = k ~ N(mu_k, L_k L_k')`, and the paper's own (section 4.1).

The density and the sampler here also serve the Gaussian family, which estimates mu and L.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.gaps import patterns
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["GaussianTruth", "gaussian_log_prob", "gaussian_sample", "paper_gaussian"]

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
AT_ONCE = 2**21  # numbers of covariances of what is observed


def gaussian_log_prob(
    x: Tensor, y: Tensor, mean: Tensor, scale_tril: Tensor, which: Tensor | None = None
) -> Tensor:
    """Log density `-1/2 |L_y^-1 (x - mu_y)|^2 - log det L_y - d/2 log(2 pi)`.

    Coordinates that are NaN are not observed: the density is that of the others, exactly.

    Args:
        x: (B, d).
        y: (B,) source of each row.
        mean: mu, (K, d).
        scale_tril: L, (M, d, d) lower triangular.
        which: (K,) the L of each source; None: of all the only one, or each its own.

    Returns:
        (B,) natural log.
    """
    M = len(scale_tril)
    if which is None:
        which = torch.arange(len(mean)) if M > 1 else torch.zeros(len(mean), dtype=torch.int64)
    own = which[y]
    if not bool((gap := x.isnan()).any()):
        return _log_prob(x, y, mean, scale_tril, own) - x.shape[1] * HALF_LOG_2_PI
    return _observed_log_prob(x, y, mean, scale_tril, own, gap)


def _log_prob(x: Tensor, y: Tensor, mean: Tensor, scale_tril: Tensor, own: Tensor) -> Tensor:
    """The density (B,) less its constant, with the L of each row (B,)."""
    out, eye = x.new_empty(len(x)), torch.eye(x.shape[1], dtype=x.dtype)
    inverse = torch.linalg.solve_triangular(scale_tril, eye, upper=False)
    log_det = scale_tril.diagonal(dim1=1, dim2=2).log().sum(1)
    order = torch.argsort(own, stable=True)
    used, counts = torch.unique_consecutive(own[order], return_counts=True)
    parts = (x[order] - mean.index_select(0, y[order])).split(counts.tolist())
    factors = inverse.unbind()
    # One product for all rows of a covariance; there may be thousands of these.
    each = zip(used.tolist(), parts, strict=True)
    z = torch.cat([part @ factors[m].T for m, part in each]) if len(parts) else x  # (B, d)
    out[order] = -0.5 * (z * z).sum(1) - log_det[own[order]]
    return out


def _observed_log_prob(
    x: Tensor, y: Tensor, mean: Tensor, scale_tril: Tensor, own: Tensor, gap: Tensor
) -> Tensor:
    """The density of the observed coordinates, (B,): a marginal for each covariance and pattern.

    What is not observed is put at its mean, under a variance of 1 by itself: its factor is the
    constant alone.
    """
    d, covariance = x.shape[1], scale_tril @ scale_tril.mT
    out, eye = x.new_empty(len(x)), torch.eye(d, dtype=x.dtype)
    x = torch.where(gap, mean[y], x)
    missing, pattern = patterns(gap)
    pairs, pair = (own * len(missing) + pattern).unique(return_inverse=True)
    order = torch.argsort(pair, stable=True)
    ends = torch.bincount(pair).cumsum(0).tolist()
    start = 0
    for part in torch.arange(len(pairs)).split(max(1, AT_ONCE // (d * d))):
        rows = order[start : (start := ends[int(part[-1])])]
        seen = ~missing[pairs[part] % len(missing)]
        S = covariance[pairs[part] // len(missing)]
        S = torch.where(seen[:, :, None] & seen[:, None], S, eye)
        L = torch.linalg.cholesky(S)
        out[rows] = _log_prob(x[rows], y[rows], mean, L, pair[rows] - part[0])
    return out - (~gap).sum(1).to(out.dtype) * HALF_LOG_2_PI


def gaussian_sample(
    y: Tensor, mean: Tensor, scale_tril: Tensor, noise: Noise | ExampleNoise
) -> Tensor:
    """One draw `mu_y + L_y z` per entry of y: (B, d)."""
    z = noise.each(y).normal(mean.shape[1]).to(mean.dtype)
    if len(scale_tril) == 1:
        return mean[y] + z @ scale_tril[0].T
    return mean[y] + (scale_tril[y] @ z[..., None]).squeeze(-1)


@dataclass(frozen=True)
class GaussianTruth:
    """A known conditional Gaussian.

    Args:
        mean: mu, (K, d).
        scale_tril: L, lower Cholesky factor of the covariance, (K, d, d) or (1, d, d).
    """

    mean: Tensor
    scale_tril: Tensor

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """Log density of each row under its source, (B,)."""
        return gaussian_log_prob(x, y, self.mean, self.scale_tril)

    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """One draw per entry of y, (B, d)."""
        return gaussian_sample(y, self.mean, self.scale_tril, noise)


def paper_gaussian(K: int = 5, d: int = 10, d1: int = 5) -> GaussianTruth:
    """The paper's truth: `N([phi_k; psi], I_d)` with `phi_k = k 1` in R^d1, k = 1..K, `psi = 0`.

    >>> paper_gaussian(K=2, d=3, d1=1).mean.tolist()
    [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]
    """
    mean = torch.zeros(K, d, dtype=torch.float64)
    mean[:, :d1] = torch.arange(1, K + 1, dtype=torch.float64)[:, None]
    return GaussianTruth(mean, torch.eye(d, dtype=torch.float64)[None])
