"""What a density of pixels can use: all images, however constant their pixels.

Pixels are whole numbers, and no density has spikes at them: encoders spread each over its own
cell, so that a pixel that never varies does no harm.
"""

import math

from sourcewise.errors import InputError, Unsuited, counted
from sourcewise.forms import Images
from sourcewise.screening.base import Image, Screened, refuse_table_options
from sourcewise.screening.options import USUAL, BoxOptions, LatentOptions, NumericOptions, Rules
from sourcewise.sources import Sources

__all__ = ["MOST_PRODUCTS", "components", "screen", "screen_box", "screen_whole"]

TRAINED = 0.7  # of all images train a fold, one of ten groups left out
MOST_PRODUCTS = 5000  # images or pixel values, the fewer of them, for a matrix of all their pairs


FEW, SHARE, MOST = 16, 5, 200  # components: all up to FEW; a SHAREth of a source's images; at most


def components(image: Image, options: NumericOptions | None) -> int:
    """Components that are modelled; own covariances need several images for each.

    >>> [components(Image((1, 8, 8), fewest=n), None) for n in (30, 200, 6000)]
    [16, 40, 64]
    """
    if options is not None and options.components != "auto":
        return options.components
    return min(math.prod(image.shape), max(FEW, image.fewest // SHARE), MOST)


def screen(data: Sources, rules: Rules = USUAL, options: NumericOptions | None = None) -> Screened:
    """Check images of which principal components are modelled.

    Raises:
        InputError: those of `_usable`, too many images of too many pixels, or more components
            than pixel values.
    """
    screened, D = _usable(data, rules)
    if min(len(data), D) > MOST_PRODUCTS:
        raise InputError(
            f"{data.name}: {len(data)} images of {D} pixel values are too many for principal "
            f"components (at most {MOST_PRODUCTS} of one or the other): --size 32 makes them "
            "smaller"
        )
    assert screened.image is not None
    q = components(screened.image, options)
    if q > D:
        raise InputError(f"setting components: at most the {D} pixel values, not {q}")
    most = max(1, (int(TRAINED * len(data)) - 1) // 2)
    if q > most:
        raise InputError(
            f"setting components: at most {most} of {len(data)} images, half of those that train, "
            f"not {q}"
        )
    if q < D:
        screened.warnings.append(
            f"sources have their own law in the {q} leading principal components of {D} pixel "
            "values; in all other directions all sources and strategies share one noise, and no "
            "difference is seen: --set components=N models more, which few images may not bear"
        )
    return screened


def screen_box(data: Sources, rules: Rules = USUAL, options: BoxOptions | None = None) -> Screened:
    """Check images whose pixel values are coordinates of a box.

    Raises:
        InputError: those of `_usable`, another shape than the images have, or a grid.
    """
    screened, D = _usable(data, rules)
    options = options or BoxOptions()
    assert screened.image is not None
    shape = screened.image.shape
    if options.image and options.image != shape:
        told = (",".join(map(str, sides)) for sides in (shape, options.image))
        raise InputError("setting image: these images are {}, not {}".format(*told))
    if options.nodes is not None:
        raise InputError(f"setting rule: a grid of {D} axes has too many cells to sum over")
    return screened


def screen_whole(
    data: Sources, rules: Rules = USUAL, options: LatentOptions | None = None
) -> Screened:
    """Check images that are modelled whole: by their pixels, or by latents of an autoencoder.

    Raises:
        InputError: those of `_usable`.
    """
    return _usable(data, rules)[0]


def _usable(data: Sources, rules: Rules) -> tuple[Screened, int]:
    """The sample with the shape of its images, and D, the pixel values of each."""
    refuse_table_options("images", rules)
    x = data.x
    if not isinstance(x, Images):
        raise Unsuited("the examples are no images")
    if all(bool((pixels == pixels.flatten()[0]).all()) for _, pixels in x.blocks()):
        raise InputError(f"{data.name}: {counted(len(x), 'image')} without any contrast")
    tested = [n for n in data.counts.tolist() if n >= rules.min_rows]
    fewest = min(tested, default=len(data))
    return Screened(data, image=Image(x.shape, fewest=fewest)), math.prod(x.shape)
