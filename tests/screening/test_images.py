"""Images for densities: all of them, and what is no such thing said."""

import pytest
import torch

from sourcewise.errors import InputError, Unsuited
from sourcewise.families.registry import families, suited
from sourcewise.families.registry import screen as screen_for
from sourcewise.forms import Images
from sourcewise.randomness import Noise
from sourcewise.screening.base import content
from sourcewise.screening.options import BoxOptions, NumericOptions, Rules
from sourcewise.screening.registry import screen
from sourcewise.sources import Sources

N = 60
Y = torch.arange(N) % 2


def images(C: int = 1, H: int = 3, W: int = 4) -> Sources:
    pixels = Noise(7).integers(256, N, C, H, W).to(torch.uint8)
    pixels[:, 0, 0] = 0
    return Sources(Images.of(pixels), Y, ("a", "b"), name="made")


@pytest.mark.parametrize("coding", ["numeric", "box"])
def test_images_are_kept_however_constant_a_pixel_is(coding):
    screened = screen(coding, images(3), Rules())
    assert screened.data.x is images(3).x or len(screened.data.x) == N
    assert not screened.left_out
    assert screened.image is not None
    assert screened.image.shape == (3, 3, 4)
    assert screened.image.fewest == N // 2


def test_directions_in_which_no_difference_is_seen_are_told():
    told = screen("numeric", images(), Rules(), NumericOptions(5)).warnings
    assert told == [
        "sources have their own law in the 5 leading principal components of 12 pixel values; in "
        "all other directions all sources and strategies share one noise, and no difference is "
        "seen: --set components=N models more, which few images may not bear"
    ]
    assert screen("numeric", images(), Rules(), NumericOptions(12)).warnings == []


def test_a_source_that_is_not_tested_says_nothing_of_components():
    y = torch.where(torch.arange(N) < 5, 0, 1)
    screened = screen("numeric", Sources(images().x, y, ("few", "many")), Rules())
    assert screened.image is not None
    assert screened.image.fewest == N - 5


@pytest.mark.parametrize(
    ("coding", "rules", "options", "message"),
    [
        ("numeric", {"log": ("all",)}, None, "do not apply to images: --log all"),
        ("box", {"missing": "impute"}, None, "do not apply to images: --missing impute"),
        ("numeric", {}, NumericOptions(13), "components: at most the 12 pixel values, not 13"),
        ("box", {}, BoxOptions((1, 4, 3)), "these images are 1,3,4, not 1,4,3"),
        ("box", {}, BoxOptions(nodes="auto"), "setting rule: a grid of 12 axes"),
    ],
)
def test_what_does_not_go_with_images_is_said(coding, rules, options, message):
    with pytest.raises(InputError, match=message):
        screen(coding, images(), Rules(**rules), options)


def test_images_without_contrast_are_refused():
    blank = Images.of(torch.full((N, 1, 2, 2), 7, dtype=torch.uint8))
    with pytest.raises(InputError, match="made: 60 images without any contrast"):
        screen("box", Sources(blank, Y, ("a", "b"), name="made"), Rules())


def test_components_are_of_images():
    table = Sources(Noise(0).normal(N, 2), Y, ("a", "b"))
    with pytest.raises(InputError, match="setting components: of images"):
        screen("numeric", table, Rules(), NumericOptions(2))


def test_a_family_suits_images_by_itself_and_others_refuse_them_by_its_name():
    data = images()
    assert content(data) == "images"
    assert suited(data).name == "diffusion"
    chosen = families()["transformer"]
    with pytest.raises(Unsuited, match="--model diffusion takes such data"):
        screen_for(chosen, data, chosen.parse({}), Rules())


def test_more_components_than_images_can_tell_are_refused():
    with pytest.raises(InputError, match=r"at most \d+ of \d+ images, half of those that train"):
        screen("numeric", images().take(torch.arange(20)), Rules(), NumericOptions(12))
