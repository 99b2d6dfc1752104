"""The nearest-training-row ratio: copies, the truth, and what is far."""

import math

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.metrics.memorisation import memorisation
from sourcewise.randomness import Noise


def points(n, d, seed=0):
    return Noise(seed).of("points", n, d).normal(n, d)


@pytest.mark.parametrize("d", [2, 40])
def test_copies_have_ratio_0_and_are_all_nearer(d):
    training, held_out = points(100, d), points(50, d, 1)
    found = memorisation(training[:30], training, held_out)
    assert (found.ratio, found.share, found.nearer) == (0.0, 1.0, 1.0)


def test_held_out_rows_themselves_have_ratio_1():
    training, held_out = points(100, 3), points(250, 3, 1)
    found = memorisation(held_out, training, held_out)
    assert (found.ratio, found.nearer) == (1.0, 0.5)
    assert found.share == 1 / 250  # r = 2: one is below the second


def test_draws_from_the_truth_are_as_near_as_rows():
    """Log ratio 0, share r / (h + 1), nearer 1/2 in expectation, within 4 standard errors."""
    found = []
    for s in range(600):
        training = points(20, 2, s)
        draws, held_out = points(30, 2, s + 10_000), points(30, 2, s + 20_000)
        one = memorisation(draws, training, held_out)
        found.append([math.log(one.ratio), one.share, one.nearer])
        assert one.expected_share == 1 / 31
    values = torch.tensor(found)
    error = values.std(0) / 600**0.5
    assert ((values.mean(0) - torch.tensor([0.0, 1 / 31, 0.5])).abs() < 4 * error).all()


def test_numbers_are_those_of_brute_force():
    draws, training, held_out = points(7, 3), points(11, 3, 1), points(210, 3, 2)
    t, u = ((a[:, None] - training).norm(dim=2).amin(1) for a in (0.3 * draws, held_out))
    found = memorisation(0.3 * draws, training, held_out)
    assert found.ratio == pytest.approx(float(t.quantile(0.5) / u.quantile(0.5)), abs=1e-12)
    assert found.share == float((t < u.sort().values[1]).double().mean())
    assert found.nearer == pytest.approx(float((t[:, None] < u).double().mean()))
    assert found.expected_share == 2 / 211


def test_ties_count_half_and_copies_among_rows_have_no_ratio():
    training = torch.zeros(3, 1).double()
    found = memorisation(training, training, training)
    assert found.nearer == 0.5
    assert math.isnan(found.ratio)


def test_nothing_is_refused():
    with pytest.raises(InputError, match="no held-out rows"):
        memorisation(points(2, 2), points(2, 2), points(0, 2))
