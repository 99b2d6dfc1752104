"""Log-likelihood per source: of given rows, or expected under a truth known by its moments."""

import math
from typing import Any

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.metrics.distributions import Scored, as_gaussian, log_prob, moments
from sourcewise.metrics.estimate import Estimate, PerSource

__all__ = ["expected_log_likelihood", "log_likelihood"]


def log_likelihood(model: Scored, x: Tensor, y: Tensor, K: int) -> PerSource:
    """Mean log density of each source's rows, nats per row, with its standard error over rows.

    The standard error speaks of new test rows only, for this model; see `statistics` for
    intervals that also cover new training samples.

    Args:
        model: a model or a truth.
        x: (n, ...) rows that the model was not trained on.
        y: (n,) their sources.
        K: number of sources; each needs two rows.
    """
    with torch.no_grad():
        values = log_prob(model, x, y).double()
    parts = [values[y == k] for k in range(K)]
    few = [k for k, part in enumerate(parts) if len(part) < 2]
    if few:
        raise InputError(f"source {few[0]} has fewer than two rows to average over")
    return PerSource(
        tuple(
            Estimate(
                part.mean().item(), part.std().item() / math.sqrt(len(part)), "mean over rows"
            )
            for part in parts
        ),
        higher_is_better=True,
    )


def expected_log_likelihood(model: Any, mean: Tensor, covariance: Tensor) -> PerSource:
    """Exact expected log density of Gaussian models under a truth of any shape.

    `-1/2 [d log(2 pi) + log det S + tr(S^-1 (C + g g'))]`, `g = m - mu`, for a model N(mu, S) and
    a truth with mean m and covariance C.

    Args:
        model: a Gaussian, or a partition of Gaussians.
        mean: m, (K, d).
        covariance: C, (K, d, d).
    """
    gaussian = as_gaussian(model)
    if gaussian is None:
        raise InputError("the expected log-likelihood is known for Gaussian models only")
    d, estimates = mean.shape[1], []
    for k in range(len(mean)):
        mu, L = moments(gaussian, k)
        gap = mean[k] - mu
        trace = torch.cholesky_solve(covariance[k] + gap[:, None] * gap, L).trace()
        value = -(d * math.log(2 * math.pi) + trace) / 2 - L.diagonal().log().sum()
        estimates.append(Estimate(value.item(), 0.0, "exact: moments of the truth"))
    return PerSource(tuple(estimates), higher_is_better=True)
