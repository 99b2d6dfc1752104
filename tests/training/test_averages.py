"""Averages of weights: power functions of the update, and any length after the training."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from sourcewise.families.settings import TrainedSettings
from sourcewise.randomness import Noise
from sourcewise.training.averages import (
    STORED,
    Averages,
    combination,
    exponent,
    relative_length,
)

UPDATES = 2000


class Several(TrainedSettings):
    """With averages of several lengths."""

    @property
    def ema_lengths(self) -> tuple[float, ...]:
        return (0.03, 0.05, 0.1, 0.15, 0.2)

    @property
    def early_share(self) -> float:
        return 0.1


def path() -> Tensor:
    """(updates, models, parameters): weights that come to rest, with noise that stays."""
    t = torch.arange(1, UPDATES + 1, dtype=torch.float64)[:, None, None]
    noise = Noise(0).normal(UPDATES, 2, 50)
    return (-3 * t / UPDATES).exp() + 0.3 * noise


def averaged(weights: Tensor, length: float, step: int) -> Tensor:
    """The average at an update, by its recursion."""
    g, out = exponent(length), torch.zeros_like(weights[0])
    for t in range(1, step + 1):
        out.lerp_(weights[t - 1], 1 - (1 - 1 / t) ** (g + 1))
    return out


def watched() -> Averages:
    weights = path()
    averages = Averages(torch.zeros_like(weights[0]), Several())
    for t in range(1, UPDATES + 1):
        averages.update(weights[t - 1], t)
    return averages


@pytest.mark.parametrize("length", [0.02, 0.05, 0.1, 0.2, 0.28])
def test_exponents_have_the_length_that_they_are_of(length):
    assert relative_length(exponent(length)) == pytest.approx(length, rel=1e-9)


@pytest.mark.parametrize("length", [0.05, 0.1])
def test_relative_length_is_the_spread_of_the_profile(length):
    g, s = exponent(length), (np.arange(10**6) + 0.5) / 10**6
    p = (g + 1) * s**g / 10**6
    spread = math.sqrt(p @ s**2 - (p @ s) ** 2)
    assert spread == pytest.approx(length, rel=1e-4)


def test_a_stored_average_is_combined_of_itself_alone():
    steps = [100, 100, 300, 300]
    x = combination(steps, [0.05, 0.1, 0.05, 0.1], 300, 0.1)
    assert x == pytest.approx([0, 0, 0, 1], abs=1e-8)


@pytest.mark.parametrize(("length", "within"), [(0.03, 0.5), (0.075, 0.03), (0.15, 0.05)])
def test_averages_of_other_lengths_are_made_afterwards(length, within):
    """Against the average of that length itself: within a share of what averaging changes."""
    averages, weights = watched(), path()
    averages.lengths = (length,)
    found = {t: w for _, t, w in averages.afterwards([0, 1], UPDATES, UPDATES)}
    exact = averaged(weights, length, UPDATES)
    changed = (exact - weights[-1]).norm()
    assert (found[UPDATES] - exact).norm() < within * changed


def test_all_lengths_come_near_an_early_best_update():
    averages = watched()
    best = sorted(averages.snapshots)[-4] + 1
    found = [(length, t) for length, t, _ in averages.afterwards([0], UPDATES, best)]
    before, after = sorted(averages.snapshots)[-4:-2]
    wanted = {(length, t) for t in (before, after) for length in Several().ema_lengths}
    assert set(found) == wanted


def test_snapshots_thin_out_and_reach_back():
    steps = sorted(watched().snapshots)
    assert steps[0] <= UPDATES / 16
    assert all(b >= 1.25 * a for a, b in pairwise(steps))
    assert len(steps) < 20


def test_the_early_average_is_that_of_a_tenth_of_the_updates():
    averages, weights = watched(), path()
    t = min(averages.snapshots, key=lambda t: abs(t - UPDATES / 10))
    kept = averages.kept(1, UPDATES)
    assert kept.shape == (1, 50)
    assert torch.allclose(kept[0], averaged(weights, STORED[-1], t)[1])


def test_checkpoints_hold_all_of_them():
    averages = watched()
    tensors = averages.tensors()
    fresh = Averages(torch.zeros(2, 50, dtype=torch.float64), Several())
    assert fresh.wanted(tensors, tensors[f"power/{STORED[0]}"]).keys() <= tensors.keys()
    fresh.restore(tensors)
    assert fresh.snapshots.keys() == averages.snapshots.keys()
    for (_, _, a), (_, _, b) in zip(
        averages.afterwards([1], UPDATES, 900), fresh.afterwards([1], UPDATES, 900), strict=True
    ):
        assert torch.equal(a, b)


def test_a_checkpoint_with_half_a_snapshot_is_refused():
    averages = watched()
    tensors = averages.tensors()
    del tensors[next(name for name in tensors if name.startswith("snapshot/"))]
    with pytest.raises(ValueError, match="too many or too few"):
        averages.wanted(tensors, torch.zeros(2, 50))
