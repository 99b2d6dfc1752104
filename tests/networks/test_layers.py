from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sourcewise.networks.layers import Conv2d, Embedding, LayerNorm, Linear, bounded, reset
from sourcewise.randomness import Noise

S = 3


def drawn(layer: nn.Module, seed: int) -> nn.Module:
    for name, parameter in layer.named_parameters():
        draws = Noise(seed).of(name).normal(*parameter.shape)
        parameter.data = draws.to(parameter.dtype)
    return layer.double()


def stacked(layers: list[nn.Module], target: nn.Module) -> nn.Module:
    for name, parameter in target.named_parameters():
        parameter.data = torch.stack([dict(layer.named_parameters())[name] for layer in layers])
    return target


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(5, 4),
        lambda: Linear(5, 4, bias=False),
        lambda: Linear(5, 4, spectral=1.5),
        lambda: LayerNorm(5),
    ],
)
@pytest.mark.parametrize("shape", [(S, 7, 5), (S, 2, 7, 5)])
def test_a_stack_of_layers_is_each_of_them(make, shape):
    layers = [drawn(make(), s) for s in range(S)]
    x = Noise(0).normal(*shape)
    each = torch.stack([layer(x[s]) for s, layer in enumerate(layers)])
    torch.testing.assert_close(stacked(layers, make())(x), each)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"size": 5, "spectral": 2.0}])
@pytest.mark.parametrize("rows", [(), (7,), (2, 3)])
def test_a_stack_of_convolutions_is_each_of_them(options, rows):
    layers = [drawn(Conv2d(2, 4, **options), s) for s in range(S)]
    x = Noise(0).normal(S, *rows, 2, 6, 5)
    each = torch.stack([layer(x[s]) for s, layer in enumerate(layers)])
    assert each.shape[:-2] == (S, *rows, 4)
    torch.testing.assert_close(stacked(layers, Conv2d(2, 4, **options))(x), each)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_the_sum_over_patches(stride):
    layer, x = drawn(Conv2d(2, 3, stride=stride), 0), Noise(0).normal(1, 2, 6, 5)
    around = nn.functional.pad(x, (1, 1, 1, 1))
    out = layer(x)
    assert out.shape == (1, 3, 6 // stride, 5 // stride + stride // 2)
    for i, j in product(range(out.shape[2]), range(out.shape[3])):
        a, b = i * stride, j * stride
        patch = around[0, :, a : a + 3, b : b + 3]
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        by_hand = (weight * patch).sum((1, 2, 3)) + bias
        torch.testing.assert_close(out[0, :, i, j], by_hand)


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.01, 10), st.integers(0, 99))
def test_singular_values_are_bounded_and_small_ones_left_alone(rows, columns, c, seed):
    W = Noise(seed).normal(3, rows, columns)
    A = bounded(W, c)
    largest, before = torch.linalg.svdvals(A)[:, 0], torch.linalg.svdvals(W)[:, 0]
    torch.testing.assert_close(largest, before.clamp(max=c))
    assert torch.equal(A[before < c], W[before < c])
    torch.testing.assert_close(torch.stack([bounded(w, c) for w in W]), A)


def test_a_weight_of_zero_stays_zero():
    W = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    bounded(W, 1.0).sum().backward()
    assert W.grad is not None
    assert W.grad.tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("c", [0.5, 50.0])
def test_gradient_through_the_bound_equals_finite_differences(c):
    W = Noise(0).normal(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda weight: bounded(weight, c), W)


@pytest.mark.parametrize("c", [0.3, 1.0, 100.0])
def test_an_affine_layer_is_as_steep_as_its_bound_allows(c):
    layer = drawn(Linear(5, 4, spectral=c), 0)
    slopes = torch.autograd.functional.jacobian(layer, Noise(0).normal(5))
    expected = min(c, float(torch.linalg.matrix_norm(layer.get_parameter("weight").detach(), 2)))
    assert float(torch.linalg.matrix_norm(slopes, 2)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (5, 2), (1, 1)])
def test_a_convolution_is_never_steeper_than_its_bound(size, stride):
    free = drawn(Conv2d(2, 3, size, stride), 0)
    tight = drawn(Conv2d(2, 3, size, stride, spectral=0.7), 0)
    x = Noise(0).normal(2, 7, 7)
    before, after = (
        float(
            torch.linalg.matrix_norm(
                torch.autograd.functional.jacobian(layer, x).flatten(3).flatten(0, 2), 2
            )
        )
        for layer in (free, tight)
    )
    assert before > 0.7
    assert 0.7 / 3 < after < 0.7 + 1e-12


@pytest.mark.parametrize("shape", [(S,), (S, 7), (S, 2, 7)])
def test_a_stack_of_embeddings_is_each_of_them(shape):
    layers = [drawn(Embedding(6, 4), s) for s in range(S)]
    index = Noise(0).integers(6, *shape)
    each = torch.stack([layer(index[s]) for s, layer in enumerate(layers)])
    torch.testing.assert_close(stacked(layers, Embedding(6, 4))(index), each)


def test_reset_draws_each_layer_from_its_name_alone():
    small = nn.ModuleDict({"a": Linear(4, 4), "b": Embedding(3, 4), "c": Conv2d(2, 3)})
    large = nn.ModuleDict({"new": LayerNorm(4), "b": Embedding(3, 4), "a": Linear(4, 4)})
    large["c"] = Conv2d(2, 3)
    for net in (small, large):
        reset(net, Noise(1))
    for name in ("a", "b", "c"):
        torch.testing.assert_close(large[name].state_dict(), small[name].state_dict())
    first, second, *_ = small["a"].get_parameter("weight")
    assert not torch.equal(first, second)


def test_a_parameter_that_no_layer_draws_is_an_error():
    bare = nn.ParameterList([nn.Parameter(torch.zeros(2))])
    with pytest.raises(TypeError, match="0 has parameters"):
        reset(nn.Sequential(bare), Noise(0))
