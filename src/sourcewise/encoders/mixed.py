"""Mixed tables <-> places: categories, numbers in bins, and missing values as a value.

Every column becomes a code in {0, ..., codes - 1}, and u in [0, 1), where inside it:

- a category: its number among the categories that the schema names. Of more than `LEVELS`
  categories the most frequent `LEVELS - 1` keep a code; the others share one, and each has an
  equal part of it, so that probabilities still sum to one;
- a number: its bin (`encoders.bins`), after the same dequantisation and logarithms as for the
  families of numbers, so that likelihoods compare;
- missing: the last code, in columns with gaps anywhere in the sample; no density goes with it.

Both are one whole number, `z = 2^48 (code + u)` (`encoders.places`). For a model p of code and u,
`log p(x) = log p(z) + log_det`, with `log d(code + u)/dx` of numbers in log_det. A model that
knows nothing of u has it uniform: then p is the probability of the code. Of numbers a model is
told how many training rows a code has, and which codes are a single recorded value: of these, and
of codes that are no numbers, u says at most which of the categories of a shared code it is.

Where gaps are left out of scores, the code of missing values is *unscored*: models see that a
value is missing, have the probabilities of the others given that none is, and draw none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sourcewise.documents import typed
from sourcewise.encoders.base import CodedColumn, Coding, Document, Encoder, Gaps, Sizes, Strange
from sourcewise.encoders.bins import Bins, cut_cells, cut_values, usual_bins
from sourcewise.encoders.mixed_columns import (
    Levels,
    MixedColumn,
    MixedRows,
    prepare_mixed,
    strange_categories,
)
from sourcewise.encoders.places import code_of, place, within
from sourcewise.errors import unknown
from sourcewise.forms import Table, X, as_table
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import MixedOptions
from sourcewise.screening.recorded import recorded_columns

__all__ = ["MixedCoding", "MixedEncoder", "dependence_order", "mutual_information", "plan"]

GIVEN, INFORMATION = ("given",), ("information",)


def plan(screened: Screened, options: MixedOptions | None = None) -> "MixedCoding":
    """The coding of a table without dates.

    Raises:
        InputError: an unknown column in `order`, or one twice.
    """
    table, options = screened.table, options or MixedOptions()
    numbers = [column.name for column in table.schema if column.kind == "number"]
    found = {c.name: c for c in recorded_columns(table.select(numbers), screened.log)}
    columns = tuple(
        MixedColumn(
            column.name,
            found.get(column.name),
            column.categories,
            bool(table.missing(column.name).any()),
        )
        for column in table.schema
    )
    if options.order not in (GIVEN, INFORMATION):
        for name in options.order:
            if name not in table.names:
                raise unknown("order or column", name, (*GIVEN, *INFORMATION, *table.names))
        table.select(options.order)  # refuses a name that comes twice
    return MixedCoding(columns, options, screened.unscored_gaps)


@dataclass(frozen=True)
class MixedCoding(Coding):
    """Columns of any kind; scores are per row."""

    columns: tuple[MixedColumn, ...]  # how each is encoded
    options: MixedOptions  # bins, and the order of columns
    unscored_gaps: bool = False  # whether missing values have no probability

    @property
    def gaps(self) -> Gaps:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A value, or left out of scores."""
        return "impute" if self.unscored_gaps else "value"

    @property
    def coded_columns(self) -> tuple[CodedColumn, ...]:
        """All columns."""
        found = tuple(column.coded for column in self.columns)
        if self.unscored_gaps:  # models never draw one
            return tuple(replace(column, missing=False) for column in found)
        return found

    def strange(self, x: X) -> list[Strange]:
        """Categories that the schema does not name."""
        return strange_categories(as_table(x), self.columns)

    def prepare(self, x: X, noise: ExampleNoise) -> MixedRows:
        """See `prepare_mixed`."""
        return prepare_mixed(as_table(x), self.columns, noise)

    def fit(self, rows: MixedRows, y: Tensor, K: int) -> "MixedEncoder":
        """Bins, shared codes and the order, of the training rows of all sources."""
        maps: list[Bins | Levels] = []
        for j, column in enumerate(self.columns):
            seen = ~rows.values[:, j].isnan()
            v = rows.values[seen, j]
            bins = usual_bins(len(v)) if self.options.bins == "auto" else self.options.bins
            if column.number is None:
                maps.append(Levels.of(v.long(), len(column.categories)))
            elif column.number.resolution is None:
                maps.append(cut_values(v, bins).weighed(v))
            else:
                cells = rows.starts[seen, j], rows.stops[seen, j]
                maps.append(cut_cells(*cells, bins, K).weighed(v))
        C = len(self.columns)
        encoder = MixedEncoder(self.columns, tuple(maps), tuple(range(C)), self.unscored_gaps)
        return replace(encoder, order=self._order(encoder, rows, y))

    def _order(self, encoder: "MixedEncoder", rows: MixedRows, y: Tensor) -> tuple[int, ...]:
        if self.options.order == GIVEN:
            return encoder.order
        if self.options.order == INFORMATION:
            return tuple(dependence_order(code_of(encoder.encode(rows, y)[0])))
        names = [column.name for column in self.columns]
        first = [names.index(name) for name in self.options.order]
        return (*first, *(j for j in encoder.order if j not in first))


