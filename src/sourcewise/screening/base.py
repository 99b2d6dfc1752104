"""A screened sample: what of it is used, and what the user should know."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.errors import InputError, counted, listing
from sourcewise.forms import Ragged, Table, as_table
from sourcewise.screening.options import Missing, Rules
from sourcewise.sources import Sources

__all__ = [
    "Image",
    "LeftOut",
    "Screened",
    "content",
    "handle_missing",
    "leave_out_dates",
    "per_source",
    "point_out_identifiers",
    "refuse_infinite",
    "refuse_table_options",
    "take_logarithms",
    "tested_sources",
]

HUGE = 1e100  # squares and their sums must not overflow, nor those of 1 / HUGE underflow


@dataclass(frozen=True)
class LeftOut:
    """A column that is not modelled, and why."""

    column: str
    reason: str


@dataclass(frozen=True)
class Image:
    """The image whose pixels the columns are."""

    shape: tuple[int, int, int]  # channels, height and width
    array: tuple[int, ...] = ()  # the axes of a row in an array; () of columns


@dataclass
class Screened:
    """A sample that a density can use."""

    data: Sources  # the sample with usable columns only (and without dropped rows)
    log: frozenset[str] = frozenset()  # the columns to take logarithms of
    left_out: list[LeftOut] = field(default_factory=list)  # the columns left out
    warnings: list[str] = field(default_factory=list)  # what the user should know, one line each
    dropped: int = 0  # rows dropped for missing values
    imputed: int = 0  # missing cells that will be filled in
    spikes: dict[str, list[float]] = field(default_factory=dict)  # see `screening.far`, by column
    misfits: dict[str, str] = field(default_factory=dict)  # columns unlike a normal density: how
    image: Image | None = None  # what image the columns are, if they are pixels

    def __post_init__(self) -> None:
        self.warnings[:0] = self.data.notes

    @classmethod
    def columns_of(cls, data: Sources) -> "Screened":
        """A sample as a table, all of it still in use."""
        return cls(replace(data, x=as_table(data.x)))

    @property
    def table(self) -> Table:
        """The columns in use."""
        return as_table(self.data.x)

    def measured(self, name: str) -> tuple[Tensor, Tensor]:
        """The values of a column of numbers without gaps and spikes, and the source of each."""
        values = self.table.columns[name]
        spikes = torch.tensor(self.spikes.get(name, []), dtype=values.dtype)
        rows = ~values.isnan() & ~torch.isin(values, spikes)
        return values[rows], self.data.y[rows]

    @property
    def notes(self) -> list[str]:
        """What the user should know, the columns left out too."""
        return [*self.warnings, *self._left_out()]

    def _left_out(self) -> list[str]:
        """A line per reason; with many reasons, one per kind of reason, without the sources."""
        reasons = {item.reason: item.reason for item in self.left_out}
        if len(reasons) > 3:
            reasons = {r: re.sub(" within ['\"].*", " within a source", r) for r in reasons}
        found: dict[str, list[str]] = {}
        for item in self.left_out:
            found.setdefault(reasons[item.reason], []).append(item.column)
        return [
            f"{counted(len(names), 'column')} left out ({listing(names, 6)}): {reason}"
            for reason, names in found.items()
        ]

    def leave_out(self, column: str, reason: str) -> None:
        """Take a column out of the table and note it; the last one is an `InputError`."""
        self.left_out.append(LeftOut(column, reason))
        if len(self.table.names) == 1:
            reasons = listing(f"{item.column}: {item.reason}" for item in self.left_out)
            raise InputError(f"{self.data.name}: no usable column left ({reasons})")
        self.data = replace(self.data, x=self.table.drop([column]))


def tested_sources(screened: Screened, min_rows: int) -> list[int]:
    """Sources with enough rows to be looked at."""
    return (screened.data.counts >= max(min_rows, 2)).nonzero().squeeze(1).tolist()


def per_source(values: Tensor, y: Tensor, present: Tensor, K: int, reduce: str) -> Tensor:
    """(K,) "amin" or "amax" of the values present in each source, NaN where there are none."""
    out = torch.full((K,), torch.nan, dtype=torch.float64)
    rows = present.nonzero().squeeze(1)
    return out.scatter_reduce(0, y[rows], values[rows], reduce, include_self=False)


def refuse_table_options(what: str, rules: Rules) -> None:
    """Raise if an option that is for columns of a table was given."""
    used = [f"--missing {rules.missing}"] if rules.missing != "refuse" else []
    used += [as_option("--log", *rules.log)] if rules.log else []
    if used:
        raise InputError(f"options that do not apply to {what}: {listing(used)}")


def leave_out_dates(screened: Screened) -> None:
    """Leave out the columns of dates."""
    for column in screened.table.schema:
        if column.kind == "date":
            screened.leave_out(column.name, "a date")


def refuse_infinite(screened: Screened) -> None:
    """Refuse numbers that are infinite, or whose squares would overflow or vanish."""
    for name, values in screened.table.columns.items():
        if not values.is_floating_point():
            continue
        for bad, what in ((values.isinf(), "infinite"), (values.abs() > HUGE, f"above {HUGE:g}")):
            if bool(bad.any()):
                first = screened.data.places(int(bad.nonzero()[0]))
                raise InputError(f"column {name!r} holds values that are {what} (first: {first})")
        present = values[~values.isnan()]
        spread = float(present.max() - present.min()) if len(present) else 0.0
        if 0 < spread < 1 / HUGE:
            raise InputError(
                f"column {name!r} varies by {spread:.3g} only: write it in another unit, or leave "
                f"it out with {as_option('--ignore', name)}"
            )


def handle_missing(screened: Screened, missing: Missing, imputes: bool = True) -> None:
    """Refuse missing values, drop their rows, or count them as cells to be filled in.

    Only what the encoder can do is offered: whether it fills them in is `imputes`.
    """
    table = screened.table
    masks = {name: table.missing(name) for name in table.names}
    counts = {name: int(mask.sum()) for name, mask in masks.items() if mask.any()}
    if not counts:
        return
    told = listing((f"{name} {count}" for name, count in counts.items()), 12)
    if missing == "refuse" or (missing == "impute" and not imputes):
        more = ", --missing impute fills them in" if imputes else "; this family takes no gaps"
        more += ", --missing impute is not for it" if missing == "impute" else ""
        raise InputError(
            f"missing values ({told}; {len(table)} rows): --missing drop leaves these rows out"
            f"{more}"
        )
    if missing == "drop":
        rows = ~torch.stack(list(masks.values())).any(0)
        screened.dropped = int((~rows).sum())
        if screened.dropped == len(table):
            ways = "--missing impute, --ignore" if imputes else "--ignore these columns"
            raise InputError(f"every row has a missing value ({told}): {ways}")
        screened.data = screened.data.take(rows.nonzero().squeeze(1))
        rows = counted(screened.dropped, "row")
        screened.warnings.append(f"{rows} dropped for missing values ({told})")
    else:
        screened.imputed = sum(counts.values())
        screened.warnings.append(
            f"{screened.imputed} missing cells ({told}): filled in for training, from the "
            "training rows; held-out rows are scored on their observed columns"
        )


def take_logarithms(screened: Screened, log: Sequence[str]) -> None:
    """Note the columns to take logarithms of; values that have none are refused."""
    names = screened.table.names
    chosen = [name for name in (names if tuple(log) == ("all",) else log) if name in names]
    for name in chosen:
        values = screened.table.columns[name]
        bad = values <= 0
        if bad.any():
            row = int(bad.nonzero()[0])
            raise InputError(
                f"{as_option('--log', name)}: {int(bad.sum())} values are not above 0 (first: "
                f"{screened.data.places(row)}, {values[row]:g})"
            )
    screened.log = frozenset(chosen)


def point_out_identifiers(screened: Screened) -> None:
    """Warn of columns that number the rows, which a density should hardly ever model."""
    numbers = [column.name for column in screened.table.schema if column.kind == "number"]
    for name in numbers:
        values = screened.table.columns[name]
        whole = len(values) > 20 and bool((values == values.round()).all())
        if whole and len(values.unique()) == len(values):
            screened.warnings.append(
                f"column {name!r} looks like a row identifier (whole numbers, all different): "
                f"if so, {as_option('--ignore', name)}"
            )


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
