"""The likelihood bound, where the best denoiser and the likelihood are known."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from sourcewise.families.denoisers.bound import HIGHEST, LOWEST, TERMS, likelihood_bound
from sourcewise.randomness import Noise

N = 3000


def numbered(n, seed=0):
    return Noise(seed).each(torch.zeros(n, dtype=torch.int64))


def normal(sd, n=N, d=3):
    return sd * Noise(1).normal(n, d)


def of_normal(sd):
    """The best denoiser of N(0, sd^2)."""
    return lambda z, sigma: z * (sd**2 / (sd**2 + sigma[:, None] ** 2))


@pytest.mark.parametrize("sd", [1.0, 0.4])
def test_of_the_best_denoiser_it_is_the_log_likelihood(sd):
    x = normal(sd)
    exact = torch.distributions.Normal(0.0, sd).log_prob(x).sum(1)
    gap = (likelihood_bound(of_normal(sd), x, numbered(N), 16).sum(1) - exact) / x.shape[1]
    error = float(gap.std()) / N**0.5
    assert -0.01 - 3 * error < float(gap.mean()) < 3 * error
    assert error < 0.01


def test_its_terms_are_what_the_levels_between_their_limits_lose():
    """Of standard normals `sigma^-2 E(x - D)^2 = 1 / (1 + sigma^2)`, whose integral is known."""
    found = likelihood_bound(of_normal(1.0), normal(1.0), numbered(N), 16) / 3
    above = [0.5 * math.log1p(end**-2) for end in (HIGHEST, *TERMS, LOWEST)]
    whole = [low - high for high, low in pairwise(above)]
    whole[0] += 0.5 * math.log1p(HIGHEST**-2)
    whole[-1] += 0.5 / (1 + LOWEST**2) + math.log(LOWEST * math.sqrt(2 * math.pi))
    error = found.std(0) / N**0.5
    gap = found.mean(0) + torch.tensor(whole, dtype=torch.float64)
    assert (gap.abs() < 4 * error + 1e-3).all()
    assert (error < 0.02).all()


def test_a_worse_denoiser_has_a_lower_bound_and_noise_cancels_between_them():
    x, exact = normal(1.0), of_normal(1.0)

    def worse(z, sigma):
        return 0.97 * exact(z, sigma)

    best, other = (likelihood_bound(d, x, numbered(N), 16).sum(1) for d in (exact, worse))
    difference = best - other
    assert float(difference.mean()) > 0.01
    # Both are judged by the same noise: their difference is better known than either.
    assert float(difference.std()) < float(other.std())


def test_of_pixels_it_bounds_the_probability_of_what_they_are():
    p = torch.tensor([0.5, 0.05, 0.1, 0.05, 0.3], dtype=torch.float64)
    values = torch.linspace(-1.0, 1.5, 5, dtype=torch.float64)
    mean = float(p @ values)
    values = (values - mean) / float((p @ (values - mean).square()).sqrt())
    at = torch.multinomial(p, N * 4, replacement=True, generator=Noise(2).generator())
    x = values[at].view(N, 4)

    def best(z, sigma):
        log = p.log() - 0.5 * ((z[..., None] - values) / sigma[:, None, None]).square()
        return log.softmax(-1) @ values

    found = likelihood_bound(best, x, numbered(N), 16, values).sum(1) / 4
    exact = p.log()[at].view(N, 4).mean(1)
    gap = found - exact
    error = float(gap.std()) / N**0.5
    # At the lowest level pixels are told by the denoiser alone: that much is lost, exactly.
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    sigma = 0.5 * (values[1] - values[0])
    z = values[:, None] + sigma * torch.tensor(nodes)  # (V, nodes)
    log = p.log() - 0.5 * ((z[..., None] - values) / sigma).square()
    away = -0.5 * (((log.softmax(-1) @ values)[..., None] - values) / sigma).square()
    told, known = (v.log_softmax(-1).diagonal(dim1=0, dim2=2).T for v in (away, log))
    lost = p @ ((known - told) @ torch.tensor(weights / weights.sum()))
    assert 0 < lost < 0.1
    assert abs(float(gap.mean() + lost)) < 3 * error
    assert math.isclose(float(exact.mean()), float(p @ p.log()), abs_tol=0.03)


def test_a_row_has_the_same_noise_in_every_batch():
    x, each = normal(1.0, 50), numbered(50)
    whole = likelihood_bound(of_normal(0.8), x, each, 4)
    rows = torch.tensor([7, 3, 40])
    part = likelihood_bound(of_normal(0.8), x[rows], each.take(rows), 4)
    assert torch.equal(whole[rows], part)


def test_more_draws_change_the_noise_and_not_the_mean():
    x = normal(1.0)
    few, many = (likelihood_bound(of_normal(0.7), x, numbered(N), m).sum(1) for m in (4, 64))
    error = float((few - many).std()) / N**0.5
    assert abs(float((few - many).mean())) < 4 * error
    assert float(many.std()) < float(few.std())
