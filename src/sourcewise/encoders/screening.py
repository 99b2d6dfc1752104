"""What real tables do to a density, handled by name before any model sees them.

A density of real numbers breaks, or lies, on columns that are no measurements: descriptors of the
source (constant within it), columns that are exact linear functions of others, text, dates,
missing values. `screen` leaves out, refuses or points out each, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sourcewise.encoders.base import Coding
from sourcewise.encoders.numeric import NumericCoding, plan_columns, resolution
from sourcewise.errors import InputError, counted, listing, unknown
from sourcewise.forms import Ragged, Table, as_table
from sourcewise.sources import Sources

__all__ = [
    "LeftOut",
    "Missing",
    "Screened",
    "content",
    "handle_missing",
    "leave_out_dates",
    "per_source",
    "point_out_dates",
    "point_out_identifiers",
    "refuse_infinite",
    "screen",
    "take_logarithms",
    "tested_sources",
    "varies_within",
]

Missing = Literal["refuse", "drop", "impute"]
DEPENDENT = 1e-8
HUGE = 1e100  # squares and their sums must not overflow
_CALENDAR = {"date", "datetime", "time", "timestamp", "year", "month", "day", "hour", "week"}


@dataclass(frozen=True)
class LeftOut:
    """A column that is not modelled, and why."""

    column: str
    reason: str


@dataclass
class Screened:
    """A sample that a density can use, and how its examples are encoded.

    Args:
        data: the sample with usable columns only (and without dropped rows).
        log: the columns to take logarithms of.
        left_out: the columns left out.
        warnings: what the user should know, one line each.
        dropped: rows dropped for missing values.
        imputed: missing cells that will be filled in.
        coding: how examples are encoded, settled last.
    """

    data: Sources
    log: frozenset[str] = frozenset()
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    dropped: int = 0
    imputed: int = 0
    coding: Coding = field(default_factory=lambda: NumericCoding(()))

    @property
    def table(self) -> Table:
        """The columns in use."""
        return as_table(self.data.x)

    def leave_out(self, column: str, reason: str) -> None:
        """Take a column out of the table and note it; the last one is an `InputError`."""
        self.left_out.append(LeftOut(column, reason))
        if len(self.table.names) == 1:
            reasons = listing(f"{item.column}: {item.reason}" for item in self.left_out)
            raise InputError(f"{self.data.name}: no usable column left ({reasons})")
        self.data = replace(self.data, x=self.table.drop([column]))


def screen(
    data: Sources,
    *,
    min_rows: int = 10,
    missing: Missing = "refuse",
    log: Sequence[str] = (),
    settings: object = None,
    imputes: bool = True,
) -> Screened:
    """Choose the columns and rows that a density of real numbers can use.

    Args:
        data: the sample.
        min_rows: sources with fewer rows are not looked at for constant or dependent columns.
        missing: "refuse" missing values, "drop" their rows, or leave them to be imputed by the
            encoder, which is fitted on training rows only.
        log: columns to take logarithms of; ("all",) takes every column in use.
        settings: of the family; none of them matters to columns of numbers.
        imputes: whether the encoder can fill gaps in; if not, missing="impute" refuses them.

    Raises:
        InputError: text columns, missing values (if refused), non-positive values under `log`,
            infinite values, no column left.
    """
    screened = Screened(replace(data, x=as_table(data.x)))
    for name in log if tuple(log) != ("all",) else ():
        if name not in screened.table.names:
            raise unknown("column", name, screened.table.names)
    leave_out_dates(screened)
    _constants(screened, min_rows)
    _text(screened)
    refuse_infinite(screened)
    handle_missing(screened, missing, imputes)
    _constants(screened, min_rows)  # dropped rows can leave a column constant
    take_logarithms(screened, log)
    _dependent(screened, min_rows)
    point_out_dates(screened)
    _misfits(screened)
    point_out_identifiers(screened)
    screened.coding = NumericCoding(plan_columns(screened.table, screened.log))
    return screened


def tested_sources(screened: Screened, min_rows: int) -> list[int]:
    """Sources with enough rows to be looked at."""
    return (screened.data.counts >= max(min_rows, 2)).nonzero().squeeze(1).tolist()


def leave_out_dates(screened: Screened) -> None:
    """Leave out the columns of dates."""
    for column in screened.table.schema:
        if column.kind == "date":
            screened.leave_out(column.name, "a date")


def _constants(screened: Screened, min_rows: int) -> None:
    """Leave out what does not vary within some source: a code or descriptor of the source."""
    y, names = screened.data.y, screened.data.names
    tested = tested_sources(screened, min_rows)
    for column in screened.table.schema:
        values = screened.table.columns[column.name].double()
        present = ~screened.table.missing(column.name)
        low = per_source(values, y, present, len(names), "amin")
        high = per_source(values, y, present, len(names), "amax")
        empty = [k for k in tested if high[k].isnan()]
        constant = [k for k in tested if high[k] == low[k]]
        nearly = _nearly_constant(values, y, present, tested) if column.kind == "number" else []
        for found, what in (
            (empty, "no value within"),
            (constant, "constant within"),
            (nearly, "hardly any value but one within"),
        ):
            if found:
                where = listing((repr(names[k]) for k in found), 3)
                screened.leave_out(column.name, f"{what} {where}")
                break


def varies_within(data: Sources, column: str) -> bool:
    """Whether a column takes more than one value within some source."""
    table = as_table(data.x)
    values, present = table.columns[column].double(), ~table.missing(column)
    low, high = (per_source(values, data.y, present, data.K, f"a{end}") for end in ("min", "max"))
    return bool((low < high).any())


def content(data: Sources) -> Literal["text", "mixed", "numbers"]:
    """What examples are made of: text, columns with categories that vary, or numbers."""
    if isinstance(data.x, Ragged):
        return "text"
    categories = isinstance(data.x, Table) and any(
        column.kind == "category" and varies_within(data, column.name) for column in data.x.schema
    )
    return "mixed" if categories else "numbers"


def _nearly_constant(values: Tensor, y: Tensor, present: Tensor, tested: list[int]) -> list[int]:
    """Sources where one value fills so many rows that a training fold may hold no other.

    Not of a column on a coarse lattice (counts, yes or no): dequantised, it has spread enough.
    """
    step = resolution(values[present])
    spread = values[present].std() if present.sum() > 1 else torch.tensor(0.0)
    if step is not None and step > 1e-2 * float(spread):
        return []
    found = []
    for k in tested:
        counts = values[present & (y == k)].unique(return_counts=True)[1]
        if len(counts) > 1 and int(counts.max()) > 0.9 * int(counts.sum()):
            found.append(k)
    return found


def per_source(values: Tensor, y: Tensor, present: Tensor, K: int, reduce: str) -> Tensor:
    """(K,) "amin" or "amax" of the values present in each source, NaN where there are none."""
    out = torch.full((K,), torch.nan, dtype=torch.float64)
    rows = present.nonzero().squeeze(1)
    return out.scatter_reduce(0, y[rows], values[rows], reduce, include_self=False)


def _text(screened: Screened) -> None:
    text = [column for column in screened.table.schema if column.kind == "category"]
    if text:
        names = [column.name for column in text]
        example = f" ({names[0]}: {text[0].categories[0]!r}, ...)" if text[0].categories else ""
        raise InputError(
            f"text columns {listing(map(repr, names))}{example}: this family models numbers only: "
            f"--model table models them too, --ignore {','.join(names)} leaves them out"
        )


def refuse_infinite(screened: Screened) -> None:
    """Refuse numbers that are infinite, or whose squares would be."""
    for name, values in screened.table.columns.items():
        if not values.is_floating_point():
            continue
        for bad, what in ((values.isinf(), "infinite"), (values.abs() > HUGE, f"above {HUGE:g}")):
            if bool(bad.any()):
                row = int(bad.nonzero()[0]) + 1
                raise InputError(
                    f"column {name!r} holds values that are {what} (first: row {row})"
                )


def handle_missing(screened: Screened, missing: Missing, imputes: bool = True) -> None:
    """Refuse missing values, drop their rows, or count them as cells to be filled in.

    Args:
        screened: the sample.
        missing: which of these.
        imputes: whether the encoder can fill them in; only what it can is offered.
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
            row = int(bad.nonzero()[0]) + 1
            raise InputError(
                f"--log {name}: {int(bad.sum())} values are not above 0 (first: row {row}, "
                f"{values[row - 1]:g})"
            )
    screened.log = frozenset(chosen)