@dataclass(frozen=True)
class MixedEncoder(Encoder):
    """Places in every column, in the order in which a model takes them."""

    columns: tuple[MixedColumn, ...]  # how each column is encoded, in the order of the table
    maps: tuple[Bins | Levels, ...]  # its bins or levels
    order: tuple[int, ...]  # (C,) which column comes first, second, ... in z.
    unscored_gaps: bool = False  # whether missing values have no probability

    @property
    def sizes(self) -> Sizes:
        """What a model must know of each column, in its order.

        The number of codes; weights of those of numbers; which are a single recorded value; and
        the one without a probability, if there is such.
        """
        maps = [self.maps[j] for j in self.order]
        missing = [self.columns[j].missing for j in self.order]
        return {
            "codes": [item.count + gap for item, gap in zip(maps, missing, strict=True)],
            "counts": [item.counts if isinstance(item, Bins) else () for item in maps],
            "alone": [item.alone if isinstance(item, Bins) else () for item in maps],
            "unscored": [
                item.count if gap and self.unscored_gaps else None
                for item, gap in zip(maps, missing, strict=True)
            ],
        }

    @property
    def coding(self) -> MixedCoding:
        """The coding that it was fitted under, its bins and order apart."""
        return MixedCoding(self.columns, MixedOptions(), self.unscored_gaps)

    def encode(self, rows: MixedRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as places, which `decode` takes back to the very values.

        Returns:
            z: (n, C) int64, columns in the model's order.
            log_det: (n,) float64, the log densities inside bins, to be added to log p(z).
        """
        codes, log_det = [], torch.zeros(len(rows), dtype=torch.float64)
        for j in self.order:
            code, log_density = self._column(j, rows.values[:, j])
            codes.append(code)
            log_det += log_density
        return torch.stack(codes, 1), log_det

    def _column(self, j: int, v: Tensor) -> tuple[Tensor, Tensor]:
        gaps, item, number = v.isnan(), self.maps[j], self.columns[j].number
        v = v.nan_to_num(0.0)
        code, log_density = item.codes(v)
        z = place(code, item.place(v) - code)
        z = torch.where(gaps, place(torch.full_like(code, item.count)), z)
        if number is not None and number.log:
            log_density = log_density - v  # v = log x: dv/dx = exp(-v)
        return z, log_density.masked_fill(gaps, 0.0)

    def decode(self, z: Tensor) -> Table:
        """Back to a table of the original types, numbers as they were recorded.

        On their lattice if they have ties, and with the recorded decimals in any case.

        Args:
            z: (n, C) places.
        """
        values = {}
        for position, j in enumerate(self.order):
            column, places = self.columns[j], z[:, position]
            at = code_of(places) + within(places)
            gaps = at >= self.maps[j].count
            inside = at.masked_fill(gaps, 0.5)
            values[column.name] = _decoded(column, self.maps[j], inside, gaps)
        return Table(values, tuple(column.schema for column in self.columns))

    def to_json(self) -> Document:
        """All of it as plain values; floats survive exactly."""
        columns = []
        for column, item in zip(self.columns, self.maps, strict=True):
            number = None if column.number is None else vars(column.number)
            columns.append({**vars(column), "number": number, "map": item.to_json()})
        return {
            "kind": "mixed",
            "columns": columns,
            "order": list(self.order),
            "unscored_gaps": self.unscored_gaps,
        }

    @classmethod
    def from_json(cls, document: Document) -> "MixedEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        columns = tuple(
            MixedColumn(c.name, c.number, c.categories, c.missing) for c in found.columns
        )
        maps = tuple(
            (Levels if c.number is None else Bins).from_json(c.map) for c in found.columns
        )
        if sorted(found.order) != list(range(len(columns))):
            raise ValueError(f"the order is not that of {len(columns)} columns")
        for column, levels in zip(columns, maps, strict=True):
            every = range(len(column.categories))
            if isinstance(levels, Levels) and sorted(levels.own + levels.shared) != list(every):
                raise ValueError(f"column {column.name!r} has other codes than categories")
        return cls(columns, maps, found.order, found.unscored_gaps)


@dataclass(frozen=True)
class _WrittenColumn(MixedColumn):
    """A column in the document of a `MixedEncoder`."""

    map: Document = field(default_factory=dict)


@dataclass(frozen=True)
class _Written:
    """The document of a `MixedEncoder`."""

    columns: tuple[_WrittenColumn, ...]
    order: tuple[int, ...]
    unscored_gaps: bool


def _decoded(column: MixedColumn, item: Bins | Levels, z: Tensor, gaps: Tensor) -> Tensor:
    """(n,) values of a column at z = code + u."""
    v = item.values(z)
    if column.number is None:
        return v.long().masked_fill(gaps, -1)
    x = column.number.recorded(v)
    if isinstance(item, Bins):  # the lattice is regular at most where it must be guessed
        own = column.number.rounded(v.exp() if column.number.log else v)
        x = torch.where(item.recorded(z), own, x)
    return x.masked_fill(gaps, torch.nan)


def mutual_information(a: Tensor, b: Tensor) -> float:
    """`I(a; b)` in nats of two columns of codes, 0 at least.

    The plug-in estimate less its bias `(A - 1)(B - 1) / 2n` for A and B observed codes (Miller,
    "Note on the bias of information estimates", 1955).

    >>> a = torch.tensor([0, 0, 1, 1]).repeat(500)
    >>> round(mutual_information(a, 1 - a), 2), mutual_information(a, torch.tensor([0, 1] * 1000))
    (0.69, 0.0)

    Args:
        a: (n,) integers from 0.
        b: (n,) likewise.
    """
    n = len(a)
    if n == 0:
        return 0.0
    B = int(b.max()) + 1
    joint = torch.bincount(a * B + b, minlength=(int(a.max()) + 1) * B).double().view(-1, B)
    p, q = joint.sum(1), joint.sum(0)
    bias = (int((p > 0).sum()) - 1) * (int((q > 0).sum()) - 1) / (2 * n)
    plain = (_nlogn(joint) - _nlogn(p) - _nlogn(q)) / n + math.log(n)
    return max(0.0, plain - bias)


def _nlogn(counts: Tensor) -> float:
    return float(torch.xlogy(counts, counts).sum())


def dependence_order(z: Tensor) -> list[int]:
    """Columns of codes z, (n, C), as Prim's algorithm adds them to the dependence tree.

    The tree has the largest sum of mutual informations (Chow and Liu 1968). It starts at the
    column with the most information about the others; among equals, the first comes first.
    """
    C = z.shape[1]
    shared = torch.zeros(C, C, dtype=torch.float64)
    for i in range(C):
        for j in range(i):
            shared[i, j] = shared[j, i] = mutual_information(z[:, i], z[:, j])
    order = [_first_largest(shared.sum(1).tolist())]
    while len(order) < C:
        reach = shared[order].amax(0)
        reach[order] = -1.0
        order.append(_first_largest(reach.tolist()))
    return order


def _first_largest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda j: values[j])
