"""Steps of chains: total variation to X_1 of a normal truth, which is known exactly."""

import numpy as np
import pytest

from sourcewise.samplers.levels import slow_schedule
from sourcewise.studies.samplers.laws import Line
from sourcewise.studies.samplers.methods import METHODS

COUNTS = (50, 100, 200, 400, 800, 1600, 3200)
# algorithms.md, section 9: N(0, 4), c0 = 2, c1 = 5; and the slopes over T = 400 to 3200.
EXPECTED = {
    "probability_flow": ((0.352, 0.212, 0.131, 0.080, 0.049, 0.030, 0.018), (0.65, 0.8)),
    "ddpm": ((0.069, 0.0365, 0.0198, 0.0109, 0.0060, 0.0033, 0.0018), (0.8, 0.95)),
    "accelerated_flow": ((0.030, 0.016, 0.0069, 0.0026, 9.4e-4, 3.2e-4, 1.1e-4), (1.45, 2.1)),
    "accelerated_ddpm": ((1.2e-2, 3.4e-3, 1.0e-3, 3.0e-4, 9.1e-5, 2.7e-5, 8.1e-6), (1.6, 2.1)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_distances_are_those_of_the_exact_recursions(name):
    method = next(m for m in METHODS if m.name == name)
    found = [method.error(Line.of((1.0, 0.0, 2.0)), T) for T in COUNTS]
    expected, (low, high) = EXPECTED[name]
    assert found == pytest.approx(expected, rel=0.04)  # they are given with two digits
    slope = -np.polyfit(np.log(COUNTS[3:]), np.log(found[3:]), 1)[0]
    assert low < slope < high


@pytest.mark.parametrize("T", [20, 50, 1000])
def test_the_schedule_ends_in_noise(T):
    alpha = slow_schedule(T)
    assert bool(((alpha > 0) & (alpha < 1)).all())
    assert float(alpha.prod()) < 0.05
    assert float(alpha[0]) == pytest.approx(1 - T**-2.0)
