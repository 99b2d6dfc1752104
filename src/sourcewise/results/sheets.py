"""Images on one sheet: a line for each source, with its name before it. This needs no torch."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sourcewise.errors import InputError
from sourcewise.results.text import brief

__all__ = ["DATA", "sheet"]

DATA = "data"  # in `samples/`: images of the data, beside those that strategies draw

ACROSS = 16  # images of a line; of a source with more, lines follow
SIDE = 32  # pixels that small images are enlarged to, about
GAP, EDGE = 2, 6  # pixels between images, and around them
LETTERS = 12.0  # height of a source's name
MOST = 1 << 26  # pixels of a sheet
PAPER, INK = 255, 40


def sheet(
    images: np.ndarray, labels: Sequence[str], top: int = 255, across: int = ACROSS
) -> bytes:
    """A PNG file: images in lines by source, in the order in which sources appear.

    Small images are enlarged by a whole factor, pixel by pixel. The same images give the same
    bytes.

    Args:
        images: (n, C, H, W) uint8.
        labels: (n,) sources' names.
        top: the value that is white.
        across: images of a line.

    Raises:
        InputError: they would not fit on a sheet.
    """
    lines = _lines(labels, across)
    H, W = images.shape[2:]
    by = max(1, SIDE // max(H, W))
    font, names = (
        ImageFont.load_default(LETTERS),
        [brief(name, 24) if name else "" for name, _ in lines],
    )
    margin = EDGE + max(int(font.getlength(name)) for name in names) + EDGE
    wide = margin + max(len(at) for _, at in lines) * (by * W + GAP) + EDGE
    step = max(by * H + GAP, int(LETTERS) + 4)
    tall = 2 * EDGE + len(lines) * step
    if wide * tall > MOST:
        raise InputError(
            f"{len(images)} images of {H}x{W} pixels do not fit on one sheet: draw fewer, or "
            "write .npz"
        )
    page = Image.new("RGB", (wide, tall), (PAPER,) * 3)
    pen = ImageDraw.Draw(page)
    for i, (name, (_, at)) in enumerate(zip(names, lines, strict=True)):
        high = EDGE + i * step
        pen.text((EDGE, high + step / 2), name, fill=(INK,) * 3, font=font, anchor="lm")
        for j, pixels in enumerate(_enlarged(images[at], top, by)):
            page.paste(Image.fromarray(pixels), (margin + j * (by * W + GAP), high))
    raw = io.BytesIO()
    page.save(raw, "png", optimize=True)
    return raw.getvalue()


def _lines(labels: Sequence[str], across: int) -> list[tuple[str, list[int]]]:
    """The name before each line, and which images are on it."""
    by_source: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        by_source.setdefault(label, []).append(i)
    return [
        ("" if start else name, at[start : start + across])
        for name, at in by_source.items()
        for start in range(0, len(at), across)
    ]


def _enlarged(images: np.ndarray, top: int, by: int) -> np.ndarray:
    """(n, by H, by W, 3) bytes of images, from black to white, grey ones too."""
    pixels = (images.astype(np.uint16) * 255 // top).astype(np.uint8)
    pixels = np.repeat(np.repeat(pixels, by, 2), by, 3).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))
