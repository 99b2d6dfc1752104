"""Regressions on given columns, against least squares and as maxima of the likelihood."""

from itertools import product

import numpy as np
import pytest
import torch

from sourcewise.batch import Batch
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.randomness import Noise

K, d, C = 3, 3, 2
N = [40, 25, 60]
Y = torch.arange(K).repeat_interleave(torch.tensor(N))
WAYS = list(product(("all", 2, "none"), ("full", "diagonal"), (True, False), (True, False)))


def sample(seed=0):
    """Every source has its own law of c, slopes, intercepts and covariance."""
    noise, n = Noise(seed).of("slopes"), len(Y)
    c = noise.of("c").normal(n, C) + noise.of("m").normal(K, C)[Y]
    B, root = noise.of("B").normal(K, d, C), noise.of("root").normal(K, d, d)
    e = torch.einsum("nij,nj->ni", root[Y], noise.of("e").normal(n, d))
    return torch.einsum("nij,nj->ni", B[Y], c) + noise.of("mu").normal(K, d)[Y] + e, c


def fitted(x, c, y=Y, sources=K, **options):
    settings = GaussianSettings(**{"shrinkage": "none", **options})
    model = Gaussian(settings, K=sources, d=x.shape[1], C=c.shape[1])
    model.fit_exactly(Batch.of(x, y, c), tuple(map(str, range(sources))))
    return model


def slopes_of(model) -> torch.Tensor:
    assert model.slopes is not None
    return model.slopes


def least_squares(x, c):
    """Slopes, intercept and the residuals' covariance of one source, by NumPy."""
    design = np.column_stack([np.ones(len(c)), c.numpy()])
    found, *_ = np.linalg.lstsq(design, x.numpy(), rcond=None)
    rest = x.numpy() - design @ found
    return found[1:].T, found[0], rest.T @ rest / len(c)


@pytest.mark.parametrize("specific", ["all", "none"])
def test_one_source_is_least_squares(specific):
    x, c = sample()
    model = fitted(x, c, torch.zeros_like(Y), 1, specific=specific)
    B, a, S = least_squares(x, c)
    np.testing.assert_allclose(slopes_of(model)[0], B, atol=1e-11)
    np.testing.assert_allclose(model.mean[0], a, atol=1e-11)
    np.testing.assert_allclose(model.scale_tril[0] @ model.scale_tril[0].T, S, atol=1e-11)


def test_all_their_own_is_least_squares_by_source():
    x, c = sample()
    model = fitted(x, c, shared_covariance=False, shared_slopes=False)
    for k in range(K):
        B, a, S = least_squares(x[Y == k], c[Y == k])
        np.testing.assert_allclose(slopes_of(model)[k], B, atol=1e-11)
        np.testing.assert_allclose(model.mean[k], a, atol=1e-11)
        np.testing.assert_allclose(model.scale_tril[k] @ model.scale_tril[k].T, S, atol=1e-11)


def test_shared_slopes_are_analysis_of_covariance():
    x, c = sample()
    model = fitted(x, c)
    design = np.column_stack([torch.nn.functional.one_hot(Y).numpy(), c.numpy()])
    found, *_ = np.linalg.lstsq(design, x.numpy(), rcond=None)
    np.testing.assert_allclose(slopes_of(model)[0], found[K:].T, atol=1e-11)
    np.testing.assert_allclose(model.mean, found[:K], atol=1e-11)


def total(model, x, c, mean, slopes, scale_tril):
    for name, value in (("mean", mean), ("slopes", slopes), ("scale_tril", scale_tril)):
        setattr(model, name, value)
    return model.log_density(Batch.of(x, Y, c), Noise(0)).value.sum()


