"""The decoder, its packing of rows and its cache."""

import pytest
import torch

from sourcewise.networks.cache import Cache
from sourcewise.networks.layers import reset
from sourcewise.networks.packing import Packed, rotate, turns
from sourcewise.networks.transformer import Decoder
from sourcewise.randomness import Noise

CPU = torch.device("cpu")
WIDTH, LAYERS = 8, 2


def decoder() -> Decoder:
    net = Decoder(WIDTH, LAYERS, heads=2, hidden=16)
    reset(net, Noise(0))
    return net.double()


def mask(*lengths: int, L: int) -> torch.Tensor:
    return torch.arange(L) < torch.tensor(lengths)[:, None]


def test_rows_and_padded_are_inverse():
    inside = mask(3, 1, 0, 4, L=4)
    packed, x = Packed(inside), Noise(0).normal(4, 4, 2)
    assert packed.rows(x).shape == (8, 2)
    torch.testing.assert_close(packed.rows(x), x[inside])
    torch.testing.assert_close(packed.padded(packed.rows(x)), x * inside[..., None])
    assert packed.sequence.tolist() == [0, 0, 0, 1, 3, 3, 3, 3]
    assert packed.position.tolist() == [0, 1, 2, 0, 0, 1, 2, 3]


def test_with_several_models_each_has_its_own_rows():
    inside = torch.stack([mask(3, 1, L=3), mask(1, 1, L=3)])
    packed, x = Packed(inside), Noise(0).normal(2, 2, 3, 5)
    assert packed.rows(x).shape == (2, 4, 5)  # the second is filled up with padding
    torch.testing.assert_close(packed.rows(x)[0], x[0][inside[0]])
    torch.testing.assert_close(packed.rows(x)[1, :2], x[1][inside[1]])
    back = packed.padded(packed.rows(x))
    torch.testing.assert_close(back[inside], x[inside])


def test_attention_is_the_causal_one():
    L, heads, size = 5, 2, 4
    packed = Packed(mask(L, L, L=L))
    qk, v = Noise(0).normal(2, L, 2, heads, size), Noise(1).normal(2, L, heads, size)
    out = packed.padded(packed.attend(0, packed.rows(qk), packed.rows(v)))
    q, k = qk.unbind(2)
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / size**0.5
    scores = scores.masked_fill(~torch.ones(L, L).tril().bool(), -torch.inf)
    torch.testing.assert_close(out, torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v))


def test_turned_products_depend_on_the_distance_alone():
    table = turns(300, 6, torch.float64, CPU)
    q, k = Noise(0).normal(6), Noise(1).normal(6)

    def product(s: int, t: int) -> torch.Tensor:
        return rotate(q, table[s]) @ rotate(k, table[t])

    for s, t in [(0, 0), (5, 2), (17, 90)]:
        torch.testing.assert_close(product(s, t), product(s + 200, t + 200))
    torch.testing.assert_close(rotate(q, table[0]), q)
    assert (product(5, 2) - product(5, 3)).abs() > 1e-3
    torch.testing.assert_close(rotate(q, table[7]).norm(), q.norm())


def test_a_table_made_in_inference_serves_training():
    with torch.inference_mode():
        turns(3, 14, torch.float64, CPU)  # a size of this test alone
    x = Noise(0).normal(3, 14).requires_grad_()
    rotate(x, turns(3, 14, torch.float64, CPU)).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("L", [1, 5, 40])  # 40: the cache grows twice
def test_one_position_at_a_time_is_all_at_once(L):
    net, x = decoder(), Noise(0).normal(3, L, WIDTH)
    packed = Packed(mask(L, L, L, L=L))
    whole, cache, parts = packed.padded(net(packed.rows(x), packed)), Cache(LAYERS, CPU), []
    for t in range(L):
        parts.append(net(x[:, t], cache))
        cache.advance()
    torch.testing.assert_close(torch.stack(parts, 1), whole, rtol=1e-10, atol=1e-10)


def test_sequences_leave_the_cache():
    net, x = decoder(), Noise(0).normal(3, 4, WIDTH)
    packed, cache = Packed(mask(4, 4, 4, L=4)), Cache(LAYERS, CPU)
    whole = packed.padded(net(packed.rows(x), packed))
    for t in range(3):
        net(x[:, t], cache)
        cache.advance()
    kept = torch.tensor([2, 0])
    cache.keep(kept)
    torch.testing.assert_close(net(x[kept, 3], cache), whole[kept, 3])
