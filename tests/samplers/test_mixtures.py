"""What samplers make of a mixture: densities through steps, against laws that are known."""

import math

import numpy as np
import pytest
import torch

from sourcewise.samplers import denoising, discrete_steps
from sourcewise.samplers.levels import power_levels, slow_schedule
from sourcewise.studies.samplers import densities, methods
from sourcewise.studies.samplers.densities import Density
from sourcewise.studies.samplers.laws import Drawn, Line, Moments
from sourcewise.studies.samplers.methods import HIGH, LOW, METHODS, NOISE
from sourcewise.studies.samplers.study import TRUTHS

MIXTURE = TRUTHS["mixture"]
DRAWING = [method.name for method in METHODS if method.drawn == Drawn()]


def error(name: str, truth: Line, steps: int) -> float:
    return next(m for m in METHODS if m.name == name).error(truth, steps)


@pytest.mark.parametrize("name", DRAWING)
def test_a_normal_law_in_two_parts_is_a_normal_law(name):
    """As a mixture its densities are followed, as one law its moments, which are exact."""
    method = next(m for m in METHODS if m.name == name)
    chain = method.process == "chain"
    mean, spread, steps = (0.0, 2.0, 100) if chain else (2.0, 0.5, 20)
    one, two = Line.of((1.0, mean, spread)), Line.of((0.3, mean, spread), (0.7, mean, spread))
    assert method.error(two, steps) == pytest.approx(method.error(one, steps), rel=1e-3)


@pytest.mark.parametrize("name", ["randomised_midpoint", "randomised_exponential"])
def test_a_random_midpoint_is_further_off_than_its_moments_say(name, monkeypatch):
    """The law is a mixture over the midpoint: W2 is above that of normal laws with its moments."""
    found = error(name, TRUTHS["normal"], 20)
    monkeypatch.setattr(methods, "_law", lambda start, *_: Moments.of(start))
    assert (
        1.02 * error(name, TRUTHS["normal"], 20) < found < 1.5 * error(name, TRUTHS["normal"], 20)
    )


@pytest.mark.parametrize("name", ["churn", "euler_maruyama", "ddpm", "accelerated_ddpm"])
def test_more_points_and_waves_change_nothing(name, monkeypatch):
    steps = 100 if "ddpm" in name else 20
    found = error(name, MIXTURE, steps)
    monkeypatch.setattr(densities, "CELLS", 300)
    monkeypatch.setattr(densities, "WAVES", 60)
    assert error(name, MIXTURE, steps) == pytest.approx(found, rel=1e-5)


def test_a_step_without_noise_is_a_change_of_variables():
    """Heun's map of a mixture, followed as a density and at quantiles."""
    levels = power_levels(21, LOW, HIGH)[:-1]
    law = Density.of(MIXTURE.noisy(1.0, HIGH**2))
    for i in range(20):

        def step(x, z, u, i=i):
            return denoising.heun(MIXTURE.denoise, x, levels[i : i + 2])

        law = law.through(step, Drawn(), MIXTURE.noisy(1.0, float(levels[i + 1]) ** 2))
    found = law.wasserstein(MIXTURE.noisy(1.0, LOW**2))
    assert found == pytest.approx(error("heun", MIXTURE, 20), rel=1e-3)


def test_a_chain_without_draws_is_its_map():
    """TV of the flow of a mixture by `1/2 int |f' q(f) - p| dx`, the slope by differences."""
    T, alpha = 100, slow_schedule(100)
    laws = [MIXTURE.noisy(math.sqrt(a), 1 - a) for a in alpha.cumprod(0).tolist()]
    x = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    y = x
    for t in range(T, 1, -1):
        a = float(alpha[t - 1])
        y = discrete_steps.probability_flow(lambda v, t: laws[t - 1].score(v), y, t, a)
    slope = torch.gradient(y, spacing=(x,), edge_order=2)[0]
    by_map = torch.trapezoid((slope * laws[0].density(y) - NOISE.density(x)).abs(), x) / 2
    assert error("probability_flow", MIXTURE, T) == pytest.approx(float(by_map), rel=1e-4)


def test_noise_makes_a_mixture_a_wider_one():
    law = Density.of(MIXTURE)
    assert law.total_variation(MIXTURE) < 1e-12
    for variance in (1e-12, 1e-4, 0.03):  # also far below the distance between points
        assert law.noisy(variance).total_variation(MIXTURE.noisy(1.0, variance)) < 1e-12
    wider = MIXTURE.noisy(1.0, 0.3)
    assert law.total_variation(wider) == pytest.approx(by_integral(MIXTURE, wider), rel=1e-5)


def by_integral(p: Line, q: Line) -> float:
    x = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    return float(torch.trapezoid((p.density(x) - q.density(x)).abs(), x) / 2)


@pytest.mark.parametrize("move", [1e-3, 0.5])
def test_a_law_that_is_moved_is_as_far_as_it_is_moved(move):
    """W2 of a law to itself moved is how far; it leaves out next to nothing at the ends."""
    moved = Line(MIXTURE.weight, MIXTURE.mean + move, MIXTURE.variance)
    assert Density.of(MIXTURE).wasserstein(moved) == pytest.approx(move, rel=1e-4)


def slope(name: str, counts: tuple[int, ...]) -> float:
    errors = [error(name, MIXTURE, n) for n in counts]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize(
    ("name", "counts", "low", "high"),
    [
        ("churn", (40, 80, 160), 1.9, 2.2),
        ("euler_maruyama", (80, 160, 320), 0.9, 1.1),
        ("exponential_integrator", (80, 160, 320), 0.9, 1.1),
        ("local_linearisation", (80, 160, 320), 1.7, 2.1),
        ("ddpm", (200, 400, 800), 0.7, 0.95),  # log T / T
        ("probability_flow", (200, 400, 800), 0.6, 0.8),
        ("accelerated_flow", (200, 400, 800), 1.3, 2.1),  # log^3 T / T^2
        ("accelerated_ddpm", (200, 400, 800), 0.7, 0.95),  # no better than 1 / T here
    ],
)
def test_orders_on_the_mixture(name, counts, low, high):
    assert low < slope(name, counts) < high


def test_acceleration_pays_on_the_mixture_too():
    """Also for DDPM, where it is no order."""
    at = {name: error(name, MIXTURE, 400) for name in DRAWING if "flow" in name or "ddpm" in name}
    assert at["accelerated_flow"] < at["accelerated_ddpm"] < at["ddpm"] < at["probability_flow"]
