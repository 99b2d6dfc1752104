import pytest
import torch

from sourcewise.moments import MomentParts, Moments
from sourcewise.randomness import Noise

K, D, N, P = 3, 4, 600, 7
Y = Noise(0).of("y").integers(K, N)
PART = Noise(0).of("part").integers(P, N)
# Far from zero, and skew: differences of large numbers, and odd moments that matter.
X = Noise(0).of("x").normal(N, D) ** 3 + torch.tensor([1e6, 0, -5, 2])


def check(found: Moments, x: torch.Tensor, y: torch.Tensor):
    for k in range(K):
        u = x[y == k] - found.center[k]
        square = u * u
        assert found.count[k] == len(u)
        for name, right in (
            ("first", u.sum(0)),
            ("second", u.T @ u),
            ("third", square.T @ u),
            ("fourth", square.T @ square),
        ):
            value = getattr(found, name)[k]
            assert (value - right).abs().max() <= 1e-9 * (1 + right.abs().max()), name


def test_moments_are_sums_over_rows():
    found = Moments.of(X, Y, K)
    check(found, X, Y)
    for k in range(K):
        assert torch.allclose(found.mean[k], X[Y == k].mean(0), rtol=1e-14)


@pytest.mark.parametrize("kept", [[0], [1, 2, 5], list(range(P))], ids=str)
def test_parts_add_up_about_any_point_and_on_any_scale(kept):
    where = torch.isin(torch.arange(P), torch.tensor(kept))
    rows = where[PART]
    found = MomentParts.of(X, Y, PART, K).where(where)
    check(found, X[rows], Y[rows])
    mean, scale = X.mean(0), X.std(0)
    point = Noise(1).normal(K, D)
    check(found.standardised(mean, scale).about(point), ((X - mean) / scale)[rows], Y[rows])


def test_a_source_without_rows_in_a_part_adds_nothing():
    x, y = X[Y < 2], Y[Y < 2]
    found = MomentParts.of(x, y, torch.zeros_like(y), K).where(torch.ones(1, dtype=torch.bool))
    assert found.count[2] == 0
    assert found.second[2].abs().max() == 0
