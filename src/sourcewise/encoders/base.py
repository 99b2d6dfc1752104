"""What turns examples into tensors: a coding, chosen from the kinds of columns, then an encoder.

A coding is settled by the whole sample's schema and fits nothing; an encoder is fitted on training
rows of all sources and shared by all arms. Likelihoods come out in original units: an encoder
gives the log-determinant that takes them there.
"""

from typing import Any, Protocol

from torch import Tensor

from sourcewise.forms import Ragged, X
from sourcewise.randomness import ExampleNoise

__all__ = ["Coding", "Encoder", "Rows", "Z"]

Z = Tensor | Ragged  # encoded examples


class Rows(Protocol):
    """Examples after all steps that need no fitting."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> "Rows":
        """The rows at `index`."""
        ...


class Encoder(Protocol):
    """Raw rows <-> tensors, fitted once per split and shared by all arms."""

    @property
    def sizes(self) -> dict[str, Any]:
        """What the family's constructor must know of the data, for JSON: {"d": 5}."""
        ...

    @property
    def coding(self) -> "Coding":
        """The coding that it was fitted under: what lifts new rows."""
        ...

    def encode(self, rows: Any, y: Tensor) -> tuple[Z, Tensor]:
        """Rows as a density scores them, and (n,) the log |dz/dx| to add to log p(z)."""
        ...

    def fill(self, z: Any, rows: Any, y: Tensor) -> Z:
        """Encoded rows as training takes them: without gaps."""
        ...

    def decode(self, z: Any) -> X:
        """Samples in original units and types."""
        ...

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values, with its "kind"."""
        ...


class Coding(Protocol):
    """How examples of this schema are encoded."""

    @property
    def variables(self) -> int:
        """Coordinates of one unit: columns of a row, 1 for a symbol."""
        ...

    @property
    def columns(self) -> tuple[Any, ...]:
        """Named columns (with `name`) of tables, () otherwise."""
        ...

    @property
    def unit(self) -> str:
        """What scores are divided by: "row" or "symbol"."""
        ...

    def lift(self, x: Any, noise: ExampleNoise) -> Rows:
        """All that needs no fitting."""
        ...

    def fit(self, rows: Any, y: Tensor, K: int) -> Encoder:
        """Fit on the training rows of all sources."""
        ...

    def sizes(self, x: Any) -> Tensor:
        """(n,) float64 units of each example: 1, or its symbols with the end of sequence."""
        ...
