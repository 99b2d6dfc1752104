"""Columns of the calendar: what they are, and what rows close in time can be grouped by."""

import numpy as np

from sourcewise.cells import as_option
from sourcewise.errors import listing
from sourcewise.forms import Column, Table
from sourcewise.screening.base import Screened

__all__ = ["point_out_dates"]

ENOUGH = 10  # groups, for splits
DAY = 86400  # seconds
_NAMES = ("date", "datetime", "timestamp")  # of columns that stand for dates, of any kind
_PARTS = {
    "year": (1000, 2999),
    "month": (1, 12),
    "week": (0, 53),
    "day": (1, 366),
    "hour": (0, 24),
}


def point_out_dates(screened: Screened) -> None:
    """Warn of columns of the calendar: rows close in time may be alike.

    It names what --group takes only where that makes groups: see `_groups`.
    """
    table = screened.table
    dates = [column.name for column in table.schema if _of_calendar(column, table)]
    if not dates or screened.data.group_by or screened.data.independent:
        return
    groups = _groups(table, dates)
    how = as_option("--group", *groups) if groups else "--group and a column of weeks or months"
    screened.warnings.append(
        f"date-like columns ({listing(dates)}): if rows close in time are alike, keep them "
        f"together with {how}, or the intervals are too narrow"
    )


def _of_calendar(column: Column, table: Table) -> bool:
    """Whether a column is of dates, is called so, or is a part of dates by name and values."""
    name = column.name.lower()
    dated = column.kind == "date" or name in _NAMES
    if not (dated or name in _PARTS) or _different(table, [column.name]) == 1:
        return False
    if dated or column.kind == "category":
        return True
    values = table.columns[column.name].numpy()
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    whole = bool((np.isnan(values) | (values == np.round(values))).all())
    return whole and _PARTS[name][0] <= low <= high <= _PARTS[name][1]


def _groups(table: Table, dates: list[str]) -> list[str]:
    """The columns of the calendar that group rows by day, week, month or year; [] if none do.

    Days come first, then the fewest of year, month (or week) and day of the month that make
    ENOUGH groups, of two rows on average at least. A time of day groups nothing that lasts.
    """
    named = {name.lower(): name for name in dates}
    seconds = {c.name: table.columns[c.name].numpy() for c in table.schema if c.kind == "date"}
    days = [[name] for name, at in seconds.items() if not np.nan_to_num(at % DAY).any()]
    order = ("year", "month", "day") if "month" in named else ("year", "week")
    parts = [named[part] for part in order if part in named]
    for chosen in (*days, *(parts[: i + 1] for i in range(len(parts)))):
        if ENOUGH <= _different(table, chosen) <= len(table) / 2:
            return chosen
    return []


def _different(table: Table, names: list[str]) -> int:
    """How many rows differ in some columns."""
    key = np.zeros(len(table), np.int64)
    for name in names:
        number = np.unique(table.columns[name].numpy(), return_inverse=True)[1]
        key = key * (number.max() + 1) + number
    return len(np.unique(key))
