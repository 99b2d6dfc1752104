import math

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.partitioned import PartitionedModel
from sourcewise.families.registry import family
from sourcewise.metrics.distributions import as_gaussian, log_prob
from sourcewise.metrics.likelihood import expected_log_likelihood, log_likelihood
from sourcewise.metrics.total_variation import total_variation
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.training import TrainingData, fit
from sourcewise.truths.gaussian import GaussianTruth, paper_gaussian

K, D, N = 4, 3, 400
Y = torch.arange(N) % K
TRUTH = paper_gaussian(K, D, 1)


def fitted(partition: Partition, **options) -> PartitionedModel:
    settings = GaussianSettings.parse(options)
    names = tuple("abcd")
    build = lambda size: family("gaussian").build(settings, K=size, d=D)  # noqa: E731
    model = PartitionedModel(partition, build, names)
    fit(model, TrainingData.plain(TRUTH.sample(Y, noise=Noise(0)), Y), names=names)
    return model


def test_likelihood_per_source_and_worst():
    model = fitted(Partition.pooled(K))
    x = TRUTH.sample(Y, noise=Noise(1))
    x[Y == 2] *= 3
    result = log_likelihood(model, x, Y, K)
    by_hand = log_prob(model, x, Y)[Y == 1]
    assert math.isclose(result[1].value, float(by_hand.mean()))
    assert math.isclose(result[1].standard_error, float(by_hand.std()) / 10)
    assert result.worst_source == 2
    with pytest.raises(InputError, match="source 4 has fewer than two rows"):
        log_likelihood(model, x, Y, K + 1)


@pytest.mark.parametrize("tails", ["normal", "t5"])
def test_expected_likelihood_is_the_mean_over_many_rows(tails):
    """For any truth with the same mean and covariance, whatever its shape."""
    model = fitted(Partition(((0, 2), (1, 3))), shared_covariance=False)
    y = torch.arange(K).repeat_interleave(100_000)
    z = Noise(2).normal(len(y), D)
    if tails == "t5":
        chi = Noise(3).normal(len(y), 5).square().sum(1, keepdim=True)
        z = z / (chi / 3).sqrt()
    exact = expected_log_likelihood(model, TRUTH.mean, torch.eye(D).double().repeat(K, 1, 1))
    simulated = log_likelihood(model, TRUTH.mean[y] + z, y, K)
    for one, other in zip(exact, simulated, strict=True):
        assert abs(one.value - other.value) < 4 * other.standard_error


def test_a_partition_of_gaussians_is_gaussian():
    """So its distance to a truth is exact, whatever the order of its blocks."""
    model = fitted(Partition(((3, 1), (0,), (2,))), covariance="identity", specific=1)
    moments = as_gaussian(model)
    assert moments is not None
    x = TRUTH.sample(Y, noise=Noise(4))
    assert torch.allclose(log_prob(moments, x, Y), log_prob(model, x, Y))
    result = total_variation(model, TRUTH)
    gaps = (moments.mean - TRUTH.mean).norm(dim=1)
    expected = torch.special.erf(gaps / math.sqrt(8))  # 2 Phi(gap / 2) - 1
    assert result.values == pytest.approx(expected.tolist())
    assert result.average.standard_error == 0


def test_other_models_have_no_closed_form():
    assert as_gaussian(object()) is None
    with pytest.raises(InputError, match="Gaussian models only"):
        expected_log_likelihood(object(), TRUTH.mean, torch.eye(D)[None])
    assert as_gaussian(GaussianTruth(TRUTH.mean, TRUTH.scale_tril)) is not None
