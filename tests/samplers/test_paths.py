"""Conditional paths: their derivatives, what converts into what, and the way to denoisers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.denoising import guided, heun
from sourcewise.samplers.levels import path_time_of, power_levels
from sourcewise.samplers.odes import solve
from sourcewise.samplers.paths import PATHS, Estimate, denoiser_of, velocity_of
from sourcewise.truths.normal_mixture import NormalMixture

# The first use of forward-mode differentiation makes torch warn of its own code.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
KINDS = ("velocity", "denoiser", "noise", "score")
names = pytest.mark.parametrize("name", PATHS)
inner = st.floats(0.01, 0.99)
values = st.lists(st.floats(-5, 5), min_size=3, max_size=3)


def number(value: object) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def truth() -> NormalMixture:
    weight = number([[0.4, 0.6], [0.5, 0.5]])
    mean = number([[[-1.5, 0.0], [1.0, 0.8]], [[0.0, 1.0], [2.0, -1.0]]])
    return NormalMixture(weight, mean, number([[0.5, 0.6], [0.4, 0.3]]))


@names
@given(t=inner)
def test_what_a_place_says_are_the_derivatives(name, t):
    path, time = PATHS[name], number(t)
    at, one = path.at(time), torch.ones((), dtype=torch.float64)

    def both(t: Tensor) -> tuple[Tensor, Tensor]:
        return path.at(t).a, path.at(t).b

    da, db = torch.func.jvp(both, (time,), (one,))[1]
    W = da * at.b - at.a * db
    expected = {"da": da, "db": db, "bdb": at.b * db, "h": 1 / W, "p": -db / W, "r": da / W}
    for what, value in expected.items():
        torch.testing.assert_close(getattr(at, what), value, rtol=1e-10, atol=0)
    torch.testing.assert_close(at.a * at.p + at.b * at.r, one)
    assert float(W) > 0


def test_the_paths_are_the_published_ones():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    linear, cosine = PATHS["linear"].at(t), PATHS["cosine"].at(t)
    assert torch.equal(linear.a, t)
    assert torch.equal(linear.b, 1 - t)
    torch.testing.assert_close(cosine.b, (math.pi * t / 2).cos(), rtol=0, atol=1e-15)
    for place in (cosine, PATHS["variance-preserving"].at(t)):
        torch.testing.assert_close(place.a**2 + place.b**2, torch.ones_like(t))
    # The integral of Song's rate .1 + 19.9 s over noise times s from 0 to 1 - t.
    s = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    T = torch.trapezoid(0.1 + 19.9 * s[:70_001], s[:70_001])
    torch.testing.assert_close(PATHS["variance-preserving"].at(number(0.3)).a, (-T / 2).exp())
    assert float(PATHS["variance-preserving"].at(number(0.0)).a) == pytest.approx(0.0066, abs=5e-5)


@names
@given(t=inner, x_t=values, value=values)
def test_four_ways_to_say_the_same_convert_exactly(name, t, x_t, value):
    """From each of the four to each other and back."""
    path, time, point = PATHS[name], number(t), number(x_t)
    for kind in KINDS:
        said = number(value)
        first: Estimate = getattr(path, f"from_{kind}")(said, point, time)
        for other in KINDS:
            middle: Tensor = getattr(first, other)
            second: Estimate = getattr(path, f"from_{other}")(middle, point, time)
            back = getattr(second, kind)
            # What is lost to rounding is that of the largest number on the way.
            size = max(1.0, *(float(getattr(first, k).abs().max()) for k in KINDS))
            assert float((back - said).abs().max()) < 1e-10 * size


@names
@given(t=inner, x=values, n=values)
def test_of_one_example_each_says_x_and_n(name, t, x, n):
    path, time = PATHS[name], number(t)
    x_, n_ = number(x), number(n)
    found = path.from_velocity(path.velocity(x_, n_, time), path.point(x_, n_, time), time)
    torch.testing.assert_close(found.denoiser, x_, rtol=0, atol=1e-10)
    torch.testing.assert_close(found.noise, n_, rtol=0, atol=1e-10)


@names
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.5, 1 - 1e-6, 1.0])
def test_an_exact_velocity_says_the_exact_rest_up_to_both_ends(name, t):
    own, path, time = truth(), PATHS[name], number(t)
    x, y = 2 * Noise(0).normal(20, 2), torch.arange(20) % 2
    at = path.at(time)
    found = path.from_velocity(own.velocity(x, y, at), x, time)
    noisy = own.noisy(at.a, at.b)
    torch.testing.assert_close(found.noise, -at.b * noisy.score(x, y), rtol=0, atol=1e-9)
    if t > 0:
        exact = own.denoise(x / at.a, at.sigma, y)
    elif name != "variance-preserving":
        exact = (own.weight[..., None] * own.mean).sum(1)[y]
    else:
        exact = (x + at.b**2 * noisy.score(x, y)) / at.a
    torch.testing.assert_close(found.denoiser, exact, rtol=0, atol=1e-9)
    if t < 1:
        torch.testing.assert_close(found.score, noisy.score(x, y), rtol=0, atol=1e-6)


@names
def test_what_an_end_does_not_say_is_refused(name):
    path, x = PATHS[name], torch.ones(2, dtype=torch.float64)
    message = "is not known at an end of the path"
    with pytest.raises(InputError, match=f"what a denoiser says {message}"):
        path.from_denoiser(x, x, number(1.0))
    with pytest.raises(InputError, match=f"the score {message}"):
        _ = path.from_velocity(x, x, number(1.0)).score
    if name == "variance-preserving":
        with pytest.raises(InputError, match=f"the velocity {message}"):
            _ = path.from_noise(x, x, number(1.0)).velocity
        return
    for kind in ("noise", "score"):
        with pytest.raises(InputError, match=f"what noise says {message}"):
            getattr(path, f"from_{kind}")(x, x, number(0.0))


@names
@given(sigma=st.floats(1e-4, 150))
def test_times_and_noise_levels_convert(name, sigma):
    path, s = PATHS[name], number(sigma)
    t = path.time_of(s)
    torch.testing.assert_close(path.at(t).sigma, s, rtol=1e-8, atol=0)
    if name == "linear":
        assert torch.equal(t, path_time_of(s))


def test_a_path_tells_its_highest_noise_level():
    assert float(PATHS["variance-preserving"].time_of(number(0.0))) == 1
    with pytest.raises(InputError, match=r"variance-preserving has noise levels from 0 to 152\.2"):
        PATHS["variance-preserving"].time_of(number(153.0))
    assert float(PATHS["linear"].time_of(number(1e6))) > 0


@names
@given(sigma=st.floats(1e-3, 100))
def test_velocity_and_denoiser_make_each_other(name, sigma):
    own, path, s = truth(), PATHS[name], number(sigma)
    z, y = (1 + sigma) * Noise(0).normal(20, 2), torch.arange(20) % 2

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return own.velocity(x, y, path.at(t))

    def denoiser(z: Tensor, sigma: Tensor) -> Tensor:
        return own.denoise(z, sigma, y)

    torch.testing.assert_close(
        denoiser_of(velocity, path)(z, s), denoiser(z, s), rtol=0, atol=1e-8
    )
    t = path.time_of(s)
    x = path.at(t).a * z
    made = velocity_of(denoiser, path)(x, t)
    torch.testing.assert_close(made, velocity(x, t), rtol=1e-6, atol=1e-6)


def test_guidance_of_velocities_is_that_of_denoisers():
    own, path = truth(), PATHS["cosine"]
    z, s = Noise(0).normal(10, 2), number(0.7)
    y, other = torch.zeros(10).long(), torch.ones(10).long()

    def velocity(y: Tensor):
        return lambda x, t: own.velocity(x, y, path.at(t))

    def denoiser(y: Tensor):
        return lambda z, sigma: own.denoise(z, sigma, y)

    found = denoiser_of(guided(velocity(y), velocity(other), 2.5), path)(z, s)
    torch.testing.assert_close(found, guided(denoiser(y), denoiser(other), 2.5)(z, s))


@names
def test_samplers_of_denoisers_take_a_velocity_where_the_flow_goes(name):
    own, path, high = truth(), PATHS[name], 20.0
    y = torch.arange(10) % 2
    z = high * Noise(0).normal(10, 2)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return own.velocity(x, y, path.at(t))

    levels = power_levels(401, 0.01, high)[:-1]
    start, end = (path.time_of(level) for level in levels[[0, -1]])
    grid = torch.linspace(float(start), float(end), 401, dtype=torch.float64)
    flown = solve(velocity, path.at(start).a * z, grid, "rk4").x / path.at(end).a
    found = heun(denoiser_of(velocity, path), z, levels)
    torch.testing.assert_close(found, flown, rtol=0, atol=2e-4)


@names
def test_times_of_rows_and_images_broadcast(name):
    path, t = PATHS[name], torch.tensor([0.2, 0.7])
    x, n = (Noise(i).normal(2, 3, 4, 4).float() for i in range(2))
    x_t, v = path.point(x, n, t), path.velocity(x, n, t)
    for i in range(2):
        torch.testing.assert_close(x_t[i], path.point(x[i], n[i], t[i]))
        torch.testing.assert_close(v[i], path.velocity(x[i], n[i], t[i]))
    found = path.from_velocity(v, x_t, t)
    assert found.denoiser.dtype == torch.float32
    torch.testing.assert_close(found.denoiser, x, rtol=0, atol=1e-4)
