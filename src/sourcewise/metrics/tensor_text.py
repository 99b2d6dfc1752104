"""Tensors as text of JSON documents: their bytes in base 64, low byte first."""

import base64
import binascii
import math

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import InputError

__all__ = ["from_text", "to_text"]

TYPES = {torch.float32: "<f4", torch.float64: "<f8"}


def to_text(tensor: Tensor) -> str:
    """The bytes of a tensor of floating-point numbers.

    >>> to_text(torch.tensor([1.0]))
    'AACAPw=='
    """
    values = tensor.detach().cpu().contiguous().numpy().astype(TYPES[tensor.dtype])
    return base64.b64encode(values.tobytes()).decode()


def from_text(text: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """The inverse of `to_text`.

    >>> from_text("AACAPw==", (1,)).tolist()
    [1.0]

    Raises:
        InputError: it is no base 64, holds another number of numbers, or one that is not finite.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InputError("numbers that are no base 64") from None
    wanted = math.prod(shape)
    if len(raw) != wanted * dtype.itemsize:
        raise InputError(f"{len(raw) // dtype.itemsize} numbers where there should be {wanted}")
    values = torch.from_numpy(np.frombuffer(raw, TYPES[dtype]).copy()).to(dtype).reshape(shape)
    if not bool(values.isfinite().all()):
        raise InputError("numbers that are not finite")
    return values
