"""Precision, recall, density and coverage against brute force and their expectations."""

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.metrics.manifold import expected_coverage, manifold
from sourcewise.metrics.pairs import NARROW, nearest, radii
from sourcewise.randomness import Noise


def points(n, d, seed=0):
    return Noise(seed).of("points", n, d).normal(n, d)


def by_force(x, y, k):
    """As they are written, by all differences."""
    xx, yy, xy = ((a[:, None] - b).norm(dim=2) for a, b in ((x, x), (y, y), (x, y)))
    around, among = (d.sort(1).values[:, k] for d in (xx, yy))
    inside, reached = xy <= around[:, None], xy <= among[None]
    shares = inside.any(0), reached.any(1), inside.sum(0).double() / k, inside.any(1)
    return [float(share.double().mean()) for share in shares]


@pytest.mark.parametrize("d", [1, 3, NARROW + 1, 40])
@pytest.mark.parametrize("k", [1, 5])
def test_numbers_are_those_of_brute_force(d, k, monkeypatch):
    x, y = points(60, d), 1.2 * points(45, d, 1) + 0.1
    wanted = by_force(x, y, k)
    for block in (1 << 21, 200):
        monkeypatch.setattr("sourcewise.metrics.pairs.BLOCK", block)
        found = manifold(x, y, k)
        assert [found.precision, found.recall, found.density, found.coverage] == wanted


def test_nearest_points_are_those_of_brute_force(monkeypatch):
    monkeypatch.setattr("sourcewise.metrics.pairs.BLOCK", 100)
    x, y = points(30, 20), points(50, 20, 1)
    y[3] = x[4]
    exact = (x[:, None] - y).norm(dim=2).amin(1)
    assert torch.allclose(nearest(x, y), exact, atol=1e-12)
    assert nearest(x, y)[4] == 0
    both = torch.cat([x, x])  # every point has a copy
    assert (radii(both, 1) == 0).all()
    own = (x[:, None] - x).norm(dim=2).sort(1).values
    assert torch.allclose(radii(x, 3), own[:, 3], atol=1e-12)


def test_expectations_under_the_truth_hold_for_any_law():
    """Cauchy points: E density = 1, E coverage by the formula, within 4 standard errors."""
    found = []
    for s in range(1500):
        u = Noise(s).uniform(12 + 9, 2)
        both = (torch.pi * (u - 0.5)).tan()
        numbers = manifold(both[:12], both[12:], 3)
        found.append([numbers.density, numbers.coverage])
    values = torch.tensor(found)
    error = values.std(0) / 1500**0.5
    wanted = torch.tensor([1.0, expected_coverage(12, 9, 3)])
    assert ((values.mean(0) - wanted).abs() < 4 * error).all()


def test_copies_are_precise_and_one_mode_recalls_little():
    x = torch.cat([points(50, 2), points(50, 2, 1) + 20])
    found = manifold(x, x)
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    one = manifold(x, points(100, 2, 2))
    assert one.precision > 0.9
    assert one.recall <= 0.5
    assert one.coverage <= 0.5
    far = manifold(x, points(100, 2, 2) + 1000)
    assert (far.precision, far.recall, far.density, far.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_points_that_are_all_one_are_no_error():
    x = torch.ones(8, 3).double()
    assert manifold(x, x).precision == 1.0


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="5 neighbours among 5 rows"):
        manifold(points(5, 2), points(9, 2))
