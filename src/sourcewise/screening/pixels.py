"""Images as rows of a density on a box: pixels have one lattice, and none is left out."""

import math

from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.forms import X
from sourcewise.screening.base import Image, Screened
from sourcewise.screening.checks import handle_missing, refuse_infinite
from sourcewise.screening.options import Rules
from sourcewise.sources import Sources

__all__ = ["pixels"]


def pixels(data: Sources, image: tuple[int, ...], rules: Rules) -> Screened:
    """Rows whose columns are pixels, all of them kept, however constant.

    Args:
        data: the sample: an array (n, H, W) or (n, C, H, W), or columns channel by channel and
            row by row.
        image: channels, height and width, where the array does not tell.
        rules: rows with gaps are refused or dropped; logarithms cannot be taken.

    Raises:
        InputError: no shape of an image, a shape that does not fit, gaps, logarithms.
    """
    screened = Screened.columns_of(data)
    if rules.log or rules.missing == "impute":
        raise InputError("pixels: --log and --missing impute do not go with images")
    screened.image = Image(_shape(data.x, image), _array(data.x))
    shape = screened.image.shape
    refuse_infinite(screened)
    handle_missing(screened, rules.missing, imputes=False)
    columns = screened.table.columns
    if len(columns) != math.prod(shape):
        raise InputError(
            f"setting image: {','.join(map(str, shape))} are {math.prod(shape)} pixels, but there "
            f"are {len(columns)} columns"
        )
    low = min(float(values.min()) for values in columns.values())
    if all(bool((values == low).all()) for values in columns.values()):
        raise InputError(f"{data.name}: all pixels are {low:g}")
    return screened


def _array(x: X) -> tuple[int, ...]:
    """The axes of a row, unless it has columns."""
    return tuple(x.shape[1:]) if isinstance(x, Tensor) and x.ndim > 2 else ()


def _shape(x: X, image: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width; a setting goes before the array's own axes."""
    if not image and isinstance(x, Tensor) and x.ndim in (3, 4):
        image = (1, *x.shape[1:]) if x.ndim == 3 else tuple(x.shape[1:])
    if len(image) != 3:
        raise InputError(
            "images are needed: --set image=CHANNELS,HEIGHT,WIDTH, or an array (n, H, W) or "
            "(n, C, H, W)"
        )
    return image[0], image[1], image[2]
