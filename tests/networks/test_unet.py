"""The U-Net: sizes as published, magnitudes that are kept, stacks that equal single networks."""

import math
from collections import defaultdict

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sourcewise.networks.layers import reset
from sourcewise.networks.magnitude import (
    UnitConv2d,
    UnitLinear,
    concat,
    fixed_weights,
    mix,
    silu,
    unit,
)
from sourcewise.networks.unet import Block, UNet, UNetSizes
from sourcewise.randomness import Noise

SMALL = UNetSizes(16, (1, 2), blocks=1, attention=(8,))


def normal(*shape, key=0):
    return Noise(7).of(key).normal(*shape).float()


def opened(net):
    """With labels, noise levels and a result that are not 0, as after some training."""
    for part in net.modules():
        if hasattr(part, "gain"):
            part.gain.data.fill_(0.7)
    return net


def made(sizes=SMALL, channels=3, side=16, K=4, C=0, seed=0):
    net = UNet(channels, side, sizes, K=K, C=C)
    reset(nn.ModuleList([net]), Noise(seed))
    return net


@pytest.mark.parametrize(
    ("width", "millions", "gigaflop"),
    [(32, 7.422, 1.570), (64, 29.679, 6.012), (128, 118.701, 23.512)],
)
def test_parameters_and_work_are_those_of_edm2(width, millions, gigaflop):
    with torch.device("meta"):
        net = UNet(4, 32, UNetSizes(width), K=10)
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 3) == millions
    x, u, label = (torch.empty(s, device="meta") for s in ((1, 4, 32, 32), (1,), (1, 10)))
    with FlopCounterMode(display=False) as count, sdpa_kernel(SDPBackend.MATH):
        net(x, u, label)
    assert math.isclose(count.get_total_flops() / 1e9, gigaflop, rel_tol=1e-3)


def test_magnitudes_are_kept_through_fresh_networks():
    """In the mean over networks: one alone has few channels, and wanders about it."""
    seen = defaultdict(list)
    for seed in range(8):
        net = made(UNetSizes(64, (1, 2, 2), blocks=1), seed=seed)
        for name, part in net.named_modules():
            if isinstance(part, Block) or name in ("first", "condition"):
                part.register_forward_hook(
                    lambda _, __, out, name=name: seen[name].append(out.square().mean())
                )
        with torch.no_grad():
            net(normal(8, 3, 16, 16), normal(8, key=1) / 4, torch.eye(4)[torch.arange(8) % 4])
    assert len(seen) > 15
    for name, squares in seen.items():
        assert 0.9 < torch.stack(squares).mean().sqrt() < 1.1, name


def test_it_begins_with_next_to_nothing_and_forgets_labels_that_are_not_told():
    net, x, u = made(), normal(2, 3, 16, 16), torch.zeros(2)
    assert net(x, u, torch.eye(4)[:2]).abs().max() < 0.1
    opened(net)
    told, untold = net(x, u, torch.eye(4)[:2]), net(x, u, torch.zeros(2, 4))
    assert not torch.allclose(told, untold)
    assert torch.equal(untold, net(x, u, torch.zeros(2, 4)))


@pytest.mark.parametrize("C", [0, 2])
def test_a_stack_gives_what_its_members_give(C):
    members = [opened(made(C=C, seed=s)) for s in range(3)]
    names = [name for name, _ in members[0].named_parameters()]
    stacked = {n: torch.stack([dict(net.named_parameters())[n] for net in members]) for n in names}
    x, u = normal(3, 5, 3, 16, 16), normal(3, 5)
    label = torch.eye(4)[Noise(8).integers(4, 3, 5)]
    c = normal(3, 5, C) if C else None
    together = functional_call(members[0], stacked, (x, u, label, c))
    for s, net in enumerate(members):
        alone = net(x[s], u[s], label[s], None if c is None else c[s])
        assert torch.allclose(together[s], alone, atol=1e-5)


def test_every_parameter_has_a_gradient():
    net = opened(made(C=2))
    net(normal(4, 3, 16, 16), normal(4), torch.eye(4), normal(4, 2)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_sums_joins_and_activations_keep_unit_magnitude():
    a, b = normal(2, 40, 30, 16, 16)

    def magnitude(v):
        return float(v.square().mean().sqrt())

    for v in (mix(a, b, 0.3), concat(a, b[:, :10], 0.4), silu(a)):
        assert abs(magnitude(v) - 1) < 0.01
    joined = concat(a, b[:, :10])
    assert abs(magnitude(joined[:, :30]) ** 2 * 30 - magnitude(joined[:, 30:]) ** 2 * 10) < 0.3


def test_rows_of_weights_have_unit_magnitude():
    layer = UnitLinear(50, 7)
    layer.reset(Noise(0))
    assert torch.allclose(layer.weight.square().mean(1), torch.ones(7), atol=1e-3)
    assert torch.allclose(unit(layer.weight), layer.weight, atol=1e-3)
    out = layer(normal(4000, 50)).detach()
    assert abs(float(out.square().mean().sqrt()) - 1) < 0.05


@pytest.mark.parametrize("size", [1, 3, 5])
def test_zeros_around_an_image_cost_no_magnitude(size):
    layer, squares = UnitConv2d(40, 60, size), []
    for seed in range(5):
        layer.reset(Noise(seed))
        squares.append(layer(normal(20, 40, 4, 4, key=seed)).detach().square().mean())
    assert abs(float(torch.stack(squares).mean().sqrt()) - 1) < 0.02


def test_fixed_weights_change_nothing_and_end_with_their_block():
    net = UNet(1, 8, UNetSizes(8, (1, 2), 1, (4,)), K=2)
    reset(nn.ModuleList([net]), Noise(0))
    net.gain.data.fill_(1.0)
    x, u = Noise(1).normal(3, 1, 8, 8).float(), torch.zeros(3)
    label = torch.eye(2)[[0, 1, 0]]
    with torch.no_grad():
        plain = net(x, u, label)
        with fixed_weights(net):
            assert torch.equal(net(x, u, label), plain)
        for parameter in net.parameters():
            parameter.data.add_(0.1)
        assert not torch.allclose(net(x, u, label), plain)