@pytest.mark.parametrize(("specific", "covariance", "shared", "slopes"), WAYS)
def test_it_is_a_maximum(specific, covariance, shared, slopes):
    """The slope of the likelihood is 0 in every parameter."""
    x, c = sample()
    model = fitted(
        x,
        c,
        specific=specific,
        covariance=covariance,
        shared_covariance=shared,
        shared_slopes=slopes,
    )
    d1 = model.d1
    phi = model.mean[:, :d1].clone().requires_grad_()
    psi = model.mean[0, d1:].clone().requires_grad_()
    assert torch.allclose(model.mean[:, d1:], psi.expand(K, -1))
    B, L = (v.clone().requires_grad_() for v in (slopes_of(model), model.scale_tril))
    value = total(model, x, c, torch.cat([phi, psi.expand(K, -1)], 1), B, L)
    value.backward()
    tril = torch.tril(torch.ones(d, d)) if covariance == "full" else torch.eye(d)
    for gradient in (phi.grad, psi.grad, B.grad, L.grad):
        if gradient is not None and gradient.numel():
            gradient = gradient * tril if gradient is L.grad else gradient
            assert float(gradient.abs().max()) < 1e-6 * len(Y)


def test_sharing_less_is_never_less_likely():
    x, c = sample()
    values = {}
    for way in WAYS:
        options = dict(
            zip(("specific", "covariance", "shared_covariance", "shared_slopes"), way, strict=True)
        )
        model = fitted(x, c, **options)
        values[way] = float(model.log_density(Batch.of(x, Y, c), Noise(0)).value.sum())
    order = {"all": 0, 2: 1, "none": 2, "full": 0, "diagonal": 1, False: 0, True: 1}
    for a, b in product(WAYS, WAYS):
        if all(order[i] <= order[j] for i, j in zip(a, b, strict=True)):
            assert values[a] >= values[b] - 1e-7


def test_columns_that_depend_give_the_same_fit():
    """The smallest slopes of those that fit: scores are as without the copy."""
    x, c = sample()
    twice = torch.cat([c, c[:, :1], torch.zeros(len(Y), 1)], 1)
    one, other = (fitted(x, v).log_density(Batch.of(x, Y, v), Noise(0)).value for v in (c, twice))
    assert torch.allclose(one, other, atol=1e-9)


def test_gaps_are_left_out_of_the_density():
    x, c = sample()
    model = fitted(x, c)
    gappy = x.clone()
    gappy[:, 1] = torch.nan
    seen = model.log_density(Batch.of(gappy, Y, c), Noise(0)).value
    covariance = (model.scale_tril[0] @ model.scale_tril[0].T)[[0, 2]][:, [0, 2]]
    mean = (model.mean[Y] + c @ slopes_of(model)[0].T)[:, [0, 2]]
    wanted = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x[:, [0, 2]])
    assert torch.allclose(seen, wanted)


def test_draws_move_with_the_given_columns():
    x, c = sample()
    model = fitted(x, c, shared_slopes=False)
    y = Y[:1].repeat(2000)
    here, there = (
        model.sample(y, Noise(1), torch.tensor(v).double().expand(2000, C))
        for v in ([0.0, 0.0], [1.0, -2.0])
    )
    step = slopes_of(model)[0] @ torch.tensor([1.0, -2.0]).double()
    assert torch.allclose(there - here, step.expand(2000, -1))


def test_slopes_are_counted():
    x, c = sample()
    assert fitted(x, c).free_parameters == K * d + d * (d + 1) // 2 + d * C
    assert fitted(x, c, shared_slopes=False).free_parameters == K * d + 6 + K * d * C


def test_agrees_with_statsmodels():
    import statsmodels.api as api

    x, c = sample()
    model = fitted(x[:, :1], c, shared_covariance=False, shared_slopes=False)
    rows = model.log_density(Batch.of(x[:, :1], Y, c), Noise(0)).value
    for k in range(K):
        own = Y == k
        found = api.OLS(x[own, 0].numpy(), api.add_constant(c[own].numpy())).fit()
        np.testing.assert_allclose(slopes_of(model)[k, 0], found.params[1:], atol=1e-10)
        assert float(rows[own].sum()) == pytest.approx(found.llf, abs=1e-8)
