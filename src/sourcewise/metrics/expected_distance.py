"""The energy distance of Gaussian models from a truth, without simulation.

For Z ~ N(m, S) with eigenvalues l_i of S and m_i the parts of m along its axes,

    E|Z| = 1/(2 sqrt(pi)) int_0^inf (1 - f(t)) t^(-3/2) dt,   f(t) = E exp(-t |Z|^2)
    f(t) = prod_i (1 + 2 t l_i)^(-1/2) exp(-t m_i^2 / (1 + 2 t l_i)),

since `sqrt(a) = 1/(2 sqrt(pi)) int (1 - exp(-t a)) t^(-3/2) dt`. With t = exp(u) the integrand is
smooth and falls off as exp(-|u|/2) on both sides, where the trapezoidal rule is exact to rounding.
"""

import math
from typing import Any

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.metrics.distributions import as_gaussian

__all__ = ["expected_energy_score", "mean_length"]

REACH, STEP = 76.0, 0.125  # of u; exp(-76 / 2) is below rounding


def mean_length(mean: Tensor, covariance: Tensor) -> Tensor:
    """(...,) E|Z| for Z ~ N(mean, covariance).

    >>> zero, one = torch.zeros(1), torch.ones(1, 1)
    >>> round(float(mean_length(zero, one)), 6)  # sqrt(2 / pi)
    0.797885

    Args:
        mean: (..., D).
        covariance: (..., D, D).
    """
    spread, axes = torch.linalg.eigh(covariance.double())
    m = (axes.mT @ mean.double().unsqueeze(-1)).squeeze(-1)
    unit = (m.square().sum(-1) + spread.sum(-1)).clamp(min=1e-300)  # E|Z|^2, to scale t by
    u = torch.arange(-REACH, REACH + STEP, STEP, dtype=torch.float64)
    t = u.exp()[:, None]
    grown = 2 * t * (spread.clamp(min=0) / unit.unsqueeze(-1)).unsqueeze(-2)  # (..., u, D)
    pull = t * (m.square() / unit.unsqueeze(-1)).unsqueeze(-2) / (1 + grown)
    log_f = -(grown.log1p() / 2 + pull).sum(-1)
    integral = STEP * (-log_f.expm1() * (-u / 2).exp()).sum(-1)
    return unit.sqrt() * integral / (2 * math.sqrt(math.pi))


def expected_energy_score(
    model: Any, mean: Tensor, covariance: Tensor, mixture: Tensor | None = None
) -> Tensor:
    """(K,) `2 E|X - Y| - E|Y - Y'|` of Gaussian models, Y under a truth whose draw is X.

    It is the energy distance, but for `E|X - X'|`, which no model changes.

    Args:
        model: a Gaussian, or a partition of Gaussians.
        mean: (K, d) of the truth.
        covariance: (K, d, d), likewise.
        mixture: (2, N) weights and scales s: the truth is a mixture of N(mean, s covariance);
            None: it is normal.
    """
    gaussian = as_gaussian(model)
    if gaussian is None:
        raise InputError("the expected energy score is known for Gaussian models only")
    L = gaussian.scale_tril
    own = (L @ L.mT).expand(len(mean), *L.shape[1:])
    weights, scales = torch.ones(2, 1, dtype=torch.float64) if mixture is None else mixture
    spread = scales[:, None, None, None] * covariance + own
    to_truth = weights @ mean_length((mean - gaussian.mean).expand(len(scales), -1, -1), spread)
    return 2 * to_truth - mean_length(torch.zeros_like(gaussian.mean), 2 * own)
