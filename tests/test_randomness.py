import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sourcewise.randomness import Noise, philox

# Known answers of Random123 (Salmon et al. 2011): counter, key, words.
ONES = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, words):
    out = philox(tuple(torch.tensor([c]) for c in counter), key)
    assert tuple(int(word) for word in out) == words


@given(st.integers(1, 40), st.integers(0, 2**40), st.integers(1, 5))
def test_examples_keep_their_draws_in_any_batch(batch, seed, event):
    y = torch.arange(40) % 3
    whole = Noise(seed).of("sample").each(y).normal(event)
    parts = [
        Noise(seed)
        .of("sample")
        .each(y[i : i + batch], torch.arange(40)[i : i + batch])
        .normal(event)
        for i in range(0, 40, batch)
    ]
    assert torch.equal(whole, torch.cat(parts))


def test_routed_examples_keep_their_draws():
    noise = Noise(3).each(torch.tensor([0, 1, 0, 2]))
    index = torch.tensor([3, 0])
    assert torch.equal(noise.take(index).normal(2, 3), noise.normal(2, 3)[index])


def test_every_part_of_the_key_matters():
    y = torch.zeros(1, dtype=torch.int64)
    draws = [
        Noise(0).of("a").each(y).uniform(1),
        Noise(1).of("a").each(y).uniform(1),
        Noise(0).of("b").each(y).uniform(1),
        Noise(0).of("a", "").each(y).uniform(1),
        Noise(0).of("a").each(y + 1).uniform(1),
        Noise(0).of("a").each(y, torch.tensor([1])).uniform(1),
        Noise(0).of("a").each(y, torch.tensor([2**32])).uniform(1),
    ]
    assert len({float(draw) for draw in draws}) == len(draws)
    assert float(Noise(0).of(1).uniform(1)) != float(Noise(0).of("1").uniform(1))


def test_uniform_draws_have_53_bits():
    """An integer tensor times a number would be single precision, and 1.0 could be drawn."""
    u = Noise(0).each(torch.zeros(4000, dtype=torch.int64)).uniform(3)
    assert u.dtype == torch.float64
    bits = u * 2.0**53
    assert torch.equal(bits, bits.floor())
    assert 0.45 < float((bits % 2).mean()) < 0.55  # the last bit is random
    assert float(u.max()) < 1


def test_draws_follow_their_distributions():
    noise = Noise(7).each(torch.arange(50_000) % 5)
    assert stats.kstest(noise.uniform(2).numpy().ravel(), "uniform").pvalue > 1e-3
    z = noise.of("z").normal(3).numpy()
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(z.T) - np.eye(3)).max() < 0.02


def test_bulk_draws_leave_global_generators_alone():
    before = torch.get_rng_state()
    noise = Noise(0)
    drawn = [noise.normal(3), noise.uniform(3), noise.permutation(3), noise.integers(2, 3)]
    assert all(len(draw) == 3 for draw in drawn)
    assert torch.equal(before, torch.get_rng_state())
