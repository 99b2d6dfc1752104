import pytest
import torch
from torch import nn

from sourcewise.networks.layers import Embedding, LayerNorm, Linear, reset
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
    [lambda: Linear(5, 4), lambda: Linear(5, 4, bias=False), lambda: LayerNorm(5)],
)
@pytest.mark.parametrize("shape", [(S, 7, 5), (S, 2, 7, 5)])
def test_a_stack_of_layers_is_each_of_them(make, shape):
    layers = [drawn(make(), s) for s in range(S)]
    x = Noise(0).normal(*shape)
    each = torch.stack([layer(x[s]) for s, layer in enumerate(layers)])
    torch.testing.assert_close(stacked(layers, make())(x), each)


@pytest.mark.parametrize("shape", [(S,), (S, 7), (S, 2, 7)])
def test_a_stack_of_embeddings_is_each_of_them(shape):
    layers = [drawn(Embedding(6, 4), s) for s in range(S)]
    index = Noise(0).integers(6, *shape)
    each = torch.stack([layer(index[s]) for s, layer in enumerate(layers)])
    torch.testing.assert_close(stacked(layers, Embedding(6, 4))(index), each)


def test_reset_draws_each_layer_from_its_name_alone():
    small = nn.ModuleDict({"a": Linear(4, 4), "b": Embedding(3, 4)})
    large = nn.ModuleDict({"new": LayerNorm(4), "b": Embedding(3, 4), "a": Linear(4, 4)})
    for net in (small, large):
        reset(net, Noise(1))
    for name in ("a", "b"):
        torch.testing.assert_close(large[name].state_dict(), small[name].state_dict())
    first, second, *_ = small["a"].get_parameter("weight")
    assert not torch.equal(first, second)


def test_a_parameter_that_no_layer_draws_is_an_error():
    with pytest.raises(TypeError, match="0 has parameters"):
        reset(nn.Sequential(nn.LayerNorm(2)), Noise(0))
