"""Sizes of steps: what follows from how far blocks move rows; residuals that are affine."""

import numpy as np
import pytest
import torch

from sourcewise.families.jko.steps import affine_residual, next_size
from sourcewise.randomness import Noise
from sourcewise.theory import jko_normal


def test_a_mean_moves_equally_far_in_all_steps_and_ends_where_it_is_to():
    """N(m, I): exact steps divide m by 1 + gamma, and nothing else is to be done."""
    m, end, N = 3.0, 0.2, 5
    gamma = (m - end) / N / (m - (m - end) / N)  # the first moves it by a fifth of its way
    moved = []
    for number in range(N):
        after, s = jko_normal.step(m, 1.0, gamma)
        assert s == pytest.approx(1, abs=1e-12)
        moved.append(m - after)
        assert moved[-1] / gamma == pytest.approx(after, rel=1e-12)  # the Fisher information
        m = after
        if number < N - 1:
            gamma = next_size(gamma, moved[-1], end, N - 1 - number)
    assert moved == pytest.approx([(3.0 - end) / N] * N, rel=1e-9)
    assert m == pytest.approx(end, rel=1e-9)


def test_sizes_never_fall_and_have_an_end():
    assert next_size(2.0, 1.0, 0.1, 4) == 2.0
    assert next_size(0.5, 1.0, 5.0, 3) == 0.5  # there is nothing left to do
    assert next_size(0.5, 1.0, 1e-9, 1) == 100.0
    assert next_size(0.5, 0.0, 0.1, 1) == 0.5


def test_the_affine_residual_of_normal_laws_is_the_residual():
    m, s = np.array([2.0, -1.0]), np.array([0.5, 1.5])
    after = jko_normal.step(m, s, 0.7, a=[0.3, -0.2], b=[0.1, 0.4])
    z = Noise(0).normal(1000, 2)
    z = z - z.mean(0)
    z = torch.linalg.solve_triangular(torch.linalg.cholesky(z.T @ z / 1000), z.T, upper=False).T
    turn = torch.linalg.qr(Noise(1).normal(2, 2)).Q
    rows = [(torch.tensor(mean) + torch.tensor(sd) * z) @ turn for mean, sd in ((m, s), after)]
    expected = (0.3**2 + 0.2**2 + 0.1**2 + 0.4**2) ** 0.5
    assert affine_residual(*rows, gamma=0.7) == pytest.approx(expected, rel=1e-9)
