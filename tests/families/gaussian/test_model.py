import math
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import Diagnosed
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.gaussian.shrinkage import ledoit_wolf_intensity
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import families, family
from sourcewise.metrics.distributions import log_prob
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit

K, D, N = 3, 4, 240
Y = torch.arange(N) % K
NAMES = ("a", "b", "c")


def sample(seed: int = 0) -> torch.Tensor:
    """Rows with correlated columns and a covariance and mean of each source's own."""
    mix = Noise(seed).of("mix").normal(K, D, D)
    return (mix[Y] @ Noise(seed).of("z").normal(N, D, 1)).squeeze(2) + Y[:, None]


def fitted(x, K: int = K, y: torch.Tensor = Y, **options: Any) -> Gaussian:
    model = Gaussian(GaussianSettings.parse(options), K=K, d=x.shape[1])
    model.fit_exactly(Batch.of(x, y), NAMES[:K])
    return model


def likelihood(model, x):
    return float(log_prob(model, x, Y).sum())


def test_shared_covariance_is_the_model_of_linear_discriminant_analysis():
    x = sample()
    model = fitted(x, shrinkage="none")
    lda = LinearDiscriminantAnalysis(store_covariance=True).fit(x.numpy(), Y.numpy())
    assert np.allclose(model.mean, lda.means_, rtol=1e-10)
    assert np.allclose(model.scale_tril[0] @ model.scale_tril[0].T, lda.covariance_, rtol=1e-10)
    joint = torch.stack([log_prob(model, x, torch.full((N,), k)) for k in range(K)], 1)
    posterior = torch.log_softmax(joint, 1)  # equal priors
    assert np.allclose(posterior, lda.predict_log_proba(x.numpy()), rtol=1e-7, atol=1e-8)


def test_own_covariances_are_the_model_of_quadratic_discriminant_analysis():
    x = sample()
    model = fitted(x, shrinkage="none", shared_covariance=False)
    qda = QuadraticDiscriminantAnalysis(store_covariance=True).fit(x.numpy(), Y.numpy())
    ours = (model.scale_tril @ model.scale_tril.mT).numpy()
    n_k = N // K
    # Older scikit-learn divides by n - 1, newer by n.
    factor = 1 if np.allclose(qda.covariance_[0], ours[0]) else n_k / (n_k - 1)
    for k in range(K):
        assert np.allclose(model.mean[k], qda.means_[k], rtol=1e-10)
        assert np.allclose(factor * ours[k], qda.covariance_[k], rtol=1e-10)
        density = multivariate_normal(qda.means_[k], qda.covariance_[k] / factor)
        found = log_prob(model, x, torch.full((N,), k))
        assert np.allclose(found, density.logpdf(x.numpy()), rtol=1e-9)


def test_ledoit_wolf_agrees_with_scikit_learn():
    x = sample()
    model = fitted(x, shared_covariance=False)
    for k in range(K):
        rows = (x - model.mean[k])[Y == k].numpy()
        covariance, intensity = ledoit_wolf(rows, assume_centered=True)
        assert np.isclose(model.intensity[k], intensity, rtol=1e-10)
        assert np.allclose(model.scale_tril[k] @ model.scale_tril[k].T, covariance, rtol=1e-9)


def test_diagonal_shrinkage_estimates_the_best_intensity():
    """The best is `b / (b + |D - m I|^2)`, b the summed variance of the sample variances."""
    variances = torch.tensor([0.5, 1.0, 1.5, 3.0], dtype=torch.float64)
    n, intensities = 1000, []
    for r in range(400):
        rows = Noise(r).normal(n, 4) * variances.sqrt()
        S, fourth = torch.diag(rows.square().mean(0)), rows.square().square().sum()
        intensities += ledoit_wolf_intensity(S[None], fourth[None], torch.tensor([n])).tolist()
    b = 2 * variances.square().sum() / n
    best = float(b / (b + (variances - variances.mean()).square().sum()))
    assert math.isclose(np.mean(intensities), best, rel_tol=0.03)


