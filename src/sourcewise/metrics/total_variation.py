"""Total variation `TV(p, q) = 1/2 int |p - q|` between conditional distributions, per source.

The paper's error (arXiv 2502.14583, section 3) is its average over sources.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sourcewise.errors import InputError, unknown
from sourcewise.metrics.distributions import Moments, Scored, distance, log_prob, log_ratio
from sourcewise.metrics.estimate import Estimate, PerSource
from sourcewise.quadrature import RULES
from sourcewise.randomness import Noise

__all__ = [
    "total_variation",
    "tv_gaussian",
    "tv_gaussian_1d",
    "tv_gaussian_equal_covariance",
    "tv_monte_carlo",
    "tv_quadrature",
    "tv_table",
]

ROUNDING = 1e-12  # an error of quadrature below this is none


def total_variation(
    p: Any, q: Any, *, K: int | None = None, samples: int = 10_000, noise: Noise | None = None
) -> PerSource:
    """Total variation between p and q for each source; exact where a formula exists.

    >>> from sourcewise.truths.gaussian import paper_gaussian
    >>> p, q = paper_gaussian(K=2, d=1, d1=1), paper_gaussian(K=2, d=1, d1=0)
    >>> result = total_variation(p, q)  # means 1, 2 against 0, 0
    >>> [round(value, 4) for value in result.values], round(result.average.value, 4)
    ([0.3829, 0.6827], 0.5328)

    Args:
        p: a Gaussian, a table (K, outcomes) of log probabilities over one support, or a truth
            or model.
        q: likewise.
        K: number of sources, where neither a table nor Gaussians.
        samples: draws per source and side, if simulated.
        noise: of the simulation; seed 0 if None.
    """
    noise = (noise or Noise(0)).of("total variation")
    simulated = partial(tv_monte_carlo, samples=samples, noise=noise)
    return distance(p, q, K, tv_gaussian, tv_table, simulated)


def tv_gaussian(p: Moments, q: Moments) -> Estimate | None:
    """The closed form for two Gaussians, or None: unequal covariances in d > 1."""
    (mean_p, L_p), (mean_q, L_q) = p, q
    if torch.equal(L_p, L_q):
        value = tv_gaussian_equal_covariance(mean_p, mean_q, L_p)
        return _exact(value, "exact: Gaussians with equal covariance")
    if len(mean_p) > 1:
        return None
    value = tv_gaussian_1d(mean_p.item(), L_p.item(), mean_q.item(), L_q.item())
    return _exact(value, "exact: one-dimensional Gaussians")


def tv_gaussian_equal_covariance(mean_p: Tensor, mean_q: Tensor, scale_tril: Tensor) -> float:
    """`2 Phi(r/2) - 1`, `r = |L^-1 (mu_p - mu_q)|` the Mahalanobis distance.

    Args:
        mean_p: (d,).
        mean_q: (d,).
        scale_tril: L, (d, d).
    """
    shift = (mean_p - mean_q)[:, None]  # (d, 1)
    r = torch.linalg.solve_triangular(scale_tril, shift, upper=False).norm().item()
    return math.erf(r / math.sqrt(8))


def tv_gaussian_1d(mean_p: float, sd_p: float, mean_q: float, sd_q: float) -> float:
    """`P_p(A) - P_q(A)` on the interval A where the narrower density is the larger.

    With `u = (x - mu_p)/sd_p`, `m = (mu_q - mu_p)/sd_p`, `r = sd_q/sd_p > 1`, A lies between the
    roots of `(r^2-1) u^2 + 2 m u - (m^2 + 2 r^2 log r)`.
    """
    if sd_p == sd_q:
        return math.erf(abs(mean_p - mean_q) / sd_p / math.sqrt(8))
    if sd_p > sd_q:
        mean_p, sd_p, mean_q, sd_q = mean_q, sd_q, mean_p, sd_p
    m, log_r = (mean_q - mean_p) / sd_p, math.log(sd_q / sd_p)
    r, r2_1 = sd_q / sd_p, math.expm1(2 * log_r)  # r2_1 = r^2 - 1
    half = r * math.sqrt(m * m + 2 * r2_1 * log_r)
    s = -(m + math.copysign(half, m))  # the sum without cancellation
    a, b = sorted((s / r2_1, -(m * m + 2 * r * r * log_r) / s))
    return _mass(a, b) - _mass((a - m) / r, (b - m) / r)


def tv_table(log_p: Tensor, log_q: Tensor) -> Estimate:
    """`1/2 sum |p - q|` for log probabilities over one support, (outcomes,) each."""
    value = 0.5 * (log_p.exp() - log_q.exp()).abs().sum().item()
    return _exact(value, "exact: enumeration")


def tv_monte_carlo(p: Any, q: Any, k: int, samples: int, noise: Noise) -> Estimate:
    """Balanced estimate `1/2 E_p tanh(|D|/2) + 1/2 E_q tanh(|D|/2)`, `D = log p - log q`.

    `tanh(|D|/2) = |p-q|/(p+q)`, so the sum is TV; each term is in [0, 1] and no density is
    exponentiated. The standard error contains 1/samples: what that many draws cannot see.

    Args:
        p: see `total_variation`.
        q: likewise.
        k: the source.
        samples: draws from each of p and q.
        noise: of the simulation.
    """
    value, variance = 0.0, 1 / samples**2
    for name, under in (("p", p), ("q", q)):
        D = log_ratio(p, q, k, under=under, samples=samples, noise=noise.of(name))
        term = torch.tanh(D.abs() / 2)
        value += term.mean().item() / 2
        variance += term.var().item() / samples / 4
    method = f"Monte Carlo: balanced tanh(|log p - log q|/2), {samples} draws from each side"
    return Estimate(value, math.sqrt(variance), method, 0.0, 1.0)


def _mass(a: float, b: float) -> float:
    """`Phi(b) - Phi(a)`."""
    return (math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) / 2


def tv_quadrature(
    p: Scored, q: Scored, k: int, nodes: int, D: int, rule: str = "gauss-legendre"
) -> Estimate:
    """`1/2 sum_i w_i |p(x_i) - q(x_i)|` for two densities on the cube [0,1]^D.

    The value is that of `2 nodes` per axis. In place of a standard error stands the largest of its
    change by doubling and of `|int p - 1| / 2`, `|int q - 1| / 2` by the same rule: no statistics,
    but a measure of what the rule does not resolve. |p - q| has kinks, so that the error falls
    like `1 / nodes^2` (`quadrature`); where they sit among the nodes is chance, and what is
    stated is mostly above the error that is left, not always (`tests/metrics`: in 9 of 10 cases).

    >>> from sourcewise.truths.square import checkerboard
    >>> p, q = checkerboard(K=1, shift=0.0), checkerboard(K=1, shift=0.0, contrast=0.0)  # uniform
    >>> print(tv_quadrature(p, q, 0, nodes=8, D=2, rule="midpoints"))
    0.5 (quadrature: midpoints, 16 per axis)

    Args:
        p: a truth or model on [0,1]^D.
        q: likewise.
        k: the source.
        nodes: per axis of the coarser rule, >= 2.
        D: coordinates; `(2 nodes)^D` points are evaluated.
        rule: a name of `quadrature.RULES`.

    Raises:
        InputError: no such rule; a density that is not a number.
    """
    if rule not in RULES:
        raise unknown("rule", rule, RULES)
    coarse, fine = (_by_rule(p, q, k, RULES[rule](n, D)) for n in (nodes, 2 * nodes))
    error = max(abs(fine[0] - coarse[0]), *(abs(mass - 1) / 2 for mass in fine[1:]))
    error = error if error > ROUNDING else 0.0
    value, method = min(fine[0], 1.0), f"quadrature: {rule}, {2 * nodes} per axis"
    return Estimate(value, error, method, 0.0, 1.0)


def _by_rule(
    p: Scored, q: Scored, k: int, points: tuple[Tensor, Tensor]
) -> tuple[float, float, float]:
    """TV and the masses of p and q by the points (N, D) and log-weights (N,) of a rule."""
    x, log_weight = points
    y = torch.full((len(x),), k)
    with torch.no_grad():
        densities = torch.stack([log_prob(d, x, y).double().exp() for d in (p, q)])  # (2, N)
    if bool(densities.isnan().any()):
        raise InputError(f"density of source {k} is not a number at some points of the cube")
    mass_p, mass_q = (densities @ log_weight.exp()).tolist()
    tv = (densities[0] - densities[1]).abs() @ log_weight.exp() / 2
    return float(tv), mass_p, mass_q


def _exact(value: float, method: str) -> Estimate:
    return Estimate(min(max(value, 0.0), 1.0), 0.0, method, 0.0, 1.0)
