"""Images on a sheet."""

import io

import numpy as np
import pytest
from PIL import Image

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.results.sheets import GAP, sheet


def noise(high: int, *shape: int) -> np.ndarray:
    return Noise(0).integers(high, *shape).numpy().astype(np.uint8)


def drawn(images: np.ndarray, labels: list[str], **how) -> np.ndarray:
    """(H, W, 3) bytes of the sheet."""
    return np.asarray(Image.open(io.BytesIO(sheet(images, labels, **how))))


def found(page: np.ndarray, image: np.ndarray) -> list[tuple[int, int]]:
    """Where an image (h, w, 3) stands on a page."""
    h, w, _ = image.shape
    views = np.lib.stride_tricks.sliding_window_view(page, (h, w, 3))[:, :, 0]
    return list(
        zip(*map(np.ndarray.tolist, np.nonzero((views == image).all((2, 3, 4)))), strict=True)
    )


@pytest.mark.parametrize(("C", "side", "top"), [(1, 8, 16), (3, 32, 255), (1, 40, 1)])
def test_every_image_stands_on_the_line_of_its_source(C, side, top):
    pixels = noise(top + 1, 5, C, side, side)
    labels = ["a", "b", "a", "a", "b"]
    page = drawn(pixels, labels, top=top, across=2)
    by = max(1, 32 // side)
    white = (pixels.astype(int) * 255 // top).astype(np.uint8)
    big = np.repeat(np.repeat(white, by, 2), by, 3).transpose(0, 2, 3, 1)
    places = [found(page, np.broadcast_to(image, (*image.shape[:2], 3))) for image in big]
    assert all(len(place) == 1 for place in places)
    rows, columns = zip(*(place[0] for place in places), strict=True)
    assert rows[0] == rows[2] < rows[3] < rows[1] == rows[4]  # a, then more of a, then b
    assert columns[0] == columns[1] == columns[3]
    assert columns[2] - columns[0] == by * side + GAP


def test_names_are_written_before_the_lines_and_the_same_bytes_come_again():
    images = noise(256, 2, 1, 8, 8)
    one, other = (drawn(images, [name, "b"]) for name in ("a", "a much longer name"))
    assert other.shape[1] > one.shape[1]
    margin = other.shape[1] - one.shape[1]
    assert (other[: len(other) // 2, :margin] < 128).any()
    assert sheet(images, ["a", "b"]) == sheet(images, ["a", "b"])


def test_too_many_images_are_refused():
    many = np.broadcast_to(np.uint8(0), (40_000, 1, 64, 64))
    with pytest.raises(InputError, match="40000 images of 64x64 pixels do not fit"):
        sheet(many, ["a"] * 40_000)