CASES = [
    {"specific": specific, "covariance": covariance, "shared_covariance": shared}
    for specific in ("all", "none", 2)
    for covariance in ("identity", "diagonal", "full")
    for shared in (True, False)
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_no_nearby_parameters_are_more_likely(options):
    """Maximum likelihood: the gradient in the free parameters vanishes."""
    x = sample(1)
    model = fitted(x, shrinkage="none", **options)
    d1 = model.d1
    specific = model.mean[:, :d1].clone().requires_grad_()
    shared = model.mean[0, d1:].clone().requires_grad_()
    assert torch.equal(model.mean[:, d1:], shared.expand(K, -1))
    covariance = (model.scale_tril @ model.scale_tril.mT).requires_grad_()
    mean = torch.cat([specific, shared.expand(K, -1)], 1)
    L = torch.linalg.cholesky(covariance)[torch.zeros_like(Y) if model.settings.shares else Y]
    density = torch.distributions.MultivariateNormal(mean[Y], scale_tril=L)
    total = density.log_prob(x).mean()
    inputs = [t for t in (specific, shared) if t.numel()]
    slopes = torch.autograd.grad(total, [*inputs, covariance], allow_unused=True)
    for slope in slopes[:-1]:
        assert slope.abs().max() < 1e-9
    if options["covariance"] == "full":
        assert slopes[-1].abs().max() < 1e-9
    if options["covariance"] == "diagonal":
        assert slopes[-1].diagonal(dim1=1, dim2=2).abs().max() < 1e-9
        assert torch.equal(covariance, torch.diag_embed(covariance.diagonal(dim1=1, dim2=2)))
    assert math.isclose(total.item() * N, likelihood(model, x), rel_tol=1e-10)


def test_sharing_less_is_never_less_likely():
    x = sample(2)
    for covariance in ("diagonal", "full"):
        options: dict[str, Any] = {"covariance": covariance, "shrinkage": "none"}
        levels = [
            likelihood(fitted(x, specific=specific, **options), x)
            for specific in ("none", 1, 2, 3, "all")
        ]
        assert levels == sorted(levels)
        own = likelihood(fitted(x, shared_covariance=False, **options), x)
        assert own >= levels[-1]


def test_the_papers_estimates():
    """Identity covariance: phi_k the source's mean, psi the mean of all rows (section 4.1)."""
    x = sample(3)
    model = fitted(x, specific=1, covariance="identity")
    for k in range(K):
        assert torch.allclose(model.mean[k, :1], x[Y == k, :1].mean(0))
    assert torch.allclose(model.mean[:, 1:], x[:, 1:].mean(0).expand(K, -1))
    assert model.free_parameters == (K - 1) * 1 + D


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"specific": 3, "covariance": "identity"}, (K - 1) * 3 + D),
        ({}, K * D + D * (D + 1) // 2),
        ({"shared_covariance": False}, K * (D + D * (D + 1) // 2)),
        ({"covariance": "diagonal"}, K * D + D),
        ({"specific": "none", "covariance": "diagonal", "shared_covariance": False}, D + K * D),
    ],
)
def test_parameters_are_counted_as_in_theory(options, expected):
    assert fitted(sample(), **options).free_parameters == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 1000), st.booleans())
def test_density_matches_scipy_and_integrates(d, seed, shared):
    x = sample(seed)[:, :d]
    model = fitted(x, shared_covariance=shared, shrinkage=0.3)
    for k in range(K):
        L = model.scale_tril[0 if shared else k]
        density = multivariate_normal(model.mean[k], (L @ L.T).numpy())
        ours = log_prob(model, x, torch.full((N,), k))
        assert np.allclose(ours, np.atleast_1d(density.logpdf(x.numpy())), rtol=1e-8, atol=1e-8)


def test_samples_have_the_models_moments_in_any_batch():
    model = fitted(sample(), shared_covariance=False)
    y = torch.arange(60_000) % K
    x = model.sample(y, noise=Noise(0))
    for k in range(K):
        rows, L = x[y == k], model.scale_tril[k]
        assert (rows.mean(0) - model.mean[k]).abs().max() < 0.06
        assert torch.allclose(torch.cov(rows.T), L @ L.T, rtol=0.06, atol=0.06)
    parts = [
        model.sample(y[i : i + 7], noise=Noise(0).each(y[i : i + 7], torch.arange(i, i + 7)))
        for i in range(0, 70, 7)
    ]
    assert torch.allclose(torch.cat(parts), x[:70], rtol=0, atol=1e-12)


def test_singular_covariances_are_named_with_the_remedy():
    x = sample()
    x[Y == 1, 3] = 2 * x[Y == 1, 0]
    with pytest.raises(
        InputError, match=r"covariance of 'b' is singular \(n = 80, d = 4\).*ledoit-wolf"
    ):
        fitted(x, shared_covariance=False, shrinkage="none")
    with pytest.raises(InputError, match="singular .n = 3, d = 4"):
        fitted(x[:3], K=1, y=torch.zeros(3, dtype=torch.int64), shrinkage="none")
    same = torch.ones(5, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="singular"):
        fitted(same, K=1, y=torch.zeros(5, dtype=torch.int64))


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"shrinkage": "none"}, "--set shrinkage=ledoit-wolf, --set covariance=diagonal, or"),
        ({}, "--set shrinkage=0.1, --set covariance=diagonal, or"),
        ({"covariance": "diagonal"}, ": --set shrinkage=0.1, or leave"),
        ({"covariance": "diagonal", "shrinkage": 0.5}, ": leave dependent"),
    ],
)
def test_advice_is_not_in_force(settings, advice):
    same = torch.ones(5, 2, dtype=torch.float64)
    with pytest.raises(InputError, match=re.escape(advice)):
        fitted(same, K=1, y=torch.zeros(5, dtype=torch.int64), **settings)


