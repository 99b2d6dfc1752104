"""Mixed tables <-> codes: categories, numbers in bins, and missing values as a value.

Every column becomes one integer per row, z in {0, ..., codes - 1}:

- a category: its number among the categories that the schema names. Of more than `LEVELS`
  categories the most frequent `LEVELS - 1` keep a code; the others share one, and each has an
  equal part of it, so that probabilities still sum to one;
- a number: its bin (`encoders.bins`), after the same dequantisation and logarithms as for the
  families of numbers, so that likelihoods compare;
- missing: the last code, in columns with gaps anywhere in the sample; no density goes with it.

`log p(x) = log P(z) + log_det`, with the log densities inside bins in log_det. What a model draws
is `z + u`: the code, and a uniform u on [0, 1) that says where inside the bin or the shared code.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sourcewise.encoders.bins import Bins, cut_cells, cut_values, usual_bins
from sourcewise.encoders.levels import Levels
from sourcewise.encoders.numeric import NumericColumn, lift, plan_columns
from sourcewise.encoders.ordering import dependence_order
from sourcewise.errors import InputError, unknown
from sourcewise.forms import Column, Kind, Table, X, as_table
from sourcewise.randomness import ExampleNoise

__all__ = ["MixedCoding", "MixedColumn", "MixedEncoder", "MixedRows", "plan_mixed"]


@dataclass(frozen=True)
class MixedColumn:
    """How a column is encoded.

    Args:
        name: the column's name.
        number: how its numbers are lifted; None for categories.
        categories: their names.
        missing: whether it has a code for missing.
    """

    name: str
    number: NumericColumn | None = None
    categories: tuple[str, ...] = ()
    missing: bool = False

    @property
    def kind(self) -> Kind:
        """number or category."""
        return "category" if self.number is None else "number"

    @property
    def log(self) -> bool:
        """Whether its logarithm is taken."""
        return self.number is not None and self.number.log

    @property
    def resolution(self) -> float | None:
        """The step between recorded numbers, if it has ties."""
        return None if self.number is None else self.number.resolution

    @property
    def schema(self) -> Column:
        """The column of the table."""
        return Column(self.name, self.kind, self.categories)


@dataclass(frozen=True)
class MixedRows:
    """Rows after all steps that need no fitting; NaN where missing.

    Args:
        values: (n, C) dequantised numbers (or their logarithms), or category codes.
        starts: (n, C) where the cell of a recorded number begins.
        stops: (n, C) where it ends; `starts` in columns without ties and of categories.
    """

    values: Tensor
    starts: Tensor
    stops: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Tensor) -> "MixedRows":
        """The rows at `index`."""
        return MixedRows(self.values[index], self.starts[index], self.stops[index])


def plan_mixed(
    table: Table,
    log: Collection[str] = (),
    *,
    bins: int | Literal["auto"] = "auto",
    order: Sequence[str] = ("given",),
) -> "MixedCoding":
    """The coding of a table without dates.

    Args:
        table: the whole sample.
        log: columns to take logarithms of.
        bins: per column of numbers, at least 2; auto: `usual_bins` of its training rows.
        order: "given", "information", or names of columns that come first, in this order.

    Raises:
        InputError: an unknown column in `order`, or one twice.
    """
    numbers = [column.name for column in table.schema if column.kind == "number"]
    plans = {plan.name: plan for plan in plan_columns(table.select(numbers), log)}
    columns = tuple(
        MixedColumn(
            column.name,
            plans.get(column.name),
            column.categories,
            bool(table.missing(column.name).any()),
        )
        for column in table.schema
    )
    if tuple(order) not in (("given",), ("information",)):
        for name in order:
            if name not in table.names:
                raise unknown("order or column", name, ("given", "information", *table.names))
        table.select(order)  # refuses a name that comes twice
    return MixedCoding(columns, bins, tuple(order))


@dataclass(frozen=True)
class MixedCoding:
    """Columns of any kind; scores are per row.

    Args:
        columns: how each is encoded.
        bins: see `plan_mixed`.
        order: see `plan_mixed`.
        unit: what a score is divided by.
    """

    columns: tuple[MixedColumn, ...]
    bins: int | Literal["auto"] = "auto"
    order: tuple[str, ...] = ("given",)
    unit: str = "row"

    @property
    def variables(self) -> int:
        """The number of columns."""
        return len(self.columns)

    def lift(self, x: X, noise: ExampleNoise) -> MixedRows:
        """Dequantise numbers, and number categories as the schema does.

        Raises:
            InputError: a category that the schema does not name, a gap in a column that had none,
                or another kind of column.
        """
        table = as_table(x)
        for column in self.columns:
            _check(table, column)
        plans = tuple(column.number for column in self.columns if column.number is not None)
        lifted = lift(table, plans, noise).values if plans else torch.empty(len(table), 0)
        starts = table.select(c.name for c in self.columns).matrix()
        values, stops = starts.clone(), starts.clone()
        numbers = iter(lifted.T)
        for j, column in enumerate(self.columns):
            if column.number is None:
                values[:, j] = _numbered(table, column)
            else:
                values[:, j] = next(numbers)
                stops[:, j] += column.number.resolution or 0.0
                if column.number.log:
                    starts[:, j], stops[:, j] = starts[:, j].log(), stops[:, j].log()
        return MixedRows(values, starts, stops)

    def fit(self, rows: MixedRows, y: Tensor, K: int) -> "MixedEncoder":
        """Bins, shared codes and the order, of the training rows of all sources."""
        maps: list[Bins | Levels] = []
        for j, column in enumerate(self.columns):
            seen = ~rows.values[:, j].isnan()
            v = rows.values[seen, j]
            bins = usual_bins(len(v)) if self.bins == "auto" else self.bins
            if column.number is None:
                maps.append(Levels.of(v.long(), len(column.categories)))
            elif column.number.resolution is None:
                maps.append(cut_values(v, bins))
            else:
                maps.append(cut_cells(rows.starts[seen, j], rows.stops[seen, j], bins, K))
        C = len(self.columns)
        encoder = MixedEncoder(self.columns, tuple(maps), tuple(range(C)))
        return MixedEncoder(self.columns, tuple(maps), self._order(encoder, rows, y))

    def _order(self, encoder: "MixedEncoder", rows: MixedRows, y: Tensor) -> tuple[int, ...]:
        if self.order == ("given",):
            return encoder.order
        if self.order == ("information",):
            return tuple(dependence_order(encoder.encode(rows, y)[0]))
        names = [column.name for column in self.columns]
        first = [names.index(name) for name in self.order]
        return (*first, *(j for j in encoder.order if j not in first))

    def sizes(self, x: X) -> Tensor:
        """(n,) ones."""
        return torch.ones(len(x), dtype=torch.float64)


def _check(table: Table, column: MixedColumn) -> None:
    """Refuse a column that cannot be encoded as planned."""
    name, found = column.name, {c.name: c for c in table.schema}
    if name not in found:
        raise unknown("column", name, table.names)
    gaps = table.missing(name)
    if bool(gaps.any()) and not column.missing:
        row = int(gaps.nonzero()[0]) + 1
        raise InputError(
            f"column {name!r} has a missing value (row {row}), but had none where the model comes "
            "from: no probability was learned for it"
        )
    if found[name].kind != column.schema.kind and not bool(gaps.all()):
        raise InputError(
            f"column {name!r} is read as {found[name].kind}, but the model has it as "
            f"{column.schema.kind}: read it with --types {name}={column.schema.kind}"
        )


def _numbered(table: Table, column: MixedColumn) -> Tensor:
    """(n,) the number of each category in the plan, NaN where missing."""
    values = table.columns[column.name]
    gaps = table.missing(column.name)
    out = torch.full((len(table),), torch.nan, dtype=torch.float64)
    if bool(gaps.all()):
        return out
    theirs = next(c.categories for c in table.schema if c.name == column.name)
    ours = {text: i for i, text in enumerate(column.categories)}
    numbers = torch.tensor([ours.get(text, -1) for text in theirs])[values[~gaps]]
    if bool((numbers < 0).any()):
        text = theirs[int(values[~gaps][numbers < 0][0])]
        raise InputError(f"column {column.name!r}: {unknown('category', text, column.categories)}")
    out[~gaps] = numbers.double()
    return out


@dataclass(frozen=True)
class MixedEncoder:
    """Codes of every column, in the order in which a model takes them.

    Args:
        columns: how each column is encoded, in the order of the table.
        maps: its bins or levels.
        order: (C,) which column comes first, second, ... in z.
    """

    columns: tuple[MixedColumn, ...]
    maps: tuple[Bins | Levels, ...]
    order: tuple[int, ...]

    @property
    def sizes(self) -> dict[str, Any]:
        """What a model must know: the number of codes of each column, in its order."""
        codes = [self.maps[j].count + self.columns[j].missing for j in self.order]
        return {"codes": codes}

    @property
    def coding(self) -> MixedCoding:
        """The coding that it was fitted under, its bins and order apart."""
        return MixedCoding(self.columns)

    def encode(self, rows: MixedRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as codes.

        Returns:
            z: (n, C) int64, columns in the model's order.
            log_det: (n,) float64, the log densities inside bins, to be added to log P(z).
        """
        codes, log_det = [], torch.zeros(len(rows), dtype=torch.float64)
        for j in self.order:
            code, log_density = self._column(j, rows.values[:, j])
            codes.append(code)
            log_det += log_density
        return torch.stack(codes, 1), log_det

    def _column(self, j: int, v: Tensor) -> tuple[Tensor, Tensor]:
        gaps = v.isnan()
        code, log_density = self.maps[j].codes(v.nan_to_num(0.0))
        code = code.masked_fill(gaps, self.maps[j].count)
        number = self.columns[j].number
        if number is not None and number.log:
            log_density = log_density - v  # v = log x: dv/dx = exp(-v)
        return code, log_density.masked_fill(gaps, 0.0)

    def place(self, rows: MixedRows) -> Tensor:
        """(n, C) float64 z + u, which `decode` takes back to the very values."""
        out = []
        for j in self.order:
            v = rows.values[:, j]
            z = self.maps[j].place(v.nan_to_num(0.0))
            out.append(z.masked_fill(v.isnan(), self.maps[j].count))
        return torch.stack(out, 1)

    def fill(self, z: Tensor, rows: MixedRows, y: Tensor) -> Tensor:
        """The codes themselves: they have no gaps."""
        return z

    def decode(self, z: Tensor) -> Table:
        """Back to a table of the original types, numbers as they were recorded.

        On their lattice if they have ties, and with the recorded decimals in any case.

        Args:
            z: (n, C) samples z + u, or codes (then numbers come from the middle of their bin).
        """
        if not z.is_floating_point():
            z = z + 0.5
        values = {}
        for position, j in enumerate(self.order):
            column, at = self.columns[j], z[:, position].double()
            gaps = at >= self.maps[j].count
            inside = at.masked_fill(gaps, 0.5)
            values[column.name] = _decoded(column, self.maps[j], inside, gaps)
        return Table(values, tuple(column.schema for column in self.columns))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values; floats survive exactly."""
        columns = []
        for column, item in zip(self.columns, self.maps, strict=True):
            number = None if column.number is None else vars(column.number)
            columns.append({**vars(column), "number": number, "map": item.to_json()})
        return {"kind": "mixed", "columns": columns, "order": list(self.order)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "MixedEncoder":
        """The inverse of `to_json`."""
        columns, maps = [], []
        for item in document["columns"]:
            number = None if item["number"] is None else NumericColumn(**item["number"])
            maps.append((Levels if number is None else Bins).from_json(item["map"]))
            categories = tuple(item["categories"])
            columns.append(MixedColumn(item["name"], number, categories, item["missing"]))
        return cls(tuple(columns), tuple(maps), tuple(document["order"]))


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
