"""Energy networks: one interface, S at once, bounded slopes, second derivatives."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sourcewise.errors import InputError
from sourcewise.families.energy.network import EnergyNetwork, ImageEnergyNetwork
from sourcewise.networks.layers import reset
from sourcewise.networks.mlp import Activation
from sourcewise.randomness import Noise

K, S, d_e, WIDTH = 3, 2, 2, 6
SHAPES = [(1, 8, 8), (3, 9, 12), (2, 3, 4)]
STEEPEST = {"relu": 1.0, "softplus": 1.0, "silu": 1.0999}


def plain(
    seed: int = 0, depth: int = 3, activation: Activation = "silu", spectral: float = 0.0
) -> Any:
    return started(EnergyNetwork(K, 4, d_e, WIDTH, depth, activation, spectral), seed)


def image(
    seed: int = 0,
    depth: int = 3,
    activation: Activation = "silu",
    spectral: float = 0.0,
    shape: tuple[int, int, int] = (1, 8, 8),
) -> Any:
    return started(ImageEnergyNetwork(K, shape, d_e, WIDTH, depth, activation, spectral), seed)


def started(network: Any, seed: int) -> Any:
    reset(network, Noise(seed))
    return network.double()


def stacked(networks: list[Any], target: Any) -> Any:
    for name, parameter in target.named_parameters():
        parameter.data = torch.stack([n.get_parameter(name).data for n in networks])
    return target


def points(network: Any, *rows: int) -> tuple[Tensor, Tensor]:
    return Noise(1).uniform(*rows, network.D), Noise(2).integers(K, *rows)


BOTH = pytest.mark.parametrize("make", [plain, image])
BOUNDS = pytest.mark.parametrize("spectral", [0.0, 0.8])


@BOTH
@BOUNDS
def test_the_same_points_under_every_source(make, spectral):
    network = make(spectral=spectral)
    x, _ = points(network, 5)
    each = torch.stack([network(x, torch.full((5,), k)) for k in range(K)])
    assert each.shape == (K, 5)
    torch.testing.assert_close(network.at(x), each)
    assert (each[0] - each[1]).abs().min() > 1e-4  # the label is not ignored


@BOTH
@BOUNDS
@pytest.mark.parametrize("depth", [2, 4])
def test_a_stack_of_networks_is_each_of_them(make, spectral, depth):
    options = {"depth": depth, "spectral": spectral}
    networks = [make(s, **options) for s in range(S)]
    whole = stacked(networks, make(**options))
    for rows in [(7,), (2, 7)]:
        x, y = points(whole, S, *rows)
        each = torch.stack([n(x[s], y[s]) for s, n in enumerate(networks)])
        torch.testing.assert_close(whole(x, y), each)
    shared = x[0, 0]
    torch.testing.assert_close(whole.at(shared), torch.stack([n.at(shared) for n in networks]))


@pytest.mark.parametrize("shape", [*SHAPES, (3, 32, 32)])
def test_images_of_any_shape(shape):
    network = image(shape=shape, depth=5)
    x, y = points(network, 4)
    u = network(x, y)
    assert u.shape == (4,)
    torch.testing.assert_close(u[1:], network(x[1:], y[1:]))  # rows do not mix
    gradients = torch.autograd.grad(u.sum(), list(network.parameters()))
    assert all(bool((g != 0).any()) for g in gradients)


def test_an_image_is_flattened_channel_by_channel():
    network = image(shape=(2, 3, 4), depth=2)
    x, y = points(network, 5)
    V = network.V_Y(y)[..., None, None].expand(5, d_e, 3, 4)
    inputs = torch.cat([x.view(5, 2, 3, 4), V], 1)
    h = nn.functional.conv2d(inputs, network.first.weight, network.first.bias, padding=1)
    by_hand = nn.functional.silu(h).flatten(1) @ network.last.weight[0]
    torch.testing.assert_close(network(x, y), by_hand)


@BOTH
@pytest.mark.parametrize("activation", ["silu", "softplus"])
def test_first_and_second_derivatives_in_x(make, activation):
    network = make(activation=activation)
    x, y = points(network, 2)
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: network(x, y), x)
    above = Noise(3).normal(2).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: network(x, y), x, above)


@BOTH
@BOUNDS
def test_gradient_of_a_score_in_the_parameters_equals_finite_differences(make, spectral):
    """What score matching follows: parameters through derivatives in x."""
    network = make(spectral=spectral)
    x, y = points(network, 4)
    x.requires_grad_()

    def score() -> Tensor:
        return torch.autograd.grad(network(x, y).sum(), x, create_graph=True)[0].square().sum()

    gradients = torch.autograd.grad(score(), list(network.parameters()), allow_unused=True)
    step = 1e-5
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        entry, ends = parameter.data.view(-1), []
        for sign in (1, -2):
            entry[0] += sign * step
            ends.append(score().item())
        entry[0] += step
        found = 0.0 if gradient is None else gradient.flatten()[0].item()
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(found, abs=1e-8, rel=1e-5)


@BOTH
@pytest.mark.parametrize("activation", ["relu", "silu", "softplus"])
@pytest.mark.parametrize("spectral", [0.5, 1.0])
def test_slopes_obey_the_bound(make, activation, spectral):
    free, network = (make(activation=activation, spectral=c) for c in (0.0, spectral))
    for parameter in [*free.parameters(), *network.parameters()]:
        parameter.data *= 3
    bound = spectral**3 * STEEPEST[activation] ** 2

    def steepest(net: nn.Module) -> float:
        x, y = points(net, 50)
        x.requires_grad_()
        return float(torch.autograd.grad(net(x, y).sum(), x)[0].norm(dim=1).max())

    assert steepest(network) <= bound < steepest(free)


@BOTH
def test_a_loose_bound_changes_nothing(make):
    free, loose = make(), make(spectral=1e3)
    x, y = points(free, 5)
    assert torch.equal(free(x, y), loose(x, y))


def test_parameters():
    """W (D + d_e + 1) + (L - 2) W (W + 1) + W + K d_e; the image's by its kernels."""
    count = sum(p.numel() for p in plain(depth=4).parameters())
    assert count == WIDTH * (4 + d_e + 1) + 2 * WIDTH * (WIDTH + 1) + WIDTH + K * d_e
    network = image(depth=4, shape=(3, 32, 30))  # sides 16 x 15, 8 x 8, 4 x 4
    channels = [3 + d_e, WIDTH, WIDTH, WIDTH]
    kernels = sum(b * (9 * a + 1) for a, b in pairwise(channels))
    count = sum(p.numel() for p in network.parameters())
    assert count == kernels + WIDTH * 4 * 4 + K * d_e


def test_energies_of_constant_features_have_no_offset():
    for network in (plain(), image()):
        for parameter in network.parameters():
            parameter.data.zero_()
        x, y = points(network, 3)
        assert network(x, y).tolist() == [0.0] * 3  # silu(0) = 0, and nothing is added


def test_one_layer_alone_is_refused():
    with pytest.raises(InputError, match="depth of an image network must be at least 2, got 1"):
        image(depth=1)


def test_energies_start_at_moderate_size():
    u = torch.cat(
        [
            image(s, shape=(3, 32, 32), depth=5)(*points(image(shape=(3, 32, 32)), 20))
            for s in range(5)
        ]
    )
    assert 0.01 < float(u.detach().std()) < 3