def test_small_scales_are_not_singular():
    x = sample() * torch.tensor([1e-9, 1.0, 1e6, 1e-3])
    assert bool(log_prob(fitted(x, shrinkage="none"), x, Y).isfinite().all())


def test_a_source_without_rows_is_named():
    with pytest.raises(InputError, match="source 'c' has no training rows"):
        fitted(sample()[Y != 2], y=Y[Y != 2])


def test_one_source_works():
    x = sample()[Y == 0]
    model = fitted(x, K=1, y=torch.zeros(len(x), dtype=torch.int64))
    assert model.sample(torch.zeros(2, dtype=torch.int64), noise=Noise(0)).shape == (2, D)


def build(K):
    return family("gaussian").build(GaussianSettings(), K=K, d=D)


def test_separate_models_are_single_models_and_pooled_is_one():
    x = sample()
    separate = PartitionedModel(Partition.separate(K), build, NAMES)
    fit(separate, TrainingData.plain(x, Y), names=NAMES)
    for k in range(K):
        rows = Y == k
        alone = fitted(x[rows], K=1, y=torch.zeros(int(rows.sum()), dtype=torch.int64))
        zeros = torch.zeros(int(rows.sum()), dtype=torch.int64)
        assert torch.equal(log_prob(separate, x, Y)[rows], log_prob(alone, x[rows], zeros))
    pooled = PartitionedModel(Partition.pooled(K), build, NAMES)
    fit(pooled, TrainingData.plain(x, Y), names=NAMES)
    assert torch.equal(log_prob(pooled, x, Y), log_prob(fitted(x), x, Y))


def test_routing_keeps_order_noise_and_parameters():
    x = sample()
    groups = PartitionedModel(Partition(((2, 0), (1,))), build, NAMES)
    fit(groups, TrainingData.plain(x, Y), names=NAMES)
    order = Noise(5).permutation(N)
    assert torch.allclose(log_prob(groups, x[order], Y[order]), log_prob(groups, x, Y)[order])
    noise = Noise(1).each(Y)
    drawn = groups.sample(Y, noise=noise)
    assert torch.equal(groups.sample(Y[order], noise=noise.take(order)), drawn[order])
    assert groups.free_parameters == sum(groups.block(j).free_parameters for j in (0, 1))
    assert torch.equal(groups.loss(Batch.of(x, Y), Noise(0)), -log_prob(groups, x, Y))


def test_a_source_outside_the_partition_is_refused():
    model = PartitionedModel(Partition(((0, 1),)), build, NAMES)
    fit(model, TrainingData.plain(sample(), Y), names=NAMES)
    with pytest.raises(InputError, match="source 'c' was not trained"):
        log_prob(model, sample(), Y)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"covariance": "round"}, "setting covariance.*identity, diagonal, full"),
        ({"shrinkage": "2"}, "shrinkage: not .*or a number in .0, 1"),
        ({"shrinkage": "some"}, "setting shrinkage"),
        ({"specific": "-1"}, "specific: not .*a whole number >= 0, or all, none"),
        ({"covariance": "identity", "shrinkage": "ledoit-wolf"}, "nothing to shrink"),
        ({"covarance": "full"}, "did you mean 'covariance'"),
    ],
)
def test_bad_settings_are_named(values, message):
    with pytest.raises(InputError, match=message):
        GaussianSettings.parse(values)


def test_settings_read_text():
    parsed = GaussianSettings.parse(
        {"specific": "2", "shrinkage": "0.5", "shared_covariance": "no"}
    )
    assert (parsed.specific, parsed.shrinkage, parsed.shared_covariance) == (2, 0.5, False)


def test_too_many_specific_coordinates_are_refused():
    with pytest.raises(InputError, match="at most the 4 columns"):
        fitted(sample(), specific=5)


def test_families_are_listed_without_torch():
    code = (
        "import sys, sourcewise.families.registry as f\n"
        "print(list(f.families()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{list(families())} False"


def test_it_tells_what_auto_became():
    x = sample()
    assert Diagnosed(fitted(x).diagnostics()).resolved == {"shrinkage": "ledoit-wolf"}
    assert Diagnosed(fitted(x, shrinkage=0.1).diagnostics()).resolved == {}
