"""Near copies: told where they are more than chance makes."""

import torch

from sourcewise.comparison.dependence import near_duplicates
from sourcewise.randomness import Noise
from sourcewise.sources import Sources

N = 4000


def made(x: torch.Tensor) -> Sources:
    return Sources(x, torch.arange(len(x)) % 2, ("a", "b"), name="made")


def test_near_copies_by_chance_are_no_sign_of_copied_records():
    """Heavy tails make standard deviations large: most rows are near others, and none a copy."""
    heavy = (2 * Noise(0).normal(N, 2)).exp()
    assert near_duplicates(made(heavy)) is None


def test_a_handful_among_many_rows_is_not_told_but_among_the_few_of_a_source():
    x, y = Noise(3).normal(N, 4), torch.arange(N) % 2
    x[:2] = x[2:4] + 1e-5  # of 4000 rows 4, two of each source: one in a thousand
    assert near_duplicates(Sources(x, y, ("a", "b"))) is not None
    x[1] += 1  # two of source a are left
    assert near_duplicates(Sources(x, y, ("a", "b"))) is not None
    many = torch.cat([x, Noise(4).normal(N, 4)])
    assert near_duplicates(made(many)) is None
    y = torch.arange(2 * N) % 2
    y[[0, 5, 7, 9]] = 2  # one of four rows is a copy
    found = near_duplicates(Sources(many, y, ("a", "b", "c")))
    assert found is not None
    assert found.text.startswith("2 rows have")


def test_noisy_copies_are_told_in_few_columns_too():
    x = Noise(1).normal(N, 2)
    x[: N // 10] = x[N // 2 : N // 2 + N // 10] + 1e-5 * Noise(2).normal(N // 10, 2)
    told = near_duplicates(made(x))
    assert told is not None
    assert "rows have a near copy" in told.text
