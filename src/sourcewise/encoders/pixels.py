"""Images as rows of a density on a box (`network=convolutional`).

Pixels have one lattice and one box, those of all pixels together; none is left out, however
constant.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sourcewise.encoders.box import BoxCoding
from sourcewise.encoders.numeric import NumericColumn, decimals, resolution
from sourcewise.encoders.screening import Missing, Screened, handle_missing, refuse_infinite
from sourcewise.errors import InputError
from sourcewise.forms import X, as_table
from sourcewise.sources import Sources

__all__ = ["pixels"]


def pixels(
    data: Sources,
    image: tuple[int, ...] = (),
    *,
    min_rows: int = 10,
    missing: Missing = "refuse",
    log: Sequence[str] = (),
) -> Screened:
    """Images as rows of a density on a box.

    Args:
        data: the sample: an array (n, H, W) or (n, C, H, W), or columns channel by channel and
            row by row.
        image: channels, height and width, where the array does not tell.
        min_rows: not used.
        missing: rows with gaps are refused or dropped.
        log: none can be taken.

    Raises:
        InputError: no shape of an image, a shape that does not fit, gaps, logarithms.
    """
    screened = Screened(replace(data, x=as_table(data.x)))
    if log or missing == "impute":
        raise InputError("pixels: --log and --missing impute do not go with images")
    shape = _shape(data.x, image)
    refuse_infinite(screened)
    handle_missing(screened, missing, imputes=False)
    table = screened.table
    if len(table.names) != math.prod(shape):
        raise InputError(
            f"setting image: {','.join(map(str, shape))} are {math.prod(shape)} pixels, but there "
            f"are {len(table.names)} columns"
        )
    every = torch.cat([values.double() for values in table.columns.values()])
    low, step, places = float(every.min()), resolution(every), decimals(every)
    columns = tuple(NumericColumn(name, False, step, low, places) for name in table.names)
    high, D = float(every.max()) + (step or 0.0), len(columns)
    if high == low:
        raise InputError(f"{data.name}: all pixels are {low:g}")
    array = tuple(data.x.shape[1:]) if isinstance(data.x, Tensor) and data.x.ndim > 2 else ()
    screened.coding = BoxCoding(columns, (low,) * D, (high,) * D, shape=shape, array=array)
    return screened


def _shape(x: X, image: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width; a setting goes before the array's own axes."""
    if not image and isinstance(x, Tensor) and x.ndim in (3, 4):
        image = (1, *x.shape[1:]) if x.ndim == 3 else tuple(x.shape[1:])
    if len(image) != 3:
        raise InputError(
            "network=convolutional needs images: --set image=CHANNELS,HEIGHT,WIDTH, or an array "
            "(n, H, W) or (n, C, H, W)"
        )
    return image[0], image[1], image[2]
