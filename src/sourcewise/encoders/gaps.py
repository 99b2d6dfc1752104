"""Gaps in rows of numbers: moments of what is observed, and draws of what is not."""

import torch
from torch import Tensor

__all__ = ["draw_gaps", "observed_covariance", "observed_moments"]


def observed_moments(v: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (d,) of what is not missing; 0 where nothing is."""
    count = (~v.isnan()).sum(0).clamp(min=1)
    mean = v.nansum(0) / count
    return mean, ((v - mean).square().nansum(0) / count).sqrt()


def observed_covariance(residuals: Tensor) -> Tensor:
    """(d, d) covariance of what is observed, pair by pair, made positive definite."""
    seen = (~residuals.isnan()).double()
    r = residuals.nan_to_num(0.0)
    covariance = (r.T @ r) / (seen.T @ seen).clamp(min=1)
    values, vectors = torch.linalg.eigh(covariance)
    return vectors @ torch.diag(values.clamp(min=1e-6 * float(values.max()))) @ vectors.T


def draw_gaps(z: Tensor, gap: Tensor, means: Tensor, S: Tensor, normal: Tensor) -> Tensor:
    """Rows of one pattern, gaps drawn from `N(m_g + B (z_o - m_o), S_gg - B S_og)`, B = S_go/S_oo.

    Args:
        z: (n, d) rows with NaN at the gaps.
        gap: (d,) where.
        means: (n, d) m of each row's source.
        S: (d, d).
        normal: (n, d) standard normal draws.
    """
    g, o = gap.nonzero().squeeze(1), (~gap).nonzero().squeeze(1)
    B = torch.linalg.solve(S[o][:, o], S[o][:, g]).T
    L = torch.linalg.cholesky(S[g][:, g] - B @ S[o][:, g])
    out = z.clone()
    out[:, g] = means[:, g] + (z[:, o] - means[:, o]) @ B.T + normal[:, g] @ L.T
    return out
