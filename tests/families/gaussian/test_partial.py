from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.moments import MomentParts
from sourcewise.partition import Partition
from sourcewise.randomness import Noise

K, N_K = 6, 8
Y = torch.arange(K).repeat_interleave(N_K)
NAMES = tuple("abcdef")


def sample(d: int, apart: float = 0.5, seed: int = 0) -> Tensor:
    means = 3 + apart * Noise(seed).of("means").normal(K, d)
    mix = torch.eye(d, dtype=torch.float64) + 0.3
    return means[Y] + Noise(seed).of("x").normal(len(Y), d) @ mix.T


def fitted(x: Tensor, y: Tensor = Y, c: Tensor | None = None, **options: Any) -> Gaussian:
    C = 0 if c is None else c.shape[1]
    settings = GaussianSettings.parse(options)
    model = Gaussian(settings, K=K, d=x.shape[1], C=C, partial=True)
    rows = Batch.of(x, y, c)
    model.choose(rows, torch.arange(len(y)) % 5, NAMES)
    model.fit_exactly(rows, NAMES)
    return model


def textbook(x: Tensor, within: float) -> Tensor:
    """One-way normal means: `m + T / (T + s2/n) (xbar_k - m)`, T = (MSB - s2) / n if positive."""
    means = x.view(K, N_K).mean(1)
    T = max(float(means.var()) - within / N_K, 0.0)
    return means.mean() + T / (T + within / N_K) * (means - means.mean())


@pytest.mark.parametrize("apart", [0.0, 0.3, 1.0, 5.0])
def test_one_way_normal_means_are_the_textbooks(apart):
    for seed in range(5):
        x = sample(1, apart, seed)
        known = fitted(x, covariance="identity").mean[:, 0]
        assert torch.allclose(known, textbook(x, 1.0), rtol=0, atol=1e-8)
        squares = float((x.view(K, N_K) - x.view(K, N_K).mean(1, keepdim=True)).square().sum())
        found = fitted(x).mean[:, 0]
        assert torch.allclose(found, textbook(x, squares / (K * N_K - K)), rtol=0, atol=1e-8)


CASES = [{}, {"covariance": "diagonal"}, {"covariance": "identity"}, {"shrinkage": "none"}]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_sums_give_what_rows_give(options):
    x, part = sample(3), torch.arange(K * N_K) % 5
    model = fitted(x, **options)
    parts = MomentParts.of(x, Y, part, K).grouped(torch.arange(5), 5)
    whole, settings = parts.joined(K), GaussianSettings.parse(options)
    found = Gaussian.solve(settings, whole, Partition.pooled(K), NAMES, parts, partial=True)
    assert torch.allclose(found.mean, model.mean, rtol=1e-9)
    assert torch.allclose(found.scale_tril[found.which], model.scale_tril, rtol=1e-8)
    assert found.free_parameters == model.free_parameters


def test_draws_have_the_moments_of_the_density():
    model = fitted(sample(2))
    y = torch.full((40_000,), 2)
    draws = model.sample(y, Noise(0).of("draw")).numpy()
    covariance = (model.scale_tril[2] @ model.scale_tril[2].T).numpy()
    assert np.allclose(draws.mean(0), model.mean[2], atol=4 * covariance.max() ** 0.5 / 200)
    assert np.allclose(np.cov(draws.T), covariance, rtol=0.05, atol=0.02)


def test_units_of_columns_do_not_matter():
    x = sample(3)
    units = torch.tensor([0.01, 1.0, 100.0], dtype=torch.float64)
    plain, scaled = fitted(x, shrinkage="none"), fitted(x * units, shrinkage="none")
    assert torch.allclose(plain.mean * units, scaled.mean, rtol=1e-7)
    assert torch.allclose(plain.scale_tril * units[:, None], scaled.scale_tril, rtol=1e-6)


def test_blocks_are_drawn_together_by_themselves():
    x = sample(2)
    moments = MomentParts.of(x, Y, torch.zeros_like(Y), K).grouped(torch.zeros(1).long(), 1)
    settings, blocks = GaussianSettings(shrinkage="none"), ((0, 1, 2), (3, 4, 5))
    found = Gaussian.solve(settings, moments, Partition(blocks), NAMES, partial=True)
    alone = Gaussian.solve(settings, moments, Partition(blocks[:1]), NAMES, partial=True)
    assert torch.allclose(found.mean[:3], alone.mean[:3])
    assert torch.allclose(found.scale_tril[:3], alone.scale_tril)


def test_a_source_of_one_row_has_a_density():
    x = torch.cat([sample(2), torch.tensor([[0.0, 1.0]], dtype=torch.float64)])
    y = torch.cat([Y, torch.tensor([K])])
    model = Gaussian(GaussianSettings(shrinkage="none"), K=K + 1, d=2, partial=True)
    model.fit_exactly(Batch.of(x, y), (*NAMES, "g"))
    assert bool(torch.isfinite(model.scale_tril).all())
    assert model.shares is not None
    assert float(model.shares[K, 1]) == pytest.approx(1.0)
    assert float(model.shares[K, 0]) > float(model.shares[:K, 0].max())


def test_given_columns_have_slopes_of_each_source():
    c = Noise(3).of("c").normal(len(Y), 1)
    model = fitted(sample(2) + c * torch.tensor([1.0, -2.0]), c=c)
    assert model.slopes is not None
    assert model.slopes.shape == (K, 2, 1)
    told = {d.name for d in model.diagnostics() if not d.setting}
    kinds = ("means", "covariances", "slopes")
    assert told >= {f"pooled share of {kind}" for kind in kinds}


def test_means_that_are_shared_leave_nothing_to_draw():
    with pytest.raises(InputError, match="strategy partial .* --set specific=all, not none"):
        Gaussian(GaussianSettings(specific="none"), K=2, d=2, partial=True)
