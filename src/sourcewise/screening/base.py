"""A screened sample: what of it is used, and what the user should know."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sourcewise.cells import as_option
from sourcewise.errors import InputError, NotTaken, counted, listing
from sourcewise.forms import Images, Ragged, Table, as_table
from sourcewise.places import Place
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
    "refuse_wide",
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
    """The image that rows are, or whose pixels the columns are."""

    shape: tuple[int, int, int]  # channels, height and width
    array: tuple[int, ...] = ()  # the axes of a row in an array; () of columns
    fewest: int = 0  # images of the smallest source that is tested


@dataclass
class Screened:
    """A sample that a density can use."""

    data: Sources  # the sample with usable columns only (and without dropped rows)
    log: frozenset[str] = frozenset()  # the columns to take logarithms of
    open_logs: frozenset[str] = frozenset()  # those of which the training rows say whether to
    left_out: list[LeftOut] = field(default_factory=list)  # the columns left out
    warnings: list[str] = field(default_factory=list)  # what the user should know, one line each
    dropped: int = 0  # rows dropped for missing values
    imputed: int = 0  # missing cells that will be filled in
    unscored_gaps: bool = False  # whether missing cells are left out of scores, and never drawn
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

    def without_spikes(self, names: Sequence[str], values: Tensor) -> Tensor:
        """Columns (n, d) with their spikes as gaps."""
        for j, name in enumerate(names):
            if name in self.spikes:
                spikes = torch.tensor(self.spikes[name], dtype=values.dtype)
                values[:, j].masked_fill_(torch.isin(values[:, j], spikes), torch.nan)
        return values

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

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Take columns out of the table and note why; if none is left, that is an `InputError`."""
        if not reasons:
            return
        self.left_out += [LeftOut(column, reason) for column, reason in reasons.items()]
        if len(self.table.names) == len(reasons):
            told = listing(f"{item.column}: {item.reason}" for item in self.left_out)
            raise InputError(f"{self.data.name}: no usable column left ({told})")
        self.data = replace(self.data, x=self.table.drop(reasons))


def tested_sources(screened: Screened, min_rows: int) -> list[int]:
    """Sources with enough rows to be looked at."""
    return (screened.data.counts >= max(min_rows, 2)).nonzero().squeeze(1).tolist()


def per_source(values: Tensor, y: Tensor, K: int, reduce: Literal["amin", "amax"]) -> Tensor:
    """(K, d) the smallest or largest of the values (n, d) in each source, NaN where all are."""
    gaps, none = values.isnan(), torch.inf if reduce == "amin" else -torch.inf
    index = y[:, None].expand_as(values)
    out = values.new_full((K, values.shape[1]), none)
    out.scatter_reduce_(0, index, values.masked_fill(gaps, none), reduce)
    count = torch.zeros_like(out).index_add_(0, y, (~gaps).to(values.dtype))
    return out.masked_fill(count == 0, torch.nan)


def refuse_table_options(what: str, rules: Rules) -> None:
    """Raise if an option that is for columns of a table was given."""
    used = [f"--missing {rules.missing}"] if rules.missing != "refuse" else []
    used += [as_option("--log", *rules.log)] if rules.log else []
    if used:
        raise InputError(f"options that do not apply to {what}: {listing(used)}")


def refuse_wide(screened: Screened, rules: Rules) -> None:
    """Raise for more columns than a model takes, of those that are in use.

    It can come no earlier: of a header alone nobody knows which columns are dates or constants,
    that no model sees.
    """
    count = len(screened.table.names)
    if rules.widest is not None and count > rules.widest:
        raise NotTaken(
            f"{screened.data.name}: {count} columns to model, and this family takes at most "
            f"{rules.widest}: choose some with --columns, or another family with --model"
        )


def leave_out_dates(screened: Screened) -> None:
    """Leave out the columns of dates."""
    dates = [column.name for column in screened.table.schema if column.kind == "date"]
    screened.leave_out(dict.fromkeys(dates, "a date"))


def refuse_infinite(screened: Screened) -> None:
    """Refuse numbers that are infinite, or whose squares would overflow or vanish."""
    numbers = [column.name for column in screened.table.schema if column.kind != "category"]
    for names, block in screened.table.blocks(numbers):
        values = block.numpy()
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        with np.errstate(invalid="ignore"):
            tiny = (high > low) & (high - low < 1 / HUGE)
        for j in np.flatnonzero((low < -HUGE) | (high > HUGE) | tiny)[:1]:
            _refuse_extreme(names[j], values[:, j], screened.data.places)


def _refuse_extreme(name: str, values: np.ndarray, place: Place) -> None:
    """Raise for a column (n,) that is out of bounds."""
    for bad, what in ((np.isinf(values), "infinite"), (abs(values) > HUGE, f"above {HUGE:g}")):
        if bad.any():
            first = place(int(bad.argmax()))
            raise InputError(f"column {name!r} holds values that are {what} (first: {first})")
    spread = np.nanmax(values) - np.nanmin(values)
    raise InputError(
        f"column {name!r} varies by {spread:.3g} only: write it in another unit, or leave "
        f"it out with {as_option('--ignore', name)}"
    )


def handle_missing(screened: Screened, missing: Missing, imputes: bool = True) -> None:
    """Refuse missing values, drop their rows, or count them as cells to be filled in.

    Only what the encoder can do is offered: whether it fills them in is `imputes`.
    """
    table = screened.table
    counts, rows = {}, torch.zeros(len(table), dtype=torch.bool)
    for names, values in table.blocks(table.names):
        gaps = values.isnan()
        rows |= gaps.any(1)
        found = zip(names, gaps.sum(0).tolist(), strict=True)
        counts |= {name: count for name, count in found if count}
    if not counts:
        return
    told = listing((f"{name} {count}" for name, count in counts.items()), 12)
    if missing == "refuse" or (missing == "impute" and not imputes):
        more = ", --missing impute fills them in" if imputes else "; this family takes no gaps"
        more += ", --missing impute is not for it" if missing == "impute" else ""
        raise NotTaken(
            f"missing values ({told}; {len(table)} rows): --missing drop leaves these rows out"
            f"{more}"
        )
    if missing == "drop":
        screened.dropped = int(rows.sum())
        if screened.dropped == len(table):
            ways = "--missing impute, --ignore" if imputes else "--ignore these columns"
            raise InputError(f"every row has a missing value ({told}): {ways}")
        screened.data = screened.data.take((~rows).nonzero().squeeze(1))
        dropped = counted(screened.dropped, "row")
        screened.warnings.append(f"{dropped} dropped for missing values ({told})")
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
    table, n, found = screened.table, len(screened.table), []
    numbers = [column.name for column in table.schema if column.kind == "number"]
    for names, values in table.blocks(numbers if n > 20 else ()):
        whole = (values == values.round()).all(0).nonzero().squeeze(1)
        different = np.diff(np.sort(values[:, whole].numpy(), axis=0), axis=0).all(0)
        found += [names[j] for j in whole[torch.from_numpy(different)].tolist()]
    if found:
        named = listing(map(repr, found), 5)
        looks = "looks like a row identifier" if len(found) == 1 else "look like row identifiers"
        screened.warnings.append(
            f"{named} {looks} (whole numbers, all different): if so, "
            f"{as_option('--ignore', *found)}"
        )


def content(data: Sources) -> Literal["text", "images", "mixed", "numbers"]:
    """What examples are: text, images, columns with categories that vary, or numbers."""
    if isinstance(data.x, Ragged):
        return "text"
    if isinstance(data.x, Images):
        return "images"
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
