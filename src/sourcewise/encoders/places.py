"""Places in a column: a code, and where inside it, as one whole number.

    z = floor(2^48 (code + u)),    u in [0, 1)

So a column of bins, of categories and of missing values is int64, exact in any precision of a
model; u is the middle of a cell of 2^-48, never 0 or 1.
"""

import torch
from torch import Tensor

__all__ = ["MOST_CODES", "code_of", "place", "within"]

_BITS = 48
_CELLS = 1 << _BITS
MOST_CODES = 1 << (62 - _BITS)


def place(code: Tensor, u: Tensor | float = 0.5) -> Tensor:
    """int64 places of codes (...) with u (...) in [0, 1].

    >>> z = place(torch.tensor([3, 0]), torch.tensor([0.25, 1.0], dtype=torch.float64))
    >>> code_of(z).tolist(), within(z).round(decimals=9).tolist()
    ([3, 0], [0.25, 1.0])
    """
    u = torch.as_tensor(u, dtype=torch.float64, device=code.device)
    cell = (u * _CELLS).long().clamp(0, _CELLS - 1)
    return (code.long() << _BITS) + cell


def code_of(z: Tensor) -> Tensor:
    """The codes of places."""
    return z >> _BITS


def within(z: Tensor) -> Tensor:
    """u of places, float64, inside (0, 1)."""
    return ((z & (_CELLS - 1)).double() + 0.5) / _CELLS