def _dependent(screened: Screened, min_rows: int) -> None:
    """Leave out columns that are exact linear functions of earlier ones within some source."""
    for k in tested_sources(screened, min_rows):
        while (found := _first_dependent(screened, k)) is not None:
            source = screened.data.names[k]
            screened.leave_out(found, f"an exact linear function of the others within {source!r}")


def _first_dependent(screened: Screened, k: int) -> str | None:
    table = screened.table.take((screened.data.y == k).nonzero().squeeze(1))
    columns = [
        table.columns[name].log() if name in screened.log else table.columns[name]
        for name in table.names
    ]
    rows = torch.stack(columns, 1).numpy() if columns else np.empty((0, 0))
    rows = rows[~np.isnan(rows).any(1)]
    if rows.shape[1] < 2 or len(rows) < rows.shape[1] + 2:
        return None
    centred = rows - rows.mean(0)
    norms = np.linalg.norm(centred, axis=0)
    if not (norms > 0).all():  # constant among the complete rows: says nothing about the others
        return None
    return _first_beyond_rank(centred / norms, table.names)


def _first_beyond_rank(rows: np.ndarray, names: Sequence[str]) -> str | None:
    """The first column that adds no rank to those before it (pivoted QR decides if there is one).

    Args:
        rows: (n, d), columns of unit length.
        names: the d columns' names.
    """
    from scipy.linalg import qr

    pivots = np.abs(np.diag(qr(rows, mode="r", pivoting=True)[0]))
    if pivots[-1] > DEPENDENT * pivots[0]:
        return None
    for j in range(1, len(names)):
        pivots = np.abs(np.diag(qr(rows[:, : j + 1], mode="r", pivoting=True)[0]))
        if pivots[-1] <= DEPENDENT * pivots[0]:
            return names[j]
    return None


