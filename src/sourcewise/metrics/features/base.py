"""What rows are as points, for metrics that measure distances between rows."""

from typing import Protocol, Self

from torch import Tensor

from sourcewise.encoders.base import Coding, Document
from sourcewise.forms import X

__all__ = ["Features", "Fitted", "Kept"]


class Features(Protocol):
    """Rows in original units -> points; fitted once per split, shared by all strategies."""

    def __call__(self, x: X) -> Tensor:
        """(n, D) float64."""
        ...

    def to_json(self) -> Document:
        """All of it as plain values, with its "kind"."""
        ...


class Kept(Features, Protocol):
    """Features that are read back from their documents."""

    @classmethod
    def from_json(cls, document: Document) -> Self:
        """The inverse of `to_json`."""
        ...


class Fitted(Kept, Protocol):
    """Features that are fitted to rows of one form."""

    @classmethod
    def fit(cls, x: X, coding: Coding) -> Self:
        """By the training rows of all sources.

        Raises:
            InputError: such rows are no points.
        """
        ...
