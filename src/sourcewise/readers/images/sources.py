"""Encoded images with their sources -> `Sources`: all are looked at, then unpacked one by one."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from sourcewise.errors import InputError, counted, phrases
from sourcewise.forms import Images
from sourcewise.places import Places
from sourcewise.readers.images.decode import (
    Encoded,
    Head,
    decoded,
    formats,
    head_of,
    quiet,
    shaped,
)
from sourcewise.readers.images.room import room_for
from sourcewise.readers.registry import ReadOptions
from sourcewise.readers.sampled import rows_of_sample
from sourcewise.sources import Sources

__all__ = ["encoded_images", "resized"]

_NAMED = 5  # images in messages
_EVERY = 64  # images after which progress is told


@dataclass(frozen=True)
class _Where:
    """Where images stand; it outlives their bytes."""

    places: Sequence[str]

    def __call__(self, i: int) -> str:
        return self.places[i]


def encoded_images(
    items: Sequence[Encoded],
    y: Sequence[int] | np.ndarray,
    names: Sequence[str],
    options: ReadOptions,
    *,
    where: object,
    name: str,
    notes: Sequence[str] = (),
) -> Sources:
    """A sample of encoded images.

    Args:
        items: the images.
        y: the source of each.
        names: the sources' names.
        options: `size`, `channels`, `sample_rows` and `progress` are heeded.
        where: they stand together, for messages.
        name: what the data set is called.
        notes: on how they were found.

    Raises:
        InputError: some cannot be read, or their sizes differ without `size`; all that cannot are
            told at once.
    """
    labels = torch.as_tensor(np.asarray(y, np.int64))
    chosen = rows_of_sample(labels, names, options)
    items = [items[i] for i in chosen.tolist()]
    tell = _progress(options.progress, 2 * len(items))
    with quiet():
        heads = _all(items, head_of, where, tell)
        size = _size(heads, items, options, where)
        grey = options.channels == "grey" or (
            options.channels is None and all(head.grey for head in heads)
        )
        pixels = room_for(len(items), (1 if grey else 3, *size))
        held = pixels.numpy()

        def unpack(i: int, item: Encoded) -> None:
            image = shaped(decoded(item), grey, options.size)
            if image.shape != held[i].shape:
                raise InputError("has another size than its head says")
            held[i] = image

        _each(items, unpack, where, lambda i: tell(len(items) + i))
    places = Places(_Where([item.place for item in items]))
    told = (*notes, *_made(heads, grey))
    return Sources(Images.of(pixels), labels[chosen], names, name=name, notes=told, places=places)


def resized(images: Images, options: ReadOptions, where: object) -> Images:
    """Raw images with the size and channels that are wanted, block by block.

    Raises:
        InputError: they are smaller than that.
    """
    C, H, W = images.shape
    grey = options.channels == "grey" or (options.channels is None and C == 1)
    side = None if options.size == H == W else options.size
    if side is None and C == (1 if grey else 3):
        return images
    if side is not None and side > min(H, W):
        raise _too_small(f"{where} holds images", (W, H), side)
    scale = (np.arange(256) * 255 / images.top).round().clip(0, 255).astype(np.uint8)
    top = images.top if side is None else 255  # means lie between the values that there were
    size = (H, W) if side is None else (side, side)
    pixels = room_for(len(images), (1 if grey else 3, *size))
    held = pixels.numpy()
    for part, block in images.blocks():
        values = block.numpy() if side is None else scale[block.numpy()]
        for i, image in zip(part.tolist(), values, strict=True):
            held[i] = shaped(_picture(image), grey, side)
    return Images.of(pixels, top)


def _picture(pixels: np.ndarray) -> Image.Image:
    if len(pixels) == 1:
        return Image.fromarray(pixels[0])
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, 2)))


def _progress(progress: Callable[[int, int], None] | None, total: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if progress is not None and (done % _EVERY == 0 or done == total):
            progress(done, total)

    return tell


def _all(
    items: Sequence[Encoded],
    take: Callable[[Encoded], Head],
    where: object,
    tell: Callable[[int], None],
) -> list[Head]:
    found: list[Head] = []
    _each(items, lambda _, item: found.append(take(item)), where, tell)
    return found


def _each(
    items: Sequence[Encoded],
    do: Callable[[int, Encoded], None],
    where: object,
    tell: Callable[[int], None],
) -> None:
    """Do something with every image; those where it fails are told at once."""
    bad = []
    for i, item in enumerate(items):
        try:
            do(i, item)
        except InputError as error:
            bad.append(f"{item.place} {error}")
        tell(i + 1)
    if len(bad) == 1:
        raise InputError(f"{bad[0]}; {_allowed()}")
    if bad:
        raise InputError(
            f"{where}: {len(bad)} of {len(items)} files cannot be read: {phrases(bad, _NAMED)}; "
            f"{_allowed()}"
        )


def _allowed() -> str:
    *most, last = formats()
    return f"allowed are whole images in {', '.join(most)} or {last}; move others elsewhere"


def _size(
    heads: Sequence[Head], items: Sequence[Encoded], options: ReadOptions, where: object
) -> tuple[int, int]:
    """Height and width of all images."""
    if options.size is None:
        return _common(heads, items, where)
    for head, item in zip(heads, items, strict=True):
        if min(head.size) < options.size:
            smallest = min(min(head.size) for head in heads)
            raise _too_small(f"{item.place} is", head.size, options.size, smallest)
    return options.size, options.size


def _too_small(
    what: str, size: tuple[int, int], wanted: int, most: int | None = None
) -> InputError:
    return InputError(
        f"{what} {size[0]} x {size[1]}, too small for --size {wanted}: images are only made "
        f"smaller (at most {most or min(size)})"
    )


def _common(heads: Sequence[Head], items: Sequence[Encoded], where: object) -> tuple[int, int]:
    """The height and width that all images have."""
    first: dict[tuple[int, int], str] = {}
    for head, item in zip(heads, items, strict=True):
        first.setdefault(head.size, item.place)
    if len(first) > 1:
        shown = [f"{w} x {h} ({place})" for (w, h), place in first.items()]
        smallest = min(min(size) for size in first)
        raise InputError(
            f"{where}: images of {len(first)} sizes, {phrases(shown, 3)}: --size {smallest} makes "
            "them one, cut to the square in their centre"
        )
    width, height = next(iter(first))
    return height, width


def _made(heads: Sequence[Head], grey: bool) -> Iterator[str]:
    """A note of what was made of images, beyond unpacking them."""
    counts = Counter(what for head in heads for what in head.made)
    parts = [f"{n} {what}" for what, n in sorted(counts.items())]
    lacking = sum(head.grey != grey for head in heads)
    if lacking:
        parts.append(f"{lacking} {'of colour (made grey)' if grey else 'grey (made RGB)'}")
    if parts:
        yield f"of {counted(len(heads), 'image')}, these were changed: {', '.join(parts)}"
