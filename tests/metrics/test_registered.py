"""The kernel distance decides comparisons, for every family that the energy distance decides."""

import pytest
import torch

import sourcewise as sw
from sourcewise.families.registry import families
from sourcewise.metrics.kernel_distance import METRIC
from sourcewise.metrics.registry import metric, metrics_of
from sourcewise.randomness import Noise


def sample(slope: float) -> sw.Sources:
    """Two sources of 60 rows, whose second column leans on the first by +-slope."""
    y = torch.arange(120) % 2
    x = Noise(0).normal(120, 2)
    x[:, 1] += slope * (2 * y - 1) * x[:, 0]
    return sw.Sources(x, y, ("a", "b"), name="points")


def test_it_is_registered_and_offered_wherever_draws_decide():
    assert metric("kernel-distance") is METRIC
    both = {"energy-distance", "kernel-distance"}
    ours = [item for item in families().values() if both & set(item.metrics)]
    assert len(ours) >= 6
    for item in ours:
        assert both <= set(item.metrics)
        assert metrics_of(item, "kernel-distance")[0] is METRIC
        assert item.metrics[0] not in both  # what decides unless users say is as it was


@pytest.mark.parametrize(
    ("slope", "allowed"),
    [(2.0, ["separate"]), (0.0, ["equivalent", "pool", "undecided"])],
)
def test_opposite_sources_are_parted_and_equal_ones_are_not(slope, allowed):
    found = sw.compare(sample(slope), seeds=1, model="gaussian", metric="kernel-distance")
    assert found.document["primary_metric"] == "kernel_distance"
    assert found.document["metrics"]["kernel_distance"]["unit"] == "squared units of the kernel"
    assert found.verdict["overall"] in allowed
