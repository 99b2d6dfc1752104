"""Log-likelihood per source, and what it lacks: the divergence from a truth.

Of given rows, or expected under a truth known by its moments. For a truth p and a model q,
`KL(p || q) = E_p[log p - log q]` says how many nats per example the model's log-likelihood loses.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.metrics.distributions import (
    Moments,
    Scored,
    as_gaussian,
    distance,
    log_prob,
    log_ratio,
    moments,
)
from sourcewise.metrics.estimate import Estimate, PerSource
from sourcewise.randomness import Noise

__all__ = [
    "expected_log_likelihood",
    "kl_gaussian",
    "kl_monte_carlo",
    "kl_table",
    "kullback_leibler",
    "log_likelihood",
]


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


def kullback_leibler(
    p: Any, q: Any, *, K: int | None = None, samples: int = 10_000, noise: Noise | None = None
) -> PerSource:
    """`KL(p || q)` for each source; exact where a formula exists.

    >>> from sourcewise.truths.gaussian import paper_gaussian
    >>> p, q = paper_gaussian(K=2, d=1, d1=1), paper_gaussian(K=2, d=1, d1=0)
    >>> kullback_leibler(p, q).values  # means 1, 2 against 0, 0
    (0.5, 2.0)

    Args:
        p: a Gaussian, a table (K, outcomes) of log probabilities over one support, or a truth
            or model.
        q: likewise.
        K: number of sources, where neither a table nor Gaussians.
        samples: draws per source from p, if simulated.
        noise: of the simulation; seed 0 if None.
    """
    noise = (noise or Noise(0)).of("kullback-leibler")
    simulated = partial(kl_monte_carlo, samples=samples, noise=noise)
    return distance(p, q, K, kl_gaussian, kl_table, simulated)


def kl_gaussian(p: Moments, q: Moments) -> Estimate:
    """`1/2 (|M|_F^2 + |L_q^-1 (mu_p - mu_q)|^2 - d) - log det M`, `M = L_q^-1 L_p`."""
    (mean_p, L_p), (mean_q, L_q) = p, q
    if torch.equal(mean_p, mean_q) and torch.equal(L_p, L_q):
        return Estimate(0.0, 0.0, "exact: Gaussians", 0.0)  # 0 without rounding
    both = torch.cat([L_p, (mean_p - mean_q)[:, None]], 1)  # (d, d + 1)
    solved = torch.linalg.solve_triangular(L_q, both, upper=False)
    M, residual = solved[:, :-1], solved[:, -1]
    square = M.diagonal().square()
    # each term is >= 0: t - 1 - log t on the diagonal, squares elsewhere
    spread = (square - 1 - square.log()).sum() + M.tril(-1).square().sum()
    value = 0.5 * (spread + residual.square().sum()).item()
    return Estimate(max(value, 0.0), 0.0, "exact: Gaussians", 0.0)


def kl_table(log_p: Tensor, log_q: Tensor) -> Estimate:
    """`sum p (log p - log q)` over one support, (outcomes,) each; infinite where only q is 0."""
    seen = log_p > -math.inf
    value = (log_p[seen].exp() * (log_p[seen] - log_q[seen])).sum().item()
    return Estimate(max(value, 0.0), 0.0, "exact: enumeration", 0.0)


def kl_monte_carlo(p: Any, q: Any, k: int, samples: int, noise: Noise) -> Estimate:
    """Mean of `log p - log q` over draws from p; may be negative by noise.

    A draw of density zero under q shows that the divergence is infinite.

    Args:
        p: see `kullback_leibler`.
        q: likewise.
        k: the source.
        samples: draws from p.
        noise: of the simulation.
    """
    D = log_ratio(p, q, k, under=p, samples=samples, noise=noise)
    method = f"Monte Carlo: mean of log p - log q, {samples} draws from p"
    if bool(D.isposinf().any()):
        return Estimate(math.inf, 0.0, method + ", one of them impossible under q", 0.0)
    return Estimate(D.mean().item(), D.std().item() / math.sqrt(samples), method)
