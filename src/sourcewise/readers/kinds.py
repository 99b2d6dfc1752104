"""The kind of a column of text, by one rule over all its distinct values; no row is looked at.

The rule, in this order; the first that holds for every value decides:

1. two words for yes and no (true/false, yes/no, ja/nein, ...): a category of two
2. whole numbers, some with a leading zero (045): a category, since they are codes
3. numbers in one notation (see `notation`): numbers; whole numbers above 2^53, which are no
   longer told apart as such, stay exact as a category
4. dates in one format (see `dates`), also written 20241020: dates
5. anything else: a category, unless most rows are numbers; then the others are named

A column is refused where two readings are left and no other column of its file decides. What
`types` says comes before the rule.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from sourcewise.cells import as_option
from sourcewise.errors import InputError, counted
from sourcewise.forms import Kind
from sourcewise.places import Place, numbered
from sourcewise.readers.cells_of_text import Cells, all_match, kept, listed, matching
from sourcewise.readers.dates import DateFormat, date_formats, example, nearest, seconds
from sourcewise.readers.notation import (
    Notation,
    admitted,
    closest,
    decimal_mark,
    marked,
    numbers,
)

__all__ = ["EXACT", "Decided", "Texts", "beyond", "decide", "file_mark"]

EXACT = 2**53  # whole numbers above are not told apart as float64
SHOWN = 8  # limits of one column
_BEYOND = re.compile(r"\s*(?:([<≤])|[>≥])=?\s*[+-]?[.,]?[0-9]")
_YES_NO = (
    ("false", "true"),
    ("no", "yes"),
    ("f", "t"),
    ("n", "y"),
    ("nein", "ja"),
    ("nej", "ja"),
    ("non", "oui"),
    ("no", "si"),
    ("no", "sí"),
    ("não", "sim"),
    ("nee", "ja"),
    ("falsch", "wahr"),
)


@dataclass(frozen=True)
class Texts:
    """The distinct texts of a column.

    Args:
        name: of the column.
        values: distinct, none missing, as they stand, in the order in which they appear.
        codes: (rows,) which of them each row has, -1: missing; None: each row its own.
        place: where a row stands, for messages.
    """

    name: str
    values: Cells
    codes: np.ndarray | None
    place: Place = numbered

    @cached_property
    def counts(self) -> np.ndarray:
        """(n,) rows of each."""
        if self.codes is None:
            return np.ones(len(self.values), np.int64)
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    @cached_property
    def notations(self) -> tuple[Notation, ...]:
        """Those under which every value is a number."""
        return admitted(self.values)

    @property
    def as_category(self) -> str:
        """The option that makes it one."""
        return as_option("--types", f"{self.name}=category")

    def text(self, i: int) -> str:
        """One of them."""
        return str(self.values[i])

    def example(self, i: int) -> str:
        """A value with its place, for messages."""
        row = i if self.codes is None else int((self.codes == i).argmax())
        return f"{self.text(i)!r:.60} ({self.place(row)})"

    def spread(self, of_each: np.ndarray, gap: float) -> np.ndarray:
        """(rows,) of numbers of each text that of each row."""
        return of_each.copy() if self.codes is None else np.append(of_each, gap)[self.codes]


@dataclass(frozen=True)
class Decided:
    """What a column of text is.

    Args:
        kind: of the column.
        why: by which part of the rule, in a few words.
        numbers: (n,) float64 of each distinct text, of numbers and dates.
        said: whether a note tells why, since the text alone might be read in another way.
        levels: (n,) the category of each distinct text; None: each is its own.
        recorded: what draws become again beside numbers and texts: "boolean", "integer", "day".
    """

    kind: Kind
    why: str
    numbers: np.ndarray | None = None
    said: bool = False
    levels: tuple[str, ...] | None = None
    recorded: str = ""


def beyond(text: str) -> str:
    """Whether a text stands for the smallest or largest values, beyond a limit of detection.

    >>> beyond("<0,6"), beyond("> 1000"), beyond("A>1")
    ('smallest', 'largest', '')
    """
    found = _BEYOND.match(text)
    return "" if found is None else "smallest" if found[1] else "largest"


def file_mark(columns: Iterable[Texts], points: bool = False) -> str | None:
    """The decimal mark that the columns of a file show, if they agree.

    Args:
        columns: of text.
        points: whether there are others, whose numbers have points.
    """
    found = (c.notations for c in columns if marked(c.values) and c.notations)
    return decimal_mark(chain(found, [(Notation(),)] if points else []))


def decide(
    column: Texts,
    override: Kind | None = None,
    decimal: str | None = None,
    mark: str | None = None,
    dates: str | None = None,
) -> Decided:
    """The kind of a column and its values.

    Args:
        column: its distinct texts.
        override: the kind that it must have.
        decimal: the decimal mark that the user names.
        mark: that other columns show.
        dates: the format of dates that the user names.

    Raises:
        InputError: two readings are left, numbers hold other text, or it is not what it must be.
    """
    if override == "category":
        found = _yes_no(column) or Decided("category", "")
        return replace(found, why="as --types says")
    if override == "number":
        return _forced_number(column, decimal, mark)
    if override == "date":
        return _forced_date(column, dates)
    if not len(column.values):
        return Decided("number", "no value at all", np.empty(0))
    for rule in (_yes_no, _codes):
        if (found := rule(column)) is not None:
            return found
    if dates is not None and not np.isnan(found := seconds(column.values, dates)).any():
        return Decided("date", f"dates as {dates}", found)
    packed = [form for form in date_formats(column.values) if form.format == "%Y%m%d"]
    if len(column.values) > 1 and packed:
        why = "dates (year, month and day without marks)"
        return Decided("date", why, seconds(column.values, "%Y%m%d"), True)
    notations = _admitted(column, decimal)
    if notations:
        return _number(column, _chosen(column, notations, mark))
    if forms := date_formats(column.values):
        return _date(column, forms)
    return _category(column, decimal)


def _yes_no(column: Texts) -> Decided | None:
    """Levels are no and yes, spelled as they first stand."""
    if len(column.values) > 12:
        return None
    words = [text.strip().casefold() for text in listed(column.values)]
    for pair in _YES_NO:
        alone = len(set(words)) == 1 and len(words[0]) < 4  # one `no`, one `t`: any word
        if set(words) <= set(pair) and not alone:
            first = {word: i for i, word in reversed(list(enumerate(words)))}
            spelled = tuple(column.text(first[word]).strip() for word in words)
            recorded = "boolean" if pair == ("false", "true") else ""
            return Decided("category", "yes or no", levels=spelled, recorded=recorded)
    return None


def _codes(column: Texts) -> Decided | None:
    """Whole numbers of which some begin with a zero."""
    if not all_match(column.values, "^[+-]?[0-9]+$"):
        return None
    zeros = matching(column.values, "^[+-]?0[0-9]+$")
    if zeros.any():
        code = column.text(int(zeros.argmax()))
        return Decided("category", f"codes with leading zeros ({code})", said=True)
    return None


def _admitted(column: Texts, decimal: str | None) -> list[Notation]:
    """The notations of a column that have the mark that the user names."""
    return [notation for notation in column.notations if decimal in (None, notation.decimal)]


def _chosen(column: Texts, notations: Sequence[Notation], mark: str | None) -> Notation:
    """The notation of a column that admits several."""
    left = [notation for notation in notations if mark in (None, notation.decimal)] or notations
    if len(left) == 1 or left[0].decimal == ".":
        return left[0]
    points, commas = next(n for n in left if n.decimal == "."), left[0]
    text = column.text(0)
    one, two = (float(numbers([text], n)[0]) for n in (points, commas))
    raise InputError(
        f"column {column.name!r}: {text!r} is {one:g} or {two:g}, and no other column "
        "tells: say --decimal . or --decimal ,"
    )


def _number(column: Texts, notation: Notation) -> Decided:
    values = _finite(column, numbers(column.values, notation))
    recorded = ""
    if notation.plain and all_match(column.values, "^[+-]?[0-9]+$"):
        recorded = "integer"
        if np.abs(values).max() > EXACT:
            return Decided("category", "whole numbers above 2^53, kept exact", said=True)
    why = "numbers" if notation.plain else f"numbers ({notation.words})"
    return Decided("number", why, values, said=not notation.plain, recorded=recorded)


def _date(column: Texts, forms: Sequence[DateFormat]) -> Decided:
    if len(forms) > 1:
        raise InputError(
            f"column {column.name!r}: {column.text(0)!r} may be {forms[0].words} or "
            f"{forms[1].words}: say {example(forms)}, or {column.as_category}"
        )
    form = forms[0]
    return Decided(
        "date", f"dates ({form.words})", seconds(column.values, form.format), said=form.said
    )


def _category(column: Texts, decimal: str | None) -> Decided:
    notation, share = closest(column.values, column.counts, decimal)
    bad = np.isnan(numbers(column.values, notation))
    others = listed(kept(column.values, bad)) if 0 < share < 0.5 else []
    if bad.any() and (share >= 0.5 or (others and all(map(beyond, others)))):
        _refuse(column, bad)
    codes = matching(column.values, "^[+-]?[0-9]+[eE][0-9]+$")
    if codes.any():
        code = column.text(int(codes.argmax()))
        return Decided("category", f"codes such as {code}, no numbers", said=True)
    return Decided("category", "text")


def _refuse(column: Texts, bad: np.ndarray) -> None:
    """Text among numbers: what it is, and what to do."""
    first = int(np.flatnonzero(bad)[0])
    text = column.text(first)
    if re.fullmatch(r"[+-]?inf(inity)?", text.strip(), re.IGNORECASE):
        told = counted(int(column.counts[first]), "infinite value")
        raise InputError(
            f"column {column.name!r} holds {told} (first: {column.example(first)}): correct them, "
            f"or say {as_option('--na', text)} if they are missing"
        )
    some = "values such as" if bad.sum() > 1 else "rows with"
    head = f"column {column.name!r} holds text among its numbers: {int(column.counts[bad].sum())} "
    limits = [value for value in listed(kept(column.values, bad)) if beyond(value)]
    if beyond(text):
        sides = " and ".join(sorted(set(map(beyond, limits)), reverse=True))
        raise InputError(
            f"{head}{some} {column.example(first)}, beyond a limit of detection: write numbers in "
            f"their place (half the limit is usual), or say {column.as_category} or "
            f"{as_option('--ignore', column.name)}; {as_option('--na', *limits[:SHOWN])} takes "
            f"them as missing, which leaves out the {sides} values and so biases results"
        )
    raise InputError(
        f"{head}{some} {column.example(first)}; say {as_option('--na', text)} if they are missing "
        f"values, correct them, or use {column.as_category}"
    )


def _forced_number(column: Texts, decimal: str | None, mark: str | None) -> Decided:
    notations = _admitted(column, decimal)
    if notations:
        notation = _chosen(column, notations, mark)
    else:
        notation, _ = closest(column.values, column.counts, decimal or mark)
    values = numbers(column.values, notation)
    if np.isnan(values).any():
        _refuse(column, np.isnan(values))
    return Decided("number", "as --types says", _finite(column, values))


def _finite(column: Texts, values: np.ndarray) -> np.ndarray:
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(
            f"column {column.name!r}: {column.example(int(infinite.argmax()))} is too large for a "
            f"number: correct it, or say {column.as_category}"
        )
    return values


def _forced_date(column: Texts, dates: str | None) -> Decided:
    named = () if dates is None else (DateFormat(dates, dates, ""),)
    forms = named or date_formats(column.values)
    if not forms:
        bad = np.isnan(nearest(column.values))
        raise InputError(
            f"column {column.name!r} is not a date, or not in one format: "
            f"{column.example(int(bad.argmax()))}; say --dates FORMAT, as in --dates %d.%m.%Y"
        )
    decided = _date(column, forms)
    assert decided.numbers is not None
    bad = np.isnan(decided.numbers)
    if bad.any():
        raise InputError(
            f"column {column.name!r}: {column.example(int(bad.argmax()))} is no date as {dates}"
        )
    return decided