def point_out_dates(screened: Screened) -> None:
    """Warn of columns of the calendar: rows close in time may be alike."""
    dates = [item.column for item in screened.left_out if item.reason == "a date"]
    dates += [name for name in screened.table.names if name.lower() in _CALENDAR]
    if dates and not screened.data.group_by:
        screened.warnings.append(
            f"date-like columns ({listing(dates)}): if rows close in time are alike, keep them "
            f"together with --group (for example --group {dates[0]}), or the intervals are too "
            "narrow"
        )


def point_out_identifiers(screened: Screened) -> None:
    """Warn of columns that number the rows, which a density should hardly ever model."""
    numbers = [column.name for column in screened.table.schema if column.kind == "number"]
    for name in numbers:
        values = screened.table.columns[name]
        whole = len(values) > 20 and bool((values == values.round()).all())
        if whole and len(values.unique()) == len(values):
            screened.warnings.append(
                f"column {name!r} looks like a row identifier (whole numbers, all different): "
                f"if so, --ignore {name}"
            )


def _misfits(screened: Screened) -> None:
    """Warn of columns that a smooth density fits badly: spikes, and skew that logarithms cure."""
    spiked, skewed = [], []
    for name, values in screened.table.columns.items():
        present = values[~values.isnan()]
        counts = present.unique(return_counts=True)[1]
        share = float(counts.max()) / len(present)
        if share > 0.5 and len(counts) > 2:
            spiked.append(f"{name} {share:.0%}")
        elif name not in screened.log and _cured_by_log(present):
            skewed.append(name)
    if spiked:
        screened.warnings.append(
            f"one value fills most of {listing(spiked)}: a smooth density fits such columns badly"
        )
    if skewed:
        screened.warnings.append(
            f"skewed columns of values above 0: consider --log {','.join(skewed)}"
        )


def _cured_by_log(values: Tensor) -> bool:
    positive = bool((values > 0).all())
    return positive and _skewness(values) > 2 > abs(_skewness(values.log()))


def _skewness(values: Tensor) -> float:
    z = (values - values.mean()) / values.std()
    return float((z**3).mean())
