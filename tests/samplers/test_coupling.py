"""Pairs of noise and rows: against all permutations, in one column, inside sources."""

from itertools import permutations

import pytest
import torch

from sourcewise.randomness import Noise
from sourcewise.samplers.coupling import MOST, coupled


def drawn(*shape):
    return Noise(0).of("x").normal(*shape), Noise(0).of("n").normal(*shape)


def test_no_permutation_costs_less():
    x, n = drawn(6, 3)
    cost = float((x - coupled(n, x, torch.zeros(6, dtype=torch.long))).square().sum())
    every = (float((x - n[list(order)]).square().sum()) for order in permutations(range(6)))
    assert cost == pytest.approx(min(every), rel=1e-12)


def test_one_column_is_paired_in_order():
    x, n = drawn(50, 1)
    found = coupled(n, x, torch.zeros(50, dtype=torch.long))
    assert torch.equal(found[x[:, 0].argsort()], n.sort(0).values)


def test_noise_stays_within_its_source():
    x, n = drawn(40, 2)
    y = torch.arange(40) % 3
    found = coupled(n, x, y)
    for k in range(3):
        alone = coupled(n[y == k], x[y == k], y[y == k])
        assert torch.equal(found[y == k], alone)
        assert set(map(tuple, alone.tolist())) == set(map(tuple, n[y == k].tolist()))


def test_many_rows_are_paired_in_parts():
    x, n = drawn(MOST + 10, 1)
    y = torch.zeros(len(x), dtype=torch.long)
    found = coupled(n, x, y)
    assert torch.equal(found[:MOST], coupled(n[:MOST], x[:MOST], y[:MOST]))
    assert torch.equal(found.sort(0).values, n.sort(0).values)
