import json

import pytest
import torch

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.studies.crossing.points import PICTURE, Crossing, CrossingSettings
from sourcewise.studies.crossing.study import grid

K, D, N = 3, 3, 8000


def population(opposite: bool) -> Sources:
    """Large Gaussian sources, with one covariance or with opposite correlations."""
    y = torch.arange(K * N) % K
    noise = Noise(0).of("population")
    sign = torch.where(y == 0, -1.0, 1.0) if opposite else torch.ones(len(y))
    x = noise.of("own").normal(K * N, D)
    shared = noise.of("shared").normal(K * N)
    x[:, 0] += 0.5 * sign * shared
    x[:, 1] += 0.5 * shared
    return Sources(x, y, list("abc"), name="population")


def cross(data: Sources, settings: CrossingSettings) -> Crossing:
    return grid(settings, data).run()


SMALL = CrossingSettings(repetitions=300, sizes=4, largest=60)


def test_equal_gaussian_sources_follow_the_exact_prediction():
    result = cross(population(opposite=False), SMALL)
    assert abs(result.harm) < 0.005
    for point in result.points[1:]:  # just above d the mean has no finite variance
        assert point.exact is not None
        assert abs(point.difference - point.exact) < 4 * point.standard_error + 0.005
        assert point.sandwich == pytest.approx(point.law, rel=0.05)
    assert (result.at("difference") or 60) > 50  # no harm, no crossing


def test_opposite_sources_cross_where_predicted():
    settings = CrossingSettings(repetitions=200, sizes=8, largest=400)
    result = cross(population(opposite=True), settings)
    sizes = {curve: result.at(curve) for curve in ("difference", "law", "sandwich", "exact")}
    measured, law = sizes["difference"], sizes["law"]
    assert measured is not None
    assert law is not None
    assert 0.5 < measured / law < 2
    assert sizes["exact"] == pytest.approx(measured, rel=0.15)
    assert result.points[0].difference > 0 > result.points[-1].difference
    # With many rows the difference tends to the loss of the wrong shared covariance.
    assert result.points[-1].difference == pytest.approx(-result.harm, rel=0.3)


def test_the_result_is_plain_and_drawn(tmp_path):
    settings = CrossingSettings(repetitions=2, sizes=3, largest=40)
    result = cross(population(opposite=True), settings)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert len(document["cells"]) == 3
    assert "crossing (rows per source): measured" in str(result)
    for name in ("one", "two"):
        PICTURE.write(result, tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert cross(population(opposite=True), settings) == result


def test_too_small_sources_are_refused():
    data = population(opposite=False)
    with pytest.raises(InputError, match="fewer than two sources have 9000 rows"):
        cross(data, CrossingSettings(min_rows=9000))
    with pytest.raises(InputError, match="setting largest: above 6"):
        cross(data, CrossingSettings(largest=5))
