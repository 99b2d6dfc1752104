"""The forms of x: a plain tensor, a `Table`, `Ragged` sequences, or `Images`.

All forms have a length, `take(index)`, `to(device)` and bytes for a fingerprint. Sequences and
images have no columns: they are `Whole`.
"""

from collections.abc import Iterator
from typing import TypeVar, cast

from torch import Tensor

from sourcewise.errors import Unsuited
from sourcewise.forms.images import Images
from sourcewise.forms.ragged import Ragged
from sourcewise.forms.table import Column, Kind, Table
from sourcewise.forms.tensors import bytes_of
from sourcewise.forms.whole import Whole

__all__ = [
    "Column",
    "Images",
    "Kind",
    "Ragged",
    "Table",
    "Whole",
    "X",
    "as_table",
    "content",
    "form",
    "take",
]

X = Tensor | Table | Ragged | Images

F = TypeVar("F", bound=X)


def take(x: F, index: Tensor) -> F:
    """Some of the examples, in whatever form."""
    return cast(F, x[index] if isinstance(x, Tensor) else x.take(index))


def form(x: X) -> str:
    """The name of its form: "table" (of plain numbers too), "ragged" or "images".

    >>> form(Ragged.of_strings(["a"]))
    'ragged'
    """
    if isinstance(x, Images):
        return "images"
    return "ragged" if isinstance(x, Ragged) else "table"


def content(x: X) -> Iterator[bytes]:
    """The bytes that identify x: names, kinds, categories, shapes and values."""
    return bytes_of(x) if isinstance(x, Tensor) else x.content()


def as_table(x: X) -> Table:
    """A table as it is; a matrix (n, d) with its columns named x1, ..., xd.

    >>> as_table(Tensor([[1, 2, 3]])).names
    ('x1', 'x2', 'x3')
    """
    if isinstance(x, Table):
        return x
    if isinstance(x, Whole):
        raise Unsuited(f"{x.what}s have no columns: this needs a table")
    flat = x.reshape(len(x), -1).double()
    names = [f"x{j + 1}" for j in range(flat.shape[1])]
    return Table(dict(zip(names, flat.T, strict=True)), tuple(Column(name) for name in names))
