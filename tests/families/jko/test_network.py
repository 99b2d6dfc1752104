"""The velocity of a block: its divergence, its stacks, and the way back."""

from itertools import pairwise

import pytest
import torch

from sourcewise.families.jko.network import Block
from sourcewise.networks.layers import reset
from sourcewise.randomness import Noise

y = torch.tensor([0, 1, 1, 0, 1])


def block(d=3, C=0, seed=0, spread=3.0, width=8) -> Block:
    """Parameters `spread` times as large as at the start."""
    out = Block(d, width, K=2, C=C).double()
    reset(out, Noise(seed))
    with torch.no_grad():
        for parameter in out.parameters():
            parameter.mul_(spread)
    return out


def given(C, *shape):
    return Noise(8).normal(*shape, C) if C else None


@pytest.mark.parametrize(("d", "C"), [(1, 0), (3, 0), (3, 2), (30, 0)])
def test_the_divergence_is_the_trace_of_the_jacobian(d, C):
    tested, x, c, t = block(d, C), Noise(1).normal(5, d), given(C, 5), torch.tensor(0.3)
    masks = [2.0 * (Noise(i).uniform(5, 8) > 0.5) for i in (2, 3)]
    for masked in (None, masks.__getitem__):
        slope = tested.slope(y, c, masked)
        _, div = slope((x, x[:, 0]), t)
        jacobian = torch.autograd.functional.jacobian(
            lambda x, slope=slope: slope((x, x[:, 0]), t)[0].sum(0), x
        )
        assert isinstance(jacobian, torch.Tensor)
        expected = torch.einsum("ibi->b", jacobian)
        assert float(expected.abs().max()) > 0.1
        torch.testing.assert_close(div, expected, rtol=0, atol=1e-12)


def test_the_integral_is_the_log_determinant_of_the_map():
    """To the error of the steps, of order 4."""
    tested, x = block(), Noise(1).normal(5, 3)
    errors = []
    for steps in (4, 8, 16):
        _, integral = tested(x, y, None, steps)
        jacobian = torch.autograd.functional.jacobian(
            lambda x, steps=steps: tested(x, y, None, steps)[0].sum(0), x
        )
        assert isinstance(jacobian, torch.Tensor)
        log_det = torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet
        errors.append(float((integral - log_det).detach().abs().max()))
    assert errors[2] < 1e-5
    assert all(10 < a / b < 40 for a, b in pairwise(errors))


@pytest.mark.parametrize("C", [0, 2])
def test_the_way_back_is_the_inverse(C):
    tested, x, c = block(C=C), Noise(1).normal(5, 3), given(C, 5)
    with torch.no_grad():
        end, there = tested(x, y, c, 16)
        back, less = tested.back(end, y, c, 16)
    assert float((end - x).abs().min()) > 1e-3
    torch.testing.assert_close(back, x, rtol=0, atol=1e-6)
    torch.testing.assert_close(less, -there, rtol=0, atol=1e-6)


@pytest.mark.parametrize("C", [0, 2])
def test_stacked_blocks_equal_single_ones(C):
    singles = [block(C=C, seed=seed) for seed in range(3)]
    stacked = block(C=C)
    for name, parameter in stacked.named_parameters():
        parameter.data = torch.stack([one.get_parameter(name).detach() for one in singles])
    x, labels, c = Noise(1).normal(3, 5, 3), torch.stack([y, y, 1 - y]), given(C, 3, 5)
    ends, integrals = stacked(x, labels, c, 2)
    for s, one in enumerate(singles):
        end, integral = one(x[s], labels[s], None if c is None else c[s], 2)
        torch.testing.assert_close(ends[s], end, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(integrals[s], integral, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_the_loss_is_that_of_its_differences():
    """Of the divergence too, which is differentiated twice."""
    tested, x = block(), Noise(1).normal(5, 3)

    def loss() -> torch.Tensor:
        end, integral = tested(x, y, None, 2)
        return (0.5 * end.square().sum(1) - integral).sum()

    loss().backward()
    for name, parameter in tested.named_parameters():
        way = Noise(5).of(name).normal(*parameter.shape)
        assert parameter.grad is not None
        found, h = float((parameter.grad * way).sum()), 1e-5
        with torch.no_grad():
            parameter.add_(h * way)
            above = float(loss())
            parameter.sub_(2 * h * way)
            below = float(loss())
            parameter.add_(h * way)
        assert found == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-7)
