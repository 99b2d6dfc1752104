"""x in whatever form: a plain tensor, a `Table` of named columns, or `Ragged` sequences.

All forms have a length, `take(index)`, `to(device)` and bytes for a fingerprint.
"""

from collections.abc import Iterator
from typing import TypeVar, cast

from torch import Tensor

from sourcewise.forms.ragged import Ragged
from sourcewise.forms.table import Table

__all__ = ["X", "content", "take"]

X = Tensor | Table | Ragged


F = TypeVar("F", bound=X)


def take(x: F, index: Tensor) -> F:
    """Some of the examples, in whatever form."""
    return cast(F, x[index] if isinstance(x, Tensor) else x.take(index))


def content(x: X) -> Iterator[bytes]:
    """The bytes that identify x: names, kinds, categories, shapes and values."""
    if isinstance(x, Ragged):
        yield from content(x.offsets)
        yield from content(x.values)
    elif isinstance(x, Table):
        for column in x.schema:
            yield repr((column.name, column.kind, column.categories)).encode()
            yield from content(x.columns[column.name])
    else:
        yield repr((tuple(x.shape), str(x.dtype))).encode()
        yield x.detach().cpu().contiguous().numpy().tobytes()
