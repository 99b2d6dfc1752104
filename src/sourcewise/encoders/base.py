"""What turns examples into tensors: a coding, planned from a screened sample, then an encoder.

A coding is settled by the whole sample's schema and fits nothing; an encoder is fitted on training
rows of all sources and shared by all strategies. Likelihoods come out in original units: an
encoder gives the log-determinant that takes them there.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from sourcewise.forms import Kind, Ragged, X
from sourcewise.moments import MomentParts, Moments
from sourcewise.randomness import ExampleNoise

__all__ = [
    "CodedColumn",
    "Coding",
    "Document",
    "Encoder",
    "Gaps",
    "MomentCoding",
    "MomentEncoder",
    "Rows",
    "Sizes",
    "Strange",
    "TensorRows",
    "Unknown",
    "Z",
    "each_once",
]

Z = Tensor | Ragged  # encoded examples
Gaps = Literal["refuse", "impute", "value"]
Sizes = dict[str, Any]  # arguments of a family's constructor: {"d": 5}
Document = dict[str, Any]  # plain values, as they stand in a JSON file


class Rows(Protocol):
    """Examples after all steps that need no fitting."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> "Rows":
        """The rows at `index`."""
        ...


@dataclass(frozen=True)
class TensorRows:
    """Prepared rows as tensors (n, ...)."""

    values: Tensor  # (n, d) a number for each column

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Tensor) -> Self:
        """The rows at `index`."""
        parts = vars(self).items()
        rows = {name: v[index] for name, v in parts if isinstance(v, Tensor)}
        return replace(self, **rows)


@dataclass(frozen=True)
class CodedColumn:
    """A named column as a coding takes it."""

    name: str  # the column's name
    kind: Kind = "number"  # number or category
    categories: tuple[str, ...] = ()  # the texts of a category
    log: bool = False  # whether its logarithm is taken
    resolution: float | None = None  # the step between recorded numbers, if it has ties
    missing: bool = False  # whether a gap has a code
    # What documents tell of it.
    facts: tuple[str, ...] = ("name", "kind", "categories", "log", "resolution", "missing")

    def to_json(self) -> Document:
        """Its facts."""
        return {name: getattr(self, name) for name in self.facts}


@dataclass(frozen=True)
class Strange:
    """A value of new rows that a coding has no code for."""

    kind: Literal["category", "symbol"]  # what it is
    column: str | None  # where, if that is a column of a table
    value: str  # as it is written
    rows: Tensor  # (m,) the rows that have it, increasing


@dataclass(frozen=True)
class Unknown:
    """Symbols of some rows that an encoder has not seen in training."""

    count: int  # how many
    among: int  # of how many symbols
    symbols: tuple[str, ...]  # which, each once


class Encoder(ABC):
    """Raw rows <-> tensors, fitted once per split and shared by all strategies."""

    @property
    @abstractmethod
    def sizes(self) -> Sizes:
        """What the family's constructor must know of the data, for JSON: {"d": 5}."""

    @property
    def further(self) -> Sizes:
        """What families may ask for beside sizes, by name: `families.family.Family.asks`."""
        return {}

    @property
    @abstractmethod
    def coding(self) -> "Coding":
        """The coding that it was fitted under: what prepares new rows."""

    @abstractmethod
    def encode(self, rows: Any, y: Tensor) -> tuple[Z, Tensor]:
        """Rows as a density scores them, and (n,) the log |dz/dx| to add to log p(z)."""

    def fill(self, z: Any, rows: Any, y: Tensor) -> Z:
        """Encoded rows as training takes them: without gaps. Most have none."""
        return z

    @abstractmethod
    def decode(self, z: Any) -> X:
        """Samples in original units and types."""

    def decode_draws(self, z: Any, noise: ExampleNoise) -> X:
        """Likewise, with a draw of what encoding leaves out; most leave nothing out."""
        return self.decode(z)

    def unknown(self, rows: Any) -> Unknown | None:
        """What of prepared rows was not seen in training, if that can be told by symbols."""
        return None

    @abstractmethod
    def to_json(self) -> Document:
        """All of it as plain values, with its "kind"."""


class Coding(ABC):
    """How examples of this schema are encoded.

    Attributes:
        unit: what scores are divided by: "row", "symbol" or "pixel value".
        gaps: missing values of new rows: refused, imputed (scores are of the observed columns), or
            a value of their own.
    """

    unit: str = "row"
    gaps: Gaps = "refuse"

    @property
    def variables(self) -> int:
        """Coordinates of one unit: columns of a row, 1 for a symbol."""
        return len(self.coded_columns) or 1

    @property
    def coordinates(self) -> int:
        """Coordinates of an example, where all have as many: columns, or pixel values."""
        return self.variables

    @property
    def image(self) -> tuple[int, int, int] | None:
        """Channels, height and width, if examples are images."""
        return None

    @property
    def alphabet_size(self) -> int | None:
        """Different symbols that a coordinate can be, if all have the same; otherwise None."""
        return None

    @property
    def coded_columns(self) -> tuple[CodedColumn, ...]:
        """Named columns of tables, () otherwise."""
        return ()

    def strange(self, x: X) -> list[Strange]:
        """The values, each once, of which `prepare` refuses rows. Most codings name none."""
        return []

    @abstractmethod
    def prepare(self, x: Any, noise: ExampleNoise) -> Rows:
        """All that needs no fitting."""

    def beside(self, rows: Any, c: Tensor) -> Rows:
        """Prepared rows with what is given beside them, (n, C), where gaps are filled in by it."""
        return rows

    @abstractmethod
    def fit(self, rows: Any, y: Tensor, K: int) -> Encoder:
        """Fit on the training rows of all sources."""

    def sizes(self, x: X) -> Tensor:
        """(n,) float64 units of each example: 1, its symbols with the end, or its pixel values."""
        return torch.ones(len(x), dtype=torch.float64)


class MomentEncoder(Protocol):
    """An encoder that takes sums over rows to sums over encoded rows."""

    def encode(self, rows: Any, y: Tensor) -> tuple[Z, Tensor]:
        """See `Encoder`."""
        ...

    def encode_moments(self, rows: Moments) -> tuple[Moments, Tensor]:
        """Moments of encoded rows, and (K,) the log |dz/dx| summed over each source's rows."""
        ...


@runtime_checkable
class MomentCoding(Protocol):
    """A coding whose encoders are affine, fitted to moments: no row is needed for either."""

    def moment_parts(self, rows: Any, y: Tensor, part: Tensor, K: int) -> MomentParts | None:
        """Sums over the parts (n,) of prepared rows; None where rows cannot be added up."""
        ...

    def fit_moments(self, rows: Moments) -> MomentEncoder:
        """Fit on the training rows of all sources."""
        ...


def each_once(values: Tensor, rows: Tensor) -> list[tuple[int, Tensor]]:
    """Every value once, with the rows that have it.

    >>> each_once(torch.tensor([7, 5, 7]), torch.tensor([0, 2, 3]))
    [(5, tensor([2])), (7, tensor([0, 3]))]

    Args:
        values: (m,) integers.
        rows: (m,) where each stands, increasing.
    """
    found, which, counts = values.unique(return_inverse=True, return_counts=True)
    parts = rows[which.argsort(stable=True)].split(counts.tolist())
    return list(zip(found.tolist(), parts, strict=True))
