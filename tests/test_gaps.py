"""Patterns of missing values, and the density of what is observed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.gaps import patterns
from sourcewise.truths import gaussian
from sourcewise.truths.gaussian import gaussian_log_prob


@given(st.integers(0, 30), st.integers(1, 80), st.integers(0, 2**31))
def test_patterns_tell_every_row_and_are_distinct(n, d, seed):
    rng = torch.Generator().manual_seed(seed)
    missing = torch.rand(n, d, generator=rng) < 0.05
    found, which = patterns(missing)
    assert torch.equal(found[which], missing)
    assert len({tuple(row) for row in found.tolist()}) == len(found)


@given(st.integers(0, 2**31), st.booleans())
def test_the_density_of_what_is_observed_is_that_of_a_marginal(seed, shared):
    rng = torch.Generator().manual_seed(seed)
    n, d, K = 40, 4, 3
    root = torch.randn(1 if shared else K, d, d, generator=rng, dtype=torch.float64)
    covariance = root @ root.mT + torch.eye(d)
    mean = torch.randn(K, d, generator=rng, dtype=torch.float64)
    y = torch.randint(K, (n,), generator=rng)
    x = torch.randn(n, d, generator=rng, dtype=torch.float64)
    x[torch.rand(n, d, generator=rng) < 0.4] = torch.nan
    x[0] = torch.nan
    found = gaussian_log_prob(x, y, mean, torch.linalg.cholesky(covariance))
    for i in range(n):
        o = (~x[i].isnan()).nonzero().squeeze(1)
        S = covariance[0 if shared else y[i]][o][:, o]
        expected = torch.tensor(0.0, dtype=torch.float64)
        if len(o):
            normal = torch.distributions.MultivariateNormal(mean[y[i], o], S)
            expected = normal.log_prob(x[i, o])
        assert abs(float(found[i] - expected)) < 1e-9


def test_covariances_of_many_patterns_are_taken_in_parts(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    mean = torch.zeros(2, 5, dtype=torch.float64)
    x = torch.randn(200, 5, generator=rng, dtype=torch.float64)
    x[torch.rand(200, 5, generator=rng) < 0.4] = torch.nan
    y = torch.arange(200) % 2
    L = torch.eye(5, dtype=torch.float64)[None] + torch.ones(2, 5, 5).tril(-1) * 0.3
    at_once = gaussian_log_prob(x, y, mean, L)
    monkeypatch.setattr(gaussian, "AT_ONCE", 60)
    assert torch.allclose(gaussian_log_prob(x, y, mean, L), at_once, atol=1e-12)
