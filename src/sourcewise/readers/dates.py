"""Dates as they are written: which formats all values of a column have.

A format is a list of parts of `strftime` in an order. Day and month are told apart by a value
above 12 somewhere in the column; where none is, the order is ambiguous, and the user is asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sourcewise.errors import InputError
from sourcewise.readers.cells_of_text import Cells, all_match

__all__ = ["DateFormat", "check_format", "date_formats", "example", "nearest", "seconds"]

_TIME = "([ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?"
_CLOCK = r"[ T](\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)$"
_ZONE = "( ?(Z|[+-][0-9]{2}:?[0-9]{2}))?"


@dataclass(frozen=True)
class DateFormat:
    """How a date is written.

    Args:
        words: for notes: day/month/year.
        format: of its day, as in `strftime`; "" for ISO 8601, which may hold a time and a zone.
        pattern: what a value matches.
        said: whether a note tells of it.
    """

    words: str
    format: str
    pattern: str
    said: bool = True


_ISO = DateFormat(
    "year-month-day", "", f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_TIME}{_ZONE}$", said=False
)
_FORMATS = (
    _ISO,
    replace(_ISO, format="%Y-%m-%d", pattern=f"^[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}{_TIME}$"),
    DateFormat("year-month", "%Y-%m", "^[0-9]{4}-[0-9]{2}$"),
    DateFormat("year/month/day", "%Y/%m/%d", f"^[0-9]{{4}}/[0-9]{{1,2}}/[0-9]{{1,2}}{_TIME}$"),
    DateFormat("yearmonthday", "%Y%m%d", "^(19|20)[0-9]{6}$"),
    DateFormat("day.month.year", "%d.%m.%Y", f"^[0-9]{{1,2}}[.][0-9]{{1,2}}[.][0-9]{{4}}{_TIME}$"),
    *(
        DateFormat(words, form, f"^[0-9]{{1,2}}{mark}[0-9]{{1,2}}{mark}[0-9]{{4}}{_TIME}$")
        for mark in "/-"
        for words, form in (
            (f"day{mark}month{mark}year", f"%d{mark}%m{mark}%Y"),
            (f"month{mark}day{mark}year", f"%m{mark}%d{mark}%Y"),
        )
    ),
    *(
        DateFormat(f"day{mark}month{mark}year", f"%d{mark}%b{mark}%Y", pattern)
        for mark in " -"
        for pattern in [f"^[0-9]{{1,2}}{mark}[A-Za-z]{{3}}{mark}[0-9]{{4}}{_TIME}$"]
    ),
    DateFormat("month day, year", "%b %d, %Y", "^[A-Za-z]{3} [0-9]{1,2}, [0-9]{4}$"),
)

_ANY = "|".join(form.pattern for form in _FORMATS)


def date_formats(values: Cells) -> tuple[DateFormat, ...]:
    """The formats in which every value is a date.

    >>> [form.words for form in date_formats(["20/10/2024", "01/02/2024"])]
    ['day/month/year']
    >>> len(date_formats(["01/02/2024"]))
    2
    >>> date_formats(["2024-10-0848"])
    ()

    Args:
        values: distinct texts, none empty.
    """
    found = []
    for form in _FORMATS if all_match(values[:1], _ANY) else ():
        fits = all_match(values, form.pattern)
        if fits and not np.isnan(seconds(values, form.format)).any():
            found.append(form)
            if form is _ISO:
                break
    return tuple(found)


def nearest(values: Cells) -> np.ndarray:
    """(n,) seconds by the format in which most values are dates."""
    return min(
        (seconds(values, form.format) for form in _FORMATS), key=lambda v: np.isnan(v).sum()
    )


def seconds(values: Cells, form: str) -> np.ndarray:
    """(n,) float64 seconds since 1970, UTC; NaN where a value is no date of this format.

    Args:
        values: texts.
        form: as in `strftime`, a time of day may follow; "" for ISO 8601.
    """
    texts = pd.Series(values if isinstance(values, list) else values.to_pandas(), dtype="str")
    if not form:
        return _seconds(_parsed(texts, "ISO8601"))
    clock = texts.str.extract(_CLOCK, expand=False)
    timed = clock.notna() & ("%H" not in form)
    day = texts.where(~timed, texts.str.replace(_CLOCK, "", regex=True))
    found = _seconds(_parsed(day, form))
    if timed.any():
        full = clock[timed].where(clock[timed].str.count(":") == 2, clock[timed] + ":00")
        found[timed.to_numpy()] += pd.to_timedelta(full).dt.total_seconds().to_numpy()
    return found


def check_format(form: str) -> None:
    """Raise unless a format of dates is one.

    >>> check_format("%d.%Q")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no format of dates '%d.%Q' (such as %d/%m/%Y)
    """
    try:
        if "%" not in form:
            raise ValueError
        _parsed(pd.Series(["1"], dtype="str"), form)
    except (ValueError, re.error):
        raise InputError(f"no format of dates {form!r} (such as %d/%m/%Y)") from None


def _parsed(texts: "pd.Series[str]", form: str) -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(texts, format=form, errors="coerce", utc=True)


def _seconds(stamps: "pd.Series[pd.Timestamp]") -> np.ndarray:
    out = stamps.dt.as_unit("us").astype("int64").to_numpy(np.float64, copy=True) / 1e6
    out[stamps.isna().to_numpy()] = np.nan
    return out


def example(forms: Sequence[DateFormat]) -> str:
    """What to type to choose among formats.

    >>> example(_FORMATS[6:8])
    "--dates '%d/%m/%Y' (day/month/year) or --dates '%m/%d/%Y' (month/day/year)"
    """
    return " or ".join(f"--dates '{form.format}' ({form.words})" for form in forms)
