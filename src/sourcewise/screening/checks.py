"""What several screenings look at, each column by name."""

from collections.abc import Sequence

import torch

from sourcewise.errors import InputError, counted, listing
from sourcewise.screening.base import Screened
from sourcewise.screening.options import Missing, Rules

__all__ = [
    "handle_missing",
    "leave_out_dates",
    "point_out_dates",
    "point_out_identifiers",
    "refuse_infinite",
    "refuse_table_options",
    "take_logarithms",
]

HUGE = 1e100  # squares and their sums must not overflow
_CALENDAR = {"date", "datetime", "time", "timestamp", "year", "month", "day", "hour", "week"}


def refuse_table_options(what: str, rules: Rules) -> None:
    """Raise if an option that is for columns of a table was given."""
    used = [f"--missing {rules.missing}"] if rules.missing != "refuse" else []
    used += [f"--log {','.join(rules.log)}"] if rules.log else []
    if used:
        raise InputError(f"options that do not apply to {what}: {listing(used)}")


def leave_out_dates(screened: Screened) -> None:
    """Leave out the columns of dates."""
    for column in screened.table.schema:
        if column.kind == "date":
            screened.leave_out(column.name, "a date")


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
