"""Images as rows on a box: one lattice and one box, and every pixel stays."""

import json
import math
from typing import cast

import pytest
import torch

from sourcewise.encoders.box import BoxCoding
from sourcewise.encoders.registry import load, plan
from sourcewise.errors import InputError
from sourcewise.forms import Column, Table, as_table
from sourcewise.randomness import Noise
from sourcewise.screening.options import BoxOptions, Rules
from sourcewise.screening.registry import screen
from sourcewise.sources import Sources

N = 60
Y = torch.arange(N) % 2
PIXELS = BoxOptions(image=())


def images() -> torch.Tensor:
    """(N, 3, 4) whole numbers from 0 to 15; one pixel is always 0."""
    x = Noise(7).integers(16, N, 3, 4).double()
    x[:, 0, 0] = 0
    return x


def test_pixels_share_a_lattice_and_a_box_and_none_is_left_out():
    x = images()
    screened = screen("box", Sources(x, Y, ("a", "b"), name="made"), Rules(), PIXELS)
    coding = cast(BoxCoding, plan("box", screened, PIXELS))
    encoder = coding.fit(coding.prepare(screened.data.x, Noise(2).each(Y)), Y, 2)
    assert encoder.sizes == {"D": 12, "shape": (1, 3, 4), "spread": encoder.spread}
    assert set(coding.low) == {0.0}
    assert set(coding.high) == {16.0}
    z, log_det = encoder.encode(coding.prepare(screened.data.x, Noise(2).each(Y)), Y)
    assert torch.equal((16 * z).floor(), x.reshape(N, 12))
    assert torch.allclose(log_det, torch.full((N,), -12 * math.log(16.0), dtype=torch.float64))
    assert torch.equal(as_table(encoder.decode(z)).matrix(), x.reshape(N, 12))
    again = load(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder


def test_columns_are_pixels_of_the_image_that_a_setting_says():
    table = {f"p{j}": column for j, column in enumerate(images().reshape(N, 12).T)}
    sample = Sources(Table(table, tuple(map(Column, table))), Y, ("a", "b"), name="made")
    screened = screen("box", sample, Rules(), BoxOptions(image=(1, 4, 3)))
    assert cast(BoxCoding, plan("box", screened)).shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("x", "image", "options", "message"),
    [
        (images().reshape(N, 12), (), {}, "images are needed: --set image=CHANNELS"),
        (images(), (1, 5, 5), {}, "1,5,5 are 25 pixels, but there are 12 columns"),
        (images(), (), {"log": ("all",)}, "--log and --missing impute do not go with images"),
        (images() / 0 * 0, (), {}, "missing values"),
        (0 * images(), (), {}, "all pixels are 0"),
    ],
)
def test_what_is_no_image_is_said(x, image, options, message):
    sample = Sources(x, Y, ("a", "b"), name="made")
    with pytest.raises(InputError, match=message):
        screen("box", sample, Rules(**options), BoxOptions(image=image))
