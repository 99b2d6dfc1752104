"""What a label tells: how much of it a model has learnt is found, whatever else its densities do.

Sources are normals of variance 1 about `APART k`; models are normals about other means.
"""

import math

import pytest
import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.comparison.cautions import HALF, most_learnt
from sourcewise.fitting.label_probe import label_effect
from sourcewise.metrics.base import HeldOut
from sourcewise.partition import Partition
from sourcewise.randomness import Noise

K, N = 3, 300
SHARED, SEPARATE = Partition.pooled(K), Partition.separate(K)


def told(
    partition: Partition,
    means: Tensor,
    scales: Tensor,
    apart: float = 1.0,
    counts: tuple[int, ...] = (N,) * K,
) -> tuple[float, float]:
    """What the label tells models of means and scales (K,), and its standard error."""
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    x = apart * y[:, None] + Noise(0).normal(len(y), 1)

    def density(batch: Batch, at: Tensor, noise: Noise) -> Tensor:
        assert torch.equal(batch.tensor, x[at])
        z = (batch.tensor[:, 0] - means[batch.y]) / scales[batch.y]
        return -z.square() / 2 - scales[batch.y].log() - math.log(2 * math.pi) / 2

    batch = Batch.of(x, y)
    rows = HeldOut(x, batch, torch.zeros(len(y), dtype=torch.float64))
    own = density(batch, torch.arange(len(y)), Noise(0))
    found = label_effect(partition, density, own, rows, Noise(1))
    return found[2].item(), found[3].item()


def line(apart: float, share: float = 1.0) -> Tensor:
    """(K,) means that know a share of what sets the sources apart."""
    own = apart * torch.arange(K).double()
    return own.mean() + share * (own - own.mean())


ONES = torch.ones(K, dtype=torch.float64)


@pytest.mark.parametrize("apart", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("share", [0.0, 0.07, 0.9, 1.0])
def test_the_share_learnt_is_told_with_its_uncertainty(apart, share):
    of = told(SEPARATE, line(apart), ONES, apart)
    learnt = told(SHARED, line(apart, share), ONES, apart)
    most = most_learnt(learnt, of)
    assert (most < HALF) == (share < 0.5)
    if apart <= 1:  # no gap is cut
        assert learnt[0] / of[0] == pytest.approx(share, abs=0.12)
        assert most >= share


def test_separate_models_that_exaggerate_are_no_reason_to_call_others_deaf():
    """Variances of a ninth make gaps nine times as large."""
    of = told(SEPARATE, line(1.0), ONES / 3)
    learnt = told(SHARED, line(1.0), ONES)
    assert learnt[0] / of[0] == pytest.approx(1, abs=0.1)
    far = told(SEPARATE, line(20.0), ONES / 3, 20.0), told(SHARED, line(20.0), ONES, 20.0)
    assert far[0][0] == pytest.approx(far[1][0], rel=0.01)


def test_equal_sources_tell_nothing_though_some_models_are_better_than_others():
    """The model of many rows is right, those of few are wrong: no label is worth anything."""
    means, scales = torch.tensor([0.0, 2.0, -1.5]).double(), torch.tensor([1.0, 0.5, 2.0]).double()
    for counts in ((N,) * K, (2000, 40, 40)):
        value, error = told(SEPARATE, means, scales, 0.0, counts)
        assert value <= 2 * error + 1e-3
        assert most_learnt((0.0, error), (value, error)) > HALF
