"""Normal mixtures: densities, draws, and the velocity that a flow would learn."""

import math

import pytest
import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.samplers.paths import PATHS
from sourcewise.truths.normal_mixture import NormalMixture

# The first use of forward-mode differentiation makes torch warn of its own code.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
K, C, D = 3, 2, 2
TIMES = (0.0, 0.2, 0.5, 0.9)


def truth() -> NormalMixture:
    noise = Noise(3)
    weight = noise.of("weight").uniform(K, C) + 0.2
    return NormalMixture(
        weight / weight.sum(1, keepdim=True),
        2 * noise.of("mean").normal(K, C, D),
        0.3 + noise.of("scale").uniform(K, C),
    )


def rows(n: int = 40) -> tuple[Tensor, Tensor]:
    return 2 * Noise(5).normal(n, D), torch.arange(n) % K


def at(name: str, t: float):
    return PATHS[name].at(torch.tensor(t, dtype=torch.float64))


def of_torch(own: NormalMixture, k: int) -> torch.distributions.Distribution:
    parts = torch.distributions.Independent(
        torch.distributions.Normal(own.mean[k], own.scale[k][:, None].expand(C, D)), 1
    )
    return torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(own.weight[k]), parts
    )


def test_its_density_and_score_are_those_of_torch():
    own, (x, y) = truth(), rows()
    exact = torch.stack([of_torch(own, int(k)).log_prob(r) for r, k in zip(x, y, strict=True)])
    torch.testing.assert_close(own.log_prob(x, y), exact)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(own.log_prob(x, y).sum(), x)
    torch.testing.assert_close(own.score(x.detach(), y), slope)


def test_its_draws_have_its_moments():
    own, n = truth(), 30_000
    y = torch.arange(n) % K
    x = own.sample(y, noise=Noise(0))
    for k in range(K):
        exact, mine = of_torch(own, k), x[y == k]
        sd = exact.variance.sqrt()
        assert bool(((mine.mean(0) - exact.mean).abs() < 4 * sd / len(mine) ** 0.5).all())
        squares = (mine - exact.mean).square()
        off = (squares.mean(0) - exact.variance).abs()
        assert bool((off < 4 * squares.std(0) / len(mine) ** 0.5).all())


@pytest.mark.parametrize("sigma", [0.0, 0.4, 5.0])
def test_the_denoiser_is_tweedies(sigma):
    own, (z, y) = truth(), rows()
    s, one = torch.tensor(sigma, dtype=torch.float64), torch.ones((), dtype=torch.float64)
    tweedie = z + s**2 * own.noisy(one, s).score(z, y)
    torch.testing.assert_close(own.denoise(z, s, y), tweedie)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
def test_the_velocity_carries_the_law_of_the_path(name, t):
    """The continuity equation, `d log p/dt + v . grad log p + div v = 0`, by exact derivatives."""
    own, (x, y), path = truth(), rows(), PATHS[name]
    time = torch.tensor(t, dtype=torch.float64)

    def log_p(t: Tensor) -> Tensor:
        place = path.at(t)
        return own.noisy(place.a, place.b).log_prob(x, y)

    change = torch.func.jvp(log_p, (time,), (torch.ones_like(time),))[1]
    place = path.at(time)
    score = own.noisy(place.a, place.b).score(x, y)
    v = own.velocity(x, y, place)
    spread = torch.zeros(len(x), dtype=torch.float64)
    for d in range(D):
        along = torch.zeros_like(x)
        along[:, d] = 1
        spread += torch.func.jvp(lambda x: own.velocity(x, y, place), (x,), (along,))[1][:, d]
    terms = torch.stack([change, (v * score).sum(1), spread])
    assert float(terms.sum(0).abs().max() / terms.abs().max()) < 1e-12


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("t", TIMES)
def test_the_velocity_is_what_regression_on_draws_finds(name, t):
    """What is left of `a' x + b' n` has no correlation with functions of x_t."""
    own, n, path = truth(), 20_000, PATHS[name]
    y, time = torch.ones(n, dtype=torch.int64), torch.tensor(t, dtype=torch.float64)
    x, z = own.sample(y, noise=Noise(1)), Noise(2).normal(n, D)
    x_t = path.point(x, z, time)
    left = path.velocity(x, z, time) - own.velocity(x_t, y, path.at(time))
    for f in (torch.ones_like(x_t), x_t, x_t.square(), torch.sin(2 * x_t), (x_t > 0.5).double()):
        product = left * f
        error = product.std(0) / n**0.5
        assert bool((product.mean(0).abs() < 4.5 * error).all())


