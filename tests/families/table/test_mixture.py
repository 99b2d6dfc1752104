from itertools import pairwise

import pytest
import torch

from sourcewise.families.table.mixture import LEAST, MOST, LogisticMixture
from sourcewise.randomness import Noise


def mixture(seed: int, *shape: int, K: int = 4) -> LogisticMixture:
    return LogisticMixture.of(3 * Noise(seed).normal(*shape, 3 * K))


@pytest.mark.parametrize("seed", range(5))
def test_masses_are_integrals_of_the_density_and_all_is_one(seed):
    tested, t = mixture(seed), torch.linspace(-80, 80, 320_001, dtype=torch.float64)
    middle, step = (t[1:] + t[:-1]) / 2, t[1] - t[0]
    density = tested.log_density(middle).exp()
    assert float(density.sum() * step) == pytest.approx(1, abs=1e-6)
    for low, high in ((-1.0, 0.5), (2.0, 2.1), (-80.0, 80.0)):
        inside = density[(middle > low) & (middle < high)].sum() * step
        width = torch.tensor(high - low, dtype=torch.float64)
        found = tested.log_mass(torch.tensor(low, dtype=torch.float64), width).exp()
        assert float(found) == pytest.approx(float(inside), rel=1e-3, abs=1e-9)


def test_masses_of_a_partition_sum_to_one_far_out_too():
    tested = mixture(0, 7)
    ends = torch.tensor([-1e4, -30.0, -1.0, 0.0, 0.25, 9.0, 40.0, 1e4], dtype=torch.float64)
    parts = [tested.log_mass(a.expand(7), (b - a).expand(7)) for a, b in pairwise(ends)]
    assert torch.allclose(torch.stack(parts).exp().sum(0), torch.ones(7).double(), atol=1e-12)
    assert bool(torch.stack(parts).isfinite().all())


def test_quantiles_invert_masses():
    tested, share = mixture(1, 500), Noise(2).uniform(500)
    t = tested.quantile(share)
    low = torch.full_like(t, -1e4)
    assert torch.allclose(tested.log_mass(low, t - low).exp(), share, atol=1e-9)


def test_it_starts_near_the_logistic_distribution():
    tested = LogisticMixture.of(LogisticMixture.start(8))
    ends = torch.linspace(-6, 6, 25, dtype=torch.float64)
    low = torch.full_like(ends, -1e4)
    found = tested.log_mass(low, ends - low).exp()
    assert float((found - ends.sigmoid()).abs().max()) < 0.02


def test_scales_are_bounded_and_gradients_finite_at_any_parameters():
    raw = torch.tensor([[1e3, -1e3, 0.0] * 4, [-50.0, 50.0, 0.0] * 4]).double().requires_grad_()
    tested = LogisticMixture.of(raw)
    assert float(tested.scale.detach().min()) >= LEAST
    assert float(tested.scale.detach().max()) <= MOST
    t = torch.tensor([35.0, -35.0])
    (tested.log_density(t) + tested.log_mass(t, torch.tensor([1e-6, 2e4]))).sum().backward()
    assert raw.grad is not None
    assert bool(raw.grad.isfinite().all())
