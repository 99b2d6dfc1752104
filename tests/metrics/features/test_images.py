"""Images as points."""

import json
import math

import pytest
import torch

from sourcewise.encoders.pixels import PixelCoding
from sourcewise.errors import InputError
from sourcewise.forms import Images
from sourcewise.metrics.energy_distance import permutation_test, spread
from sourcewise.metrics.features.images import ImageFeatures
from sourcewise.metrics.features.registry import fit, load
from sourcewise.randomness import Noise


def images(shape: tuple[int, int, int], n: int = 200, key: int = 0) -> Images:
    return Images.of(Noise(key).integers(256, n, *shape).to(torch.uint8))


def fitted(x: Images) -> ImageFeatures:
    found = fit(x, PixelCoding(x.shape, x.top))
    assert isinstance(found, ImageFeatures)
    return found


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((1, 8, 8), [8, 4, 2]), ((3, 28, 28), [28, 14, 7, 4, 2]), ((1, 3, 9), [3]), ((1, 1, 2), [1])],
)
def test_levels_halve_the_image_and_share_its_variance(shape, sides):
    x = images(shape)
    points = fitted(x)(x)
    C, H, W = shape
    widths = [C * math.ceil(H / 2**i) * math.ceil(W / 2**i) for i in range(len(sides))]
    assert points.shape == (200, sum(widths))
    shares = [part.var(0, correction=0).sum() for part in points.split(widths, 1)]
    D = math.prod(shape)
    torch.testing.assert_close(
        torch.stack(shares), torch.full((len(sides),), D / len(sides)).double()
    )


def test_a_level_is_the_mean_of_squares_also_at_an_odd_edge():
    x = images((1, 5, 5), n=3)
    features = fitted(x)
    assert len(features.scales) == 2
    pixels = x.pixels().double()[:, 0]
    corner, edge = pixels[:, :2, :2].mean((1, 2)), pixels[:, 4, 2:4].mean(1)
    coarse = (features(x)[:, 25:] * features.scales[1]).reshape(3, 3, 3)
    torch.testing.assert_close(coarse[:, 0, 0], corner)
    torch.testing.assert_close(coarse[:, 2, 1], edge)
    torch.testing.assert_close(coarse[:, 2, 2], pixels[:, 4, 4])


def test_distances_are_on_the_scale_of_as_many_standardised_columns():
    """What the smallest difference that matters is measured by."""
    x = images((1, 8, 8), n=500)
    points = fitted(x)(x)
    apart = torch.cdist(points, points).sum() / (500 * 499)
    assert float(apart) == pytest.approx(spread(64), rel=0.05)


def test_images_of_one_law_are_alike_and_brighter_ones_are_not():
    x, same = images((1, 8, 8)), images((1, 8, 8), key=1)
    features = fitted(x)
    brighter = Images.of(same.pixels().clamp(min=60))
    alike, apart = (
        permutation_test(features(x), features(other), Noise(0), 199) for other in (same, brighter)
    )
    assert alike.p > 0.05
    assert apart.p == 1 / 200


def test_json_keeps_all_of_it():
    x = images((3, 4, 4))
    again = load(json.loads(json.dumps(fitted(x).to_json())))
    assert again == fitted(x)


def test_constant_levels_and_very_large_images():
    same = Images.of(images((1, 4, 4), n=1).pixels().expand(5, -1, -1, -1))
    assert bool(fitted(same)(same).isfinite().all())
    large = Images.of(torch.zeros(2, 3, 128, 128, dtype=torch.uint8))
    with pytest.raises(InputError, match="49152 pixel values, and distances take at most 12288"):
        fitted(large)


def test_other_images_are_refused():
    with pytest.raises(InputError, match="points are of"):
        fitted(images((1, 4, 4)))(images((1, 5, 5)))
