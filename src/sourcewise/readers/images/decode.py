"""One encoded image -> pixels, by Pillow: what it is, by its content, and what is made of it.

What an image says of itself is looked at before any of it is unpacked: format, size, frames and
mode. Then transparency is laid on white, a palette is RGB, 16 bits are scaled to 8, CMYK becomes
RGB, and the image is turned as its EXIF data say.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import IO

import numpy as np
from PIL import Image
from PIL.Image import Resampling, Transpose

from sourcewise.errors import InputError

__all__ = ["Encoded", "Head", "decoded", "formats", "head_of", "quiet", "shaped"]

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF")
MOST_PIXELS = 1 << 26  # of one image: 8192 x 8192
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", "La", *_SIXTEEN)
_COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_ORIENTATION = 0x0112  # of EXIF
_SILENCE = logging.NullHandler()
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Encoded:
    """An image as it lies in a file.

    Args:
        place: it stands, for messages.
        open: gives its bytes.
    """

    place: str
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Head:
    """What an image says of itself.

    Args:
        size: (width, height) when it is turned.
        grey: whether it has one channel.
        made: what is made of it, in words, if more than unpacking.
    """

    size: tuple[int, int]
    grey: bool
    made: tuple[str, ...]


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read: those of Pillow's that are images and nothing more."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextmanager
def quiet() -> Iterator[None]:
    """Around work on many images: what Pillow warns of is looked at here, or does not matter."""
    log = logging.getLogger("PIL")
    heard, log.propagate = log.propagate, False
    log.addHandler(_SILENCE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.removeHandler(_SILENCE)
        log.propagate = heard


def head_of(item: Encoded) -> Head:
    """What an image says of itself.

    Raises:
        InputError: it is none, or none that can be read; the message is what goes after its place.
    """
    with _opened(item) as image:
        _check(image)
        width, height = image.size
        turn = _turn(image)
        if turn in (5, 6, 7, 8):
            width, height = height, width
        return Head((width, height), _is_grey(image), tuple(_made(image, turn)))


def decoded(item: Encoded) -> Image.Image:
    """The image, upright, as grey (L) or RGB.

    Raises:
        InputError: it is damaged; the message is what goes after its place.
    """
    with _opened(item) as image:
        _check(image)
        turn = _turn(image)  # before its pixels are read: later more data may be there
        try:
            image.load()
            plain = _plain(image)
        except Exception as error:  # whatever a decoder raises says that it is damaged
            raise InputError(f"is damaged or cut short ({_first_line(error)})") from None
        return plain.transpose(_TURNS[turn]) if turn in _TURNS else plain


def shaped(image: Image.Image, grey: bool, size: int | None) -> np.ndarray:
    """(C, H, W) uint8: with channels as wanted, cut to the square in its centre, and made smaller.

    What is too long by an odd number of pixels loses one more at the right, or at the bottom. A
    pixel of the smaller image is a mean over those of the larger one, weighed by a cubic filter
    that is as wide as the step (antialiased).

    >>> shaped(Image.new("L", (5, 4), 7), grey=False, size=2).shape
    (3, 2, 2)
    """
    mode = "L" if grey else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    if size is not None:
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Resampling.BICUBIC, box=box)
    pixels = np.asarray(image)
    return pixels[None] if grey else np.moveaxis(pixels, 2, 0)


@contextmanager
def _opened(item: Encoded) -> Iterator[Image.Image]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(item.open())
        except OSError as error:
            raise InputError(f"cannot be read ({_first_line(error)})") from None
        except Exception as error:  # of what unpacks archives
            raise InputError(f"is damaged ({_first_line(error)})") from None
        try:
            image = stack.enter_context(Image.open(file, formats=formats()))
        except Image.UnidentifiedImageError:
            raise InputError("is no image that can be read") from None
        except Image.DecompressionBombError:
            raise InputError(f"has more than {MOST_PIXELS} pixels") from None
        except Exception as error:
            raise InputError(f"is damaged ({_first_line(error)})") from None
        yield image


def _check(image: Image.Image) -> None:
    """Raise for what is not read."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise InputError(f"has {width} x {height} pixels (at most {MOST_PIXELS})")
    if not width * height:
        raise InputError("has no pixels")
    if image.mode not in (*_GREY, *_COLOUR) and not _is_wide(image):
        raise InputError(f"has pixels of another kind ({image.mode}) than bytes or 16 bits")
    try:
        several = image.format != "MPO" and getattr(image, "is_animated", False)
    except Exception as error:
        raise InputError(f"is damaged ({_first_line(error)})") from None
    if several:
        raise InputError("holds several images (an animation or pages)")


def _is_wide(image: Image.Image) -> bool:
    """Whether it is grey of 16 bits; so is, by some versions, a PNG file of 32-bit integers."""
    return image.mode in _SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _is_grey(image: Image.Image) -> bool:
    return image.mode in _GREY or _is_wide(image)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in _ALPHA or ("transparency" in image.info and not _is_wide(image))


def _turn(image: Image.Image) -> int:
    """The orientation that EXIF data before the pixels tell; 1: upright, or Pillow's own work."""
    if image.format == "TIFF":
        return 1
    try:
        # The method of PNG files would read all of their pixels.
        return int(Image.Image.getexif(image).get(_ORIENTATION, 1))
    except Exception:  # such data are damaged in many good images
        return 1


def _made(image: Image.Image, turn: int) -> Iterator[str]:
    if _has_alpha(image):
        yield "with transparency (laid on white)"
    if image.mode in ("P", "PA"):
        yield "with a palette (made RGB)"
    if _is_wide(image):
        yield "of 16 bits (divided by 257)"
    if image.mode == "CMYK":
        yield "of CMYK (made RGB)"
    if turn in _TURNS:
        yield "turned as their EXIF data say"


def _plain(image: Image.Image) -> Image.Image:
    """As grey (L) or RGB."""
    mode = "L" if _is_grey(image) else "RGB"
    if _is_wide(image):
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if _has_alpha(image):
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image if image.mode == mode else image.convert(mode)


def _first_line(error: Exception) -> str:
    told = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return f"{told.splitlines()[0]:.200}"
