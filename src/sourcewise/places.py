"""Where the rows of a sample stand, for messages: on a line of a file, or as which of all rows.

Rows are left out on the way from a file to a model, so their numbers there say nothing to a user.
What sees rows alone raises an `InputError` with the number of one; `Places.named` around it, where
the sample is known, puts the place in.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.errors import InputError

__all__ = ["Place", "Places", "numbered"]

Place = Callable[[int], str]  # where a row (from 0) stands: "FILE, line 3"


def numbered(row: int) -> str:
    """The place of a row that has no other.

    >>> numbered(0)
    'row 1'
    """
    return f"row {row + 1}"


@dataclass(frozen=True)
class Places:
    """Where the rows of a sample stand.

    >>> Places(rows=torch.tensor([3, 7])).take(torch.tensor([False, True]))(0)
    'row 8'

    Args:
        of: the place of a row as it was read.
        rows: (n,) which of the rows that were read each is; None: all of them, in order.
    """

    of: Place = numbered
    rows: Tensor | None = None

    def __call__(self, row: int) -> str:
        """The place of a row, from 0."""
        return self.of(row if self.rows is None else int(self.rows[row]))

    def number(self, row: int) -> int:
        """The number of a row, from 1, in the order in which rows were read.

        >>> Places(rows=torch.tensor([3, 7])).number(1)
        8
        """
        at = row if self.rows is None else int(self.rows[row])
        return self.of.number(at) if isinstance(self.of, Places) else at + 1

    def take(self, index: Tensor) -> "Places":
        """Those of the rows at `index` (integers or a mask)."""
        if self.rows is not None:
            return replace(self, rows=self.rows[index])
        return replace(
            self, rows=index.nonzero().squeeze(1) if index.dtype == torch.bool else index
        )

    @contextmanager
    def named(self) -> Iterator[None]:
        """Around what knows rows by their numbers alone: errors tell their places.

        >>> with Places(lambda i: f"a.csv, line {i + 2}").named():
        ...     raise InputError("{row} holds no symbols", row=3)
        Traceback (most recent call last):
        ...
        sourcewise.errors.InputError: a.csv, line 5 holds no symbols
        """
        try:
            yield
        except InputError as error:
            if error.row is None:
                raise
            raise error.placed(self(error.row)) from None
