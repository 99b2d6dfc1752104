import math

import pytest

from sourcewise.errors import InputError
from sourcewise.metrics.estimate import Estimate, PerSource


def test_interval_is_the_normal_one_and_stays_in_range():
    estimate = Estimate(0.99, 0.01, "Monte Carlo", lowest=0.0, highest=1.0)
    assert estimate.interval(0.5) == (
        pytest.approx(0.99 - 0.00674490, abs=1e-8),
        pytest.approx(0.99 + 0.00674490, abs=1e-8),
    )
    assert estimate.low == pytest.approx(0.99 - 0.0195996, abs=1e-7)
    assert estimate.high == 1.0
    with pytest.raises(InputError, match="level"):
        estimate.interval(1.0)


def test_average_of_independent_estimates():
    result = PerSource((Estimate(1.0, 0.3, "a"), Estimate(2.0, 0.4, "b")))
    assert result.average.value == 1.5
    assert result.average.standard_error == pytest.approx(0.25)
    assert result.average.method == "a; b"
    assert (result.worst_source, result.worst.value) == (1, 2.0)
    weighted = result.weighted([0.0, 1.0])
    assert (weighted.value, weighted.standard_error) == (2.0, 0.4)


def test_an_infinite_source_of_weight_zero_does_not_count():
    result = PerSource((Estimate(math.inf, 0.0, "a"), Estimate(2.0, 0.4, "a")))
    assert result.weighted([0.0, 1.0]).value == 2.0
    assert result.average.value == math.inf
    assert result.average.standard_error < math.inf


@pytest.mark.parametrize("p", [[1.0], [0.5, 0.6], [1.5, -0.5]])
def test_bad_weights(p):
    result = PerSource((Estimate(1.0, 0.3, "a"), Estimate(2.0, 0.4, "b")))
    with pytest.raises(InputError, match="2 weights"):
        result.weighted(p)


def test_text_says_the_method_and_the_interval_of_a_simulation():
    assert str(Estimate(0.25, 0.0, "exact: enumeration")) == "0.25 (exact: enumeration)"
    assert str(Estimate(0.25, 0.01, "Monte Carlo")) == "0.25 [0.2304, 0.2696] (Monte Carlo)"