def test_it_is_the_field_of_the_papers():
    """Equal scales: algorithms.md, section 5; of scale 1 also section 8."""
    x, (y, t) = rows()[0], (torch.zeros(40).long(), 0.3)
    weight, mean, s = truth().weight[:1], truth().mean[:1], 0.7
    own = NormalMixture(weight, mean, torch.full((1, C), s, dtype=torch.float64))
    variance = t * t * s * s + (1 - t) ** 2
    away = x[:, None] - t * mean[0]
    r = (weight[0].log() - away.square().sum(-1) / (2 * variance)).softmax(-1)[..., None]
    field = (r * (mean[0] + (t * s * s - (1 - t)) / variance * away)).sum(1)
    torch.testing.assert_close(own.velocity(x, y, at("linear", t)), field)
    one = NormalMixture(weight, mean, torch.ones(1, C, dtype=torch.float64))
    variance = t * t + (1 - t) ** 2
    r = (weight[0].log() - away.square().sum(-1) / (2 * variance)).softmax(-1)[..., None]
    field = ((2 * t - 1) * x + (1 - t) * (r * mean[0]).sum(1)) / variance
    torch.testing.assert_close(one.velocity(x, y, at("linear", t)), field)


def test_at_the_ends_it_is_the_limit():
    own, (x, y) = truth(), rows()
    expected = (own.weight[..., None] * own.mean).sum(1)
    torch.testing.assert_close(own.velocity(x, y, at("linear", 0.0)), expected[y] - x)
    torch.testing.assert_close(own.velocity(x, y, at("linear", 1.0)), x)  # E[n | x] = 0
    still = own.velocity(x, y, at("cosine", 1.0))
    torch.testing.assert_close(still, torch.zeros_like(x), rtol=0, atol=1e-12)
    # a' x - b b' score, where b' alone is infinite: of rates .1 at the data.
    preserved = own.velocity(x, y, at("variance-preserving", 1.0))
    torch.testing.assert_close(preserved, 0.05 * (x + own.score(x, y)))
    for name in PATHS:
        near = own.velocity(x, y, at(name, 1 - 1e-9))
        torch.testing.assert_close(own.velocity(x, y, at(name, 1.0)), near, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("t", TIMES)
def test_without_the_source_it_is_the_mean_over_sources_that_may_be(t):
    own, (x, y), place = truth(), rows(), at("cosine", t)
    share = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    all_, none = own.mixed(share), torch.zeros_like(y)
    each = [torch.full_like(y, k) for k in range(K)]
    noisy = own.noisy(place.a, place.b)
    log = torch.stack([noisy.log_prob(x, k) for k in each], 1) + share.log()
    torch.testing.assert_close(all_.noisy(place.a, place.b).log_prob(x, none), log.logsumexp(1))
    mean = sum(
        r[:, None] * own.velocity(x, k, place)
        for r, k in zip(log.softmax(1).unbind(1), each, strict=True)
    )
    torch.testing.assert_close(all_.velocity(x, none, place), mean)
    assert own.mixed().weight.sum().item() == pytest.approx(1)


def test_each_row_may_have_its_own_time():
    own, (x, y), path = truth(), rows(4), PATHS["linear"]
    t = torch.tensor([0.0, 0.3, 0.6, 1.0], dtype=torch.float64)
    together = own.velocity(x, y, path.place(t, x))
    apart = [own.velocity(x[i : i + 1], y[i : i + 1], path.at(t[i])) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(apart))


@pytest.mark.parametrize(
    ("weight", "scale", "message"),
    [
        ([[0.5, 0.6]], [[1.0, 1.0]], "weights of a mixture must be at least 0 and sum to 1"),
        ([[1.5, -0.5]], [[1.0, 1.0]], "weights of a mixture must be at least 0 and sum to 1"),
        ([[0.5, 0.5]], [[1.0, 0.0]], "scales of a mixture must be above 0"),
        ([[0.5, 0.5]], [[1.0, math.nan]], "scales of a mixture must be above 0"),
        ([[1.0]], [[1.0, 1.0]], r"a mixture takes weights and scales \(K, C\)"),
    ],
)
def test_what_is_no_mixture_is_refused(weight, scale, message):
    with pytest.raises(InputError, match=message):
        NormalMixture(torch.tensor(weight), torch.zeros(1, 2, 2), torch.tensor(scale))
