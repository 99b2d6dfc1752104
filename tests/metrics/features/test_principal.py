"""Principal components of pixels against those of NumPy."""

import json

import numpy as np
import pytest
import torch

from sourcewise.encoders.pixels import PixelCoding
from sourcewise.errors import InputError
from sourcewise.forms import Images
from sourcewise.metrics.features.principal import PrincipalFeatures
from sourcewise.metrics.features.registry import load
from sourcewise.randomness import Noise


def images(n: int, shape: tuple[int, int, int] = (1, 4, 5), key: int = 0) -> Images:
    return Images.of(Noise(key).integers(256, n, *shape).to(torch.uint8))


def fitted(x: Images) -> PrincipalFeatures:
    return PrincipalFeatures.fit(x, PixelCoding(x.shape, x.top))


def test_all_components_keep_all_distances():
    x = images(100)
    points, pixels = fitted(x)(x), x.pixels().flatten(1).double()
    assert points.shape == (100, 20)
    ratio = torch.pdist(points) / torch.pdist(pixels)
    assert torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-10)


def test_components_are_uncorrelated_with_the_largest_variances():
    x = images(40, (3, 8, 8))
    points = fitted(x)(x)
    assert points.shape == (40, 39)
    covariance = torch.cov(points.T)
    square = np.linalg.eigvalsh(np.cov(x.pixels().flatten(1).double().numpy().T))[::-1][:39]
    assert torch.allclose(covariance.diagonal().mean(), torch.ones(()).double())
    wanted = torch.tensor((square / square.mean()).copy())
    assert torch.allclose(covariance, wanted.diag(), atol=1e-9)


def test_json_keeps_all_of_it():
    x = images(30)
    features = fitted(x)
    again = load(json.loads(json.dumps(features.to_json())))
    assert torch.equal(again(x), features(x))
    assert again(x.take(torch.arange(0))).shape == (0, 20)


def test_other_images_and_damaged_documents_are_refused():
    x = images(30)
    features = fitted(x)
    with pytest.raises(InputError, match="points are of"):
        features(images(3, (1, 5, 4)))
    document = features.to_json()
    with pytest.raises(InputError, match="20 numbers where there should be 25"):
        load({**document, "shape": [1, 5, 5]})
    with pytest.raises(InputError, match="no base 64"):
        load({**document, "axes": "?"})
    with pytest.raises(InputError, match="a covariance needs 2 rows"):
        fitted(images(1))
    with pytest.raises(InputError, match="--size 32"):
        fitted(images(2, (3, 64, 64)))
