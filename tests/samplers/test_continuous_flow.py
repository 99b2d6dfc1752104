"""The density along a velocity, where the velocity and the density of a mixture are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.continuous_flow import log_density, transported
from sourcewise.samplers.odes import METHODS, Velocity, solve
from sourcewise.samplers.paths import PATHS
from sourcewise.truths.normal_mixture import NormalMixture

EXACT = ("linear", "cosine")  # where x_0 is noise alone


def number(value: object) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def truth() -> NormalMixture:
    """Two sources of two normals in the plane."""
    mean = number([[[-1.5, 0.0], [1.0, 0.8]], [[0.0, 1.0], [2.0, -1.0]]])
    return NormalMixture(number([[0.4, 0.6], [0.5, 0.5]]), mean, number([[0.5, 0.6], [0.4, 0.5]]))


def velocity_of(own: NormalMixture, y: Tensor, name: str = "linear") -> Velocity:
    return lambda x, t: own.velocity(x, y, PATHS[name].at(t))


def to_noise(steps: int) -> Tensor:
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def rows(n: int) -> tuple[Tensor, Tensor]:
    return 1.5 * Noise(0).normal(n, 2), torch.arange(n) % 2


@pytest.mark.parametrize("name", EXACT)
def test_it_is_the_exact_density_of_each_source_and_of_all(name):
    own, (x, y) = truth(), rows(40)
    found = log_density(velocity_of(own, y, name), x, to_noise(64))
    assert float((found.value - own.log_prob(x, y)).abs().max()) < 1e-4
    assert float(found.value.dtype == torch.float64)
    assert not found.error.any()
    all_, none = own.mixed(), torch.zeros_like(y)
    found = log_density(velocity_of(all_, none, name), x, to_noise(64))
    assert float((found.value - all_.log_prob(x, none)).abs().max()) < 1e-4


def test_where_the_path_does_not_start_at_noise_it_is_off_by_what_is_left_there():
    """Variance preserving: x_0 has the law of the path at t = 0, which is not quite N(0, 1)."""
    own, (x, y), path = truth(), rows(40), PATHS["variance-preserving"]
    velocity, start = velocity_of(own, y, path.name), path.at(number(0.0))
    found = log_density(velocity, x, to_noise(128)).value
    off = (found - own.log_prob(x, y)).abs()
    assert 1e-4 < float(off.max()) < 0.05
    x_0 = solve(velocity, x, to_noise(128), "rk4").x
    normal = -0.5 * x_0.square().sum(1) - math.log(2 * math.pi)
    corrected = found - normal + own.noisy(start.a, start.b).log_prob(x_0, y)
    assert float((corrected - own.log_prob(x, y)).abs().max()) < 1e-4


@pytest.mark.parametrize("name", EXACT)
def test_in_the_plane_it_integrates_to_one(name):
    side = torch.linspace(-4.5, 5, 96, dtype=torch.float64)
    x, own = torch.cartesian_prod(side, side), truth()
    y = torch.ones(len(x), dtype=torch.int64)
    found = log_density(velocity_of(own, y, name), x, to_noise(32)).value
    assert float(found.exp().sum() * (side[1] - side[0]) ** 2) == pytest.approx(1, abs=1e-3)


def test_any_velocity_has_a_density_that_integrates_to_one():
    """Also one that no path has: a flow keeps probability, of any map."""
    axis = torch.linspace(-12, 12, 1201, dtype=torch.float64)[:, None]
    found = log_density(lambda x, t: torch.sin(2 * x + t) + t - 0.3 * x, axis, to_noise(64)).value
    assert float(found.exp().sum()) * 0.02 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_it_has_the_order_of_its_method_and_tells_its_error(method):
    own, (x, y), counts = truth(), rows(20), (32, 64, 128)
    velocity, exact = velocity_of(own, y), own.log_prob(x, y)
    found = [log_density(velocity, x, to_noise(n), method=method) for n in counts]
    errors = [float((each.value - exact).abs().mean()) for each in found]
    order = METHODS[method].order
    assert abs(-np.polyfit(np.log(counts), np.log(errors), 1)[0] - order) < 0.4
    # Half the steps are 2^order times as far off.
    step = float(found[-1].step.mean())
    assert step == pytest.approx((2**order - 1) * errors[-1], rel=0.3)


def test_it_is_the_law_of_what_the_flow_draws():
    """`log p` of draws is that of their noise less the divergence on the way, and back again."""
    own, y, z = truth(), torch.zeros(30).long(), Noise(1).normal(30, 2)
    axes = torch.eye(2, dtype=torch.float64)[:, None]
    velocity = velocity_of(own, y)
    x, change = transported(velocity, z, to_noise(64).flip(0), axes)
    exact = -0.5 * z.square().sum(1) - math.log(2 * math.pi) - change.sum(1)
    found = log_density(velocity, x, to_noise(64)).value
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-5)
    torch.testing.assert_close(own.log_prob(x, y), exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("probes", [2, 16])
def test_probes_estimate_it_without_bias_and_so_does_their_error(probes):
    """The mean of `away` is 0, and of its square that of the squared standard error."""
    n, D, y = 300, 8, torch.zeros(300, dtype=torch.int64)
    own = NormalMixture(number([[0.5, 0.5]]), Noise(2).normal(1, 2, D), number([[0.6, 0.8]]))
    x, velocity, noise = Noise(3).normal(n, D), velocity_of(own, y), Noise(4).each(y)
    exact = log_density(velocity, x, to_noise(16))
    found = log_density(velocity, x, to_noise(16), probes=probes, noise=noise)
    away = found.value - exact.value
    for zero in (away, away.square() - found.error.square()):
        assert abs(float(zero.mean())) < 4 * float(zero.std()) / n**0.5
    spread = float(away.square().mean() / found.error.square().mean())
    assert 0.5 < spread < 2


def test_rows_of_more_entries_take_probes_and_have_bits_per_dimension():
    """A velocity that is diagonal: `v' J v` is the trace for every vector of signs."""
    x, y = Noise(0).normal(4, 3, 4, 4).float(), torch.arange(4)
    found = log_density(lambda x, t: x, x, to_noise(16), probes=2, noise=Noise(1).each(y))
    D = 48
    squares = x.double().square().flatten(1).sum(1)
    exact = -0.5 * math.exp(-2) * squares - D * (1 + 0.5 * math.log(2 * math.pi))
    torch.testing.assert_close(found.value, exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.bits, -found.value / D / math.log(2))
    assert found.entries == D
    assert float(found.error.max()) < 1e-4


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [
        (3, {"probes": 2}, "steps of a flow must be even and at least 2, not 3"),
        (2, {"probes": -2}, "probes must be 0, or at least 2 with noise, not -2"),
        (2, {"probes": 2}, "probes must be 0, or at least 2 with noise, not 2"),
        (2, {}, "rows of 21 entries: at most 20 have an exact divergence"),
    ],
)
def test_what_it_cannot_do_is_told_in_one_line(steps, options, message):
    with pytest.raises(InputError, match=message):
        log_density(lambda x, t: x, torch.zeros(2, 21), to_noise(steps), **options)
