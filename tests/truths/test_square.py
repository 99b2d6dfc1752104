"""Truths on the square: integrals, samples, and how far sources are apart."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.quadrature import gauss_legendre, midpoints
from sourcewise.randomness import Noise
from sourcewise.truths.square import RADIUS, SQUARES, checkerboard, moons, rings

KINDS = {
    **SQUARES,
    "smooth checkerboard": lambda K, shift=0.1: checkerboard(K, shift, 6, 0.8, smooth=True),
    "faint checkerboard": lambda K, shift=0.1: checkerboard(K, shift, 2, 0.5),
}
ALL = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def densities(truth: Any, x: Tensor) -> Tensor:
    """(K, N)."""
    return torch.stack([truth.log_prob(x, torch.tensor(k)).exp() for k in range(truth.K)])


def gap(truth: Any, nodes: int = 200) -> float:
    """TV of the first two sources on a grid."""
    p, q = densities(truth, midpoints(nodes, 2)[0])[:2]
    return float((p - q).abs().mean()) / 2


@ALL
def test_densities_integrate_to_one(make):
    truth = make(3, shift=0.15)
    sharp = getattr(truth, "smooth", True) is False
    x, log_weight = (midpoints if sharp else gauss_legendre)(400 if sharp else 120, 2)
    masses = densities(truth, x) @ log_weight.exp()
    # on a grid, a wall between cells is misplaced by at most half a point, at 4 n of them
    assert (masses - 1).abs().max() < (0.02 if sharp else 1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.125])
def test_a_sharp_checkerboard_integrates_to_one_where_walls_are_on_the_grid(shift):
    truth = checkerboard(2, shift)
    masses = densities(truth, midpoints(16, 2)[0]).mean(1)
    assert masses.tolist() == [1.0, 1.0]


@ALL
def test_samples_have_the_frequencies_of_the_density(make):
    truth, n, cells, fine = make(2), 40_000, 8, 40
    y = torch.arange(n) % 2
    x = truth.sample(y, noise=Noise(0))
    assert x.shape == (n, 2)
    assert bool(((x >= 0) & (x <= 1)).all())
    assert bool(truth.log_prob(x, y).isfinite().all())
    number = (x * cells).long() @ torch.tensor([cells, 1])
    corners = torch.cartesian_prod(*[torch.arange(cells)] * 2)
    inner = (corners[:, None] + midpoints(fine, 2)[0]) / cells  # walls at .1 are on this grid
    for k in range(2):
        p = truth.log_prob(inner, torch.tensor(k)).exp().mean(1) / cells**2
        expected, seen = n / 2 * p, torch.bincount(number[y == k], minlength=cells**2)
        likely = expected > 5
        chi2 = float(((seen - expected) ** 2 / expected)[likely].sum())
        degrees = int(likely.sum())
        assert chi2 < degrees + 5 * math.sqrt(2 * degrees)
        assert float(p.max() / p.clamp(min=1e-9).min()) > 1.5


@ALL
def test_sources_differ_as_far_as_they_are_shifted(make):
    assert gap(make(2, shift=0.0)) == 0
    found = [gap(make(2, shift=s)) for s in (0.01, 0.03, 0.06)]
    assert 0.005 < found[0] < found[1] < found[2] < 1


@pytest.mark.parametrize("make", [rings, checkerboard])
def test_sources_are_displaced_copies(make):
    truth, shift = make(4, 0.1), 0.1
    x = 0.35 + 0.3 * Noise(0).uniform(500, 2)  # far from the walls
    for k in range(4):
        angle = 2 * math.pi * torch.tensor(k / 4, dtype=torch.float64)
        d = shift * torch.stack([angle.cos(), angle.sin()])
        still = make(1, 0.0).log_prob(x, torch.tensor(0))
        moved = truth.log_prob(x + d, torch.tensor(k))
        torch.testing.assert_close(moved, still, atol=1e-7, rtol=0)


def test_distance_of_checkerboards_is_the_share_of_cells_that_change():
    """Displaced by 2 shift along x_1, squares of side 1/4 trade `2 shift / (1/4)` of mass."""
    assert gap(checkerboard(2, 0.05)) == pytest.approx(0.4, abs=1e-12)
    assert gap(checkerboard(2, 0.05, contrast=0.5)) == pytest.approx(0.2, abs=1e-12)


def test_distance_of_smooth_checkerboards():
    """`(a/2) (2/pi) int |sin(pi n t) - sin(pi n (t - 2 s))| = 4 a / pi^2 |sin(pi n s)|`."""
    found = gap(checkerboard(2, 0.05, contrast=0.7, smooth=True), 1000)
    assert found == pytest.approx(4 * 0.7 / math.pi**2 * math.sin(0.2 * math.pi), rel=1e-4)


def test_a_ring_has_its_mass_at_its_radius():
    truth = rings(1, 0.0, width=0.01)
    angle = torch.linspace(0, 2 * math.pi, 1001, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    on = truth.log_prob(0.5 + RADIUS * circle, torch.tensor(0))
    assert float(on.max() - on.min()) < 1e-6  # no ripples
    radii = (truth.sample(torch.zeros(5000).long(), noise=Noise(0)) - 0.5).norm(dim=1)
    outer = radii > 0.24
    assert float(outer.double().mean()) == pytest.approx(2 / 3, abs=0.03)
    assert float(radii[outer].mean()) == pytest.approx(RADIUS, abs=1e-3)
    assert float(radii[~outer].mean()) == pytest.approx(RADIUS / 2, abs=1e-3)


def test_moons_are_turned_about_the_centre_they_are_displaced_to():
    truth = moons(3, 0.05, 0.02)  # walls are 6 sd away: nothing is cut off
    middle = moons(1, 0.0, 0.02)  # not turned, not displaced
    x = 0.3 * (Noise(0).uniform(200, 2) - 0.5)
    for k, turn in enumerate([-0.05 / RADIUS, 0.0, 0.05 / RADIUS]):
        a, b = math.cos(turn), math.sin(turn)
        turned = x @ torch.tensor([[a, b], [-b, a]], dtype=torch.float64)
        angle = 2 * math.pi * k / 3
        d = 0.05 * torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
        found = truth.log_prob(0.5 + d + turned, torch.tensor(k))
        torch.testing.assert_close(
            found, middle.log_prob(0.5 + x, torch.tensor(0)), rtol=0, atol=1e-9
        )


@ALL
def test_means_stay_inside_and_samples_do_not_depend_on_the_batch(make):
    truth, y = make(3, shift=0.15), torch.arange(31) % 3
    if hasattr(truth, "mean"):
        assert float((truth.mean - 0.5).abs().max()) < 0.5 - 0.01
    noise, rows = Noise(3).each(y), torch.arange(31)
    parts = [truth.sample(y[i], noise=noise.take(i)) for i in (rows[:7], rows[7:])]
    assert torch.equal(torch.cat(parts), truth.sample(y, noise=noise))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (rings, {"K": 0}, "K must be a whole number, at least 1"),
        (moons, {"K": 2, "shift": 0.3}, "shift must be in \\[0, 0.15\\], got 0.3"),
        (rings, {"K": 2, "width": 0.0}, "width must be in"),
        (checkerboard, {"K": 2, "cells": 3}, "cells must be an even number, got 3"),
        (checkerboard, {"K": 2, "contrast": 2}, "contrast must be in \\[0, 1\\]"),
    ],
)
def test_what_is_not_allowed_is_said(make, options, message):
    with pytest.raises(InputError, match=message):
        make(**options)
