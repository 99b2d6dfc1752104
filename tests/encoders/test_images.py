"""Images as numbers: densities of all pixel values, whatever a family models of them."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from sourcewise.batch import Batch
from sourcewise.encoders.base import Encoder
from sourcewise.encoders.images import ImageRows, SpreadImageCoding
from sourcewise.encoders.pixels import PixelEncoder
from sourcewise.encoders.principal import PrincipalCoding, PrincipalEncoder
from sourcewise.encoders.registry import load, plan
from sourcewise.errors import InputError
from sourcewise.families.gaussian.model import Gaussian
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.forms import Images
from sourcewise.randomness import Noise
from sourcewise.screening.options import NumericOptions, Rules
from sourcewise.screening.registry import screen
from sourcewise.sources import Sources

N, SHAPE = 240, (1, 3, 4)
D = math.prod(SHAPE)
Y = torch.arange(N) % 2


def blurred(shape: tuple[int, int, int] = SHAPE, top: int = 255, n: int = N) -> Images:
    """Images whose neighbouring pixels are alike; the sources differ in brightness."""
    size = math.prod(shape)
    factor = Noise(1).normal(size, size) / size
    x = Noise(0).normal(n, size) @ factor + 0.1 * Noise(2).normal(n, size)
    x += 0.5 * (torch.arange(n) % 2)[:, None] + 1.5
    pixels = (x * top / 4).floor().clamp(0, top).to(torch.uint8)
    return Images.of(pixels.reshape(n, *shape), top)


def sources(images: Images) -> Sources:
    return Sources(images, torch.arange(len(images)) % 2, ("a", "b"), name="made")


def encoded(
    images: Images, coding: str = "numeric", **options
) -> tuple[Encoder, ImageRows, Tensor]:
    """An encoder fitted to all rows, these, and their sources."""
    data, chosen = sources(images), NumericOptions(**options) if options else None
    planned = cast(SpreadImageCoding, plan(coding, screen(coding, data, Rules(), chosen), chosen))
    rows = planned.prepare(images, Noise(3).each(data.y))
    return planned.fit(rows, data.y, 2), rows, data.y


def values(rows: ImageRows) -> Tensor:
    """(n, D) pixel values with their noise."""
    return torch.cat([v for _, v in rows.blocks()])


def scores(encoder: Encoder, rows: ImageRows, y: Tensor, **settings) -> tuple[Tensor, Gaussian]:
    """(n,) log densities of pixel values under a Gaussian fitted to the same rows."""
    z, log_det = encoder.encode(rows, y)
    model = Gaussian(GaussianSettings(**settings), K=2, **encoder.sizes)
    model.fit_exactly(Batch.of(z, y), ("a", "b"))
    return model.log_density(Batch.of(z, y), Noise(0)).value + log_det, model


def test_noise_spreads_each_pixel_over_its_own_cell():
    images = blurred()
    _, rows, _ = encoded(images)
    assert torch.equal(values(rows).floor(), images.pixels().flatten(1).double())
    spread = values(rows) - values(rows).floor()
    assert abs(float(spread.mean()) - 0.5) < 0.02
    assert abs(float(spread.var()) - 1 / 12) < 0.005


def test_with_all_components_it_is_the_plain_gaussian():
    """Maximum likelihood does not mind a rotation, nor a change of scale."""
    encoder, rows, y = encoded(blurred(), components=D)
    found, _ = scores(encoder, rows, y, shrinkage="none")
    v = values(rows)
    means = torch.stack([v[y == k].mean(0) for k in range(2)])
    S = (v - means[y]).T @ (v - means[y]) / len(v)
    plain = MultivariateNormal(means[y], S).log_prob(v)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-8)


@pytest.mark.parametrize("q", [1, 5, D - 1])
@pytest.mark.parametrize("shared", [True, False])
def test_with_some_components_it_is_low_rank_plus_one_noise(q, shared):
    encoder, rows, y = encoded(blurred(), components=q)
    found, model = scores(encoder, rows, y, shared_covariance=shared)
    e = cast(PrincipalEncoder, encoder)
    V, v = e.directions @ torch.diag(e.scale), values(rows)
    rest = e.rest**2 * (torch.eye(D).double() - e.directions @ e.directions.T)
    L = model.scale_tril
    covariance = V @ L @ L.mT @ V.T + rest
    normal = MultivariateNormal(
        e.mean + model.mean[y] @ V.T, (covariance if len(L) == 1 else covariance[y])
    )
    torch.testing.assert_close(found, normal.log_prob(v), rtol=0, atol=1e-8)


def test_the_rest_is_the_maximum_likelihood_of_one_noise():
    encoder, rows, _ = encoded(blurred(), components=4)
    e, v = cast(PrincipalEncoder, encoder), values(rows)
    torch.testing.assert_close(e.directions.T @ e.directions, torch.eye(4).double())
    r = (v - v.mean(0)) - (v - v.mean(0)) @ e.directions @ e.directions.T
    assert e.rest**2 == pytest.approx(float(r.square().sum() / N / (D - 4)), rel=1e-10)
    eigenvalues = torch.linalg.eigvalsh((v - v.mean(0)).T @ (v - v.mean(0)) / N)
    torch.testing.assert_close(e.scale.square(), eigenvalues.flip(0)[:4])


@dataclass(frozen=True)
class Plain:
    """Values that are no pixels, as rows."""

    v: Tensor

    def __len__(self) -> int:
        return len(self.v)

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        for at in torch.arange(len(self)).split(100):
            yield at, self.v[at].clone()


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_rotation_of_the_values_changes_nothing_and_a_scale_its_jacobian(scale):
    coding = PrincipalCoding(SHAPE, 255, 5)
    v = values(encoded(blurred())[1])
    turn = scale * torch.linalg.qr(Noise(5).normal(D, D)).Q
    straight, turned = (cast(ImageRows, Plain(part)) for part in (v, v @ turn))
    one, other = (scores(coding.fit(rows, Y, 2), rows, Y)[0] for rows in (straight, turned))
    torch.testing.assert_close(other, one - D * math.log(scale), rtol=0, atol=1e-8)


def test_fewer_images_than_pixels_give_the_same_directions():
    """By the products of images, and by the covariance of their pixels."""
    few = blurred(n=10)
    coding = PrincipalCoding(SHAPE, 255, 4)
    rows = coding.prepare(few, Noise(0).each(Y[:10]))
    encoder = coding.fit(rows, Y[:10], 2)
    v = values(rows) - values(rows).mean(0)
    eigenvalues, vectors = torch.linalg.eigh(v.T @ v / 10)
    torch.testing.assert_close(encoder.scale.square(), eigenvalues.flip(0)[:4])
    along = (encoder.directions * vectors.flip(1)[:, :4]).sum(0).abs()
    torch.testing.assert_close(along, torch.ones(4).double())
    assert encoder.rest**2 == pytest.approx(float(eigenvalues[:-4].sum()) / (D - 4))


def test_components_leave_images_to_tell_the_rest():
    few = blurred(n=10)
    coding = PrincipalCoding(SHAPE, 255, 12)
    encoder = coding.fit(coding.prepare(few, Noise(0).each(Y[:10])), Y[:10], 2)
    assert encoder.sizes == {"d": 4}  # of 10 images
    assert encoder.rest > 0


def test_the_density_of_two_pixels_integrates_to_one():
    encoder, _, y = encoded(blurred((1, 1, 2)), components=1)
    rows = encoded(blurred((1, 1, 2)))[1]
    _, model = scores(encoder, rows, y)
    axis = torch.arange(-400.0, 700.0, 2.0, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    y = torch.ones(len(grid), dtype=torch.int64)
    z, log_det = encoder.encode(cast(ImageRows, Plain(grid)), y)
    log_p = model.log_density(Batch.of(z, y), Noise(0)).value + log_det
    assert abs(4 * float(log_p.exp().sum()) - 1) < 1e-6


def test_draws_are_pixels_that_vary_as_the_model_does():
    """Also in the directions that it does not model; cells add the variance of uniform noise."""
    encoder, rows, y = encoded(blurred(), components=3)
    e, (_, model) = cast(PrincipalEncoder, encoder), scores(encoder, rows, y)
    n = 40_000
    one = torch.ones(n, dtype=torch.int64)
    drawn = e.decode_draws(model.sample(one, Noise(7).each(one)), Noise(8).each(one))
    x = drawn.pixels().flatten(1).double()
    V = e.directions @ torch.diag(e.scale)
    L = model.scale_tril[0]
    expected = V @ L @ L.T @ V.T
    expected += e.rest**2 * (torch.eye(D).double() - e.directions @ e.directions.T)
    found = torch.from_numpy(np.cov(x.T.numpy())) - torch.eye(D) / 12
    error = (expected.diagonal()[:, None] * expected.diagonal() / n).sqrt()
    assert bool(((found - expected).abs() < 6 * error).all())
    mean = e.mean + V @ model.mean[1] - 0.5  # cells begin at their pixel
    assert bool(((x.mean(0) - mean).abs() < 5 * (expected.diagonal() / n).sqrt()).all())


@pytest.mark.parametrize("top", [255, 16])
def test_pixels_in_the_cube_come_back(top):
    images = blurred(top=top)
    encoder, rows, y = encoded(images, "box")
    assert isinstance(encoder, PixelEncoder)
    z, log_det = encoder.encode(rows, y)
    assert torch.equal(encoder.decode(z).pixels(), images.pixels())
    assert encoder.decode(z).top == top
    v = values(rows).requires_grad_()
    (slope,) = torch.autograd.grad(encoder.in_cube(v)[0].sum(), v)
    torch.testing.assert_close(log_det, slope.log().sum(1))
    ends = encoder.in_cube(torch.tensor([[0.0], [top + 1.0]], dtype=torch.float64))[0]
    torch.testing.assert_close(ends, torch.tensor([[0.0], [1.0]]).double())
    parts = [z[y == k].double() - z[y == k].double().mean(0) for k in range(2)]
    spread = torch.cat(parts).square().mean(0).sqrt()
    torch.testing.assert_close(torch.tensor(encoder.spread).double(), spread, rtol=1e-6, atol=0)
    assert encoder.sizes == {"D": D, "shape": SHAPE, "spread": encoder.spread}


@pytest.mark.parametrize("coding", ["numeric", "box"])
def test_scores_are_per_pixel_value_and_json_keeps_all_of_it(coding):
    images = blurred()
    encoder, rows, y = encoded(images, coding)
    assert encoder.coding.unit == "pixel value"
    assert encoder.coding.sizes(images).tolist() == [D] * N
    assert (encoder.coding.variables, encoder.coding.coordinates) == (1, D)
    again = load(json.loads(json.dumps(encoder.to_json())))
    assert again.sizes == encoder.sizes
    for one, other in zip(encoder.encode(rows, y), again.encode(rows, y), strict=True):
        assert torch.equal(cast(Tensor, one), cast(Tensor, other))


def test_by_itself_a_source_has_several_images_for_each_component():
    sizes = [encoded(blurred((1, 8, 8), n=n))[0].sizes["d"] for n in (60, 240)]
    assert sizes == [16, 24]


def test_other_images_than_those_trained_on_are_refused():
    coding = encoded(blurred())[0].coding
    for other, message in (
        (blurred((1, 4, 3)), "images of 1x4x3 .* the models are of 1x3x4"),
        (blurred(top=16), "pixels from 0 to 16, the models are of pixels from 0 to 255"),
    ):
        with pytest.raises(InputError, match=message):
            coding.prepare(other, Noise(0).each(Y))
