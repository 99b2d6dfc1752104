"""What examples are made of, at a glance: by this `auto` chooses a family."""

from typing import Literal

import torch
from torch import Tensor

from sourcewise.forms import Ragged, Table
from sourcewise.sources import Sources

__all__ = ["content"]


def content(data: Sources) -> Literal["text", "mixed", "numbers"]:
    """What examples are made of: text, columns with categories that vary, or numbers."""
    if isinstance(data.x, Ragged):
        return "text"
    x = data.x
    categories = isinstance(x, Table) and any(
        column.kind == "category" and _varies_within(x.columns[column.name], data)
        for column in x.schema
    )
    return "mixed" if categories else "numbers"


def _varies_within(codes: Tensor, data: Sources) -> bool:
    """Whether a category (n,) takes more than one value within some source."""
    rows = (codes >= 0).nonzero().squeeze(1)
    codes, y = codes[rows], data.y[rows]
    some = torch.full((data.K,), -1, dtype=codes.dtype)
    some[y] = codes  # any one of each source
    return bool((some[y] != codes).any())
