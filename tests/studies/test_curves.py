"""What the studies of curves share."""

import pytest

from sourcewise.studies.curves import compared, fit, over_seeds, reason


def test_an_interval_over_seeds_is_that_of_t():
    interval = over_seeds([1.0, 2.0, 3.0])
    assert interval.value == 2
    assert interval.half_width == pytest.approx(4.302652729911275 / 3**0.5)  # t_2, .975


def test_an_exponent_is_found_with_its_interval():
    x, powers = [10, 100, 1000], (-0.4, -0.5, -0.6)
    curve = fit("exact", x, [[3 * n**a for a in powers] for n in x])
    assert curve.exponent == pytest.approx(-0.5)
    assert curve.high is not None
    assert curve.high - curve.exponent == pytest.approx(4.302652729911275 * 0.1 / 3**0.5)
    assert (curve.first, curve.last) == (10, 1000)
    alone = fit("one", x, [[n**-0.5] for n in x])
    assert alone.low is alone.high is None


def test_a_point_is_paired_by_seed():
    """Gains of seeds that differ much from each other have a narrow interval if they are alike."""
    errors = [0.2, 0.4, 0.6], [0.1, 0.3, 0.5]
    separate, pooled = (compared(*errors, name, 4) for name in ("separate", "pooled"))
    assert separate.gain is separate.beta_hat is None
    assert pooled.gain == pytest.approx(0.1)
    assert pooled.gain_high == pytest.approx(pooled.gain_low, abs=1e-12)
    assert pooled.high - pooled.low > 0.5
    assert pooled.beta_hat == pytest.approx((1 - 0.75**2) * 4 / 3)


def test_a_single_source_has_no_gain_and_says_so():
    assert compared([0.2, 0.4], [0.2, 0.4], "pooled", 1).gain is None
    assert reason("pooled", 1, "other") == "other; beta-hat and gain: with K = 1 both are one"
    assert reason("separate", 1) is reason("pooled", 2) is None
