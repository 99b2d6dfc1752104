"""Rows that are no data: empty ones, totals, repeated headers, remarks at the end; units."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sourcewise.errors import InputError, counted, phrases
from sourcewise.places import Place, Places
from sourcewise.readers.declared import is_text
from sourcewise.readers.distinct import MISSING, encoded, levels
from sourcewise.readers.notation import admitted
from sourcewise.readers.short import Short, Streamed, as_text, blank, equal

__all__ = ["data_rows"]

_WORDS = (
    "total totals sum sums subtotal subtotals mean means average averages gesamt summe "
    "gesamtsumme zwischensumme ergebnis gesamtergebnis insgesamt mittelwert somme totaux moyenne "
    "suma media totale totali totales soma totaal gemiddelde summa итого всего 合計 合计 总计"
)
_TOTALS = frozenset(_WORDS.split())
_MARKED = re.compile(r"^[\[(].+[\])]$|[%°/^²³µμ]")  # [cm], g/l, 10^9/l
_KNOWN = "cm mm km ft mg ug kg lb ml dl ms min days years mmhg hpa kpa bar bpm hz kw kwh eur usd"
_UNITS = frozenset(_KNOWN.split())
# Short, with a letter or one of the signs, and no limit (<5) or number with its unit (7 kg, 12%).
_SHORT = re.compile(r"^(?![<>≤≥])(?![+-]?[0-9.,]+\s?([^\W\d]|[%°]))(?=.*([^\W\d_]|[%°])).{1,20}$")


def data_rows(
    table: pa.Table,
    label: str,
    place: Place,
    text: bool,
    na: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> tuple[pa.Table, Place, tuple[str, ...]]:
    """The rows that are data, where each stands, and notes of those that are left out.

    Args:
        table: all rows.
        label: the column that says where a row comes from.
        place: where a row stands.
        text: whether examples are texts, which have no totals, and may be empty.
        na: texts that are missing values, beside the usual ones.
        columns: in use, that may hold numbers.

    Raises:
        InputError: the first row holds units.
    """
    empty = _empty(table, table.column_names)
    notes = [f"{counted(int(empty.sum()), 'row')} without any value left out"]
    out = empty.copy()
    if not text:
        if units := _units(table.select([label, *columns]), {*MISSING, *na}):
            raise InputError(
                f"{place(0)} holds {phrases(units, 3)} where all other rows hold numbers: remove "
                "what is no row of data, such as units"
            )
        sources = _Labels.of(table.column(label))
        others = [name for name in table.column_names if name != label]
        found = {
            "what looks like totals": sources.totals(),
            "the header again": _headers(table),
            "remarks at the end": _last(_empty(table, others) & sources.remarks()),
        }
        for what, rows in found.items():
            rows &= ~out
            if rows.any() and not (rows | out).all():
                out |= rows
                notes.append(_note(table, label, rows, what, place))
    if not out.any():
        return table, place, ()
    kept = np.flatnonzero(~out)
    return (
        table.take(pa.array(kept)),
        Places(place, torch.from_numpy(kept)),
        tuple(notes[0 if empty.any() else 1 :]),
    )


def _note(table: pa.Table, label: str, rows: np.ndarray, what: str, place: Place) -> str:
    which = np.flatnonzero(rows)
    cells = as_text(table.column(label).take(pa.array(which[:3]))).to_pylist()
    told = [f"{cell!r:.60} ({place(int(i))})" for cell, i in zip(cells, which, strict=False)]
    more = [""] * (len(which) - len(told))
    return f"left out, as {what}: {phrases([*told, *more], 3)}"


def _empty(table: pa.Table, names: list[str]) -> np.ndarray:
    """(n,) rows that hold nothing in these columns."""
    empty = np.ones(len(table), bool)
    for name in names:
        empty &= _gaps(table.column(name))
        if not empty.any():
            break
    return empty


def _gaps(column: pa.ChunkedArray) -> np.ndarray:
    """(n,) rows without a value, or with spaces only."""
    if isinstance(column.type, Short):
        return blank(column)
    if isinstance(column.type, Streamed):
        return np.isnan(column.cast(pa.float64()).to_numpy())
    gap = column.is_null()
    if is_text(column.type):
        gap = pc.or_(gap, pc.equal(pc.utf8_trim_whitespace(column.fill_null("")), ""))
    return gap.to_numpy()


def _units(table: pa.Table, missing: Collection[str]) -> list[str]:
    """What the first row holds, if that is units: text where all other rows hold numbers.

    It has a source (else it is refused for that), no number, and something like a unit in each
    such column. One column alone is not enough, unless it holds what is a unit beyond doubt: a
    typing error is no row of units. The first column is that of sources.
    """
    numbers = {j for j, kind in enumerate(table.schema.types) if isinstance(kind, Streamed)}
    if not all(_gaps(table.column(j).slice(0, 1)).all() for j in numbers):
        return []
    table = table.select([j for j in range(table.num_columns) if j not in numbers])
    if len(table) < 2 or not all(is_text(column.type) for column in table.columns):
        return []
    source, *first = (as_text(column.slice(0, 1))[0].as_py() for column in table.columns)
    pairs = zip(table.columns[1:], first, strict=True)
    cells = [(column, cell) for column, cell in pairs if cell is not None]
    if source in (None, ""):
        return []
    if any(admitted([cell.strip()]) for _, cell in cells):
        return []
    found = [
        cell.strip()
        for column, cell in cells
        if cell.strip() not in missing and _numbers(column.slice(1), missing)
    ]
    sure = len(found) > 1 or any(_MARKED.search(c) or c.casefold() in _UNITS for c in found)
    return [f"{cell!r}" for cell in found] if sure and all(map(_SHORT.match, found)) else []


def _numbers(column: pa.ChunkedArray, missing: Collection[str]) -> bool:
    """Whether all that is not missing is numbers in one notation, and there are some."""
    values = [v for v in encoded(column)[0].to_pylist() if v.strip() not in missing]
    return bool(values) and bool(admitted(pa.array(values)))


@dataclass(frozen=True)
class _Labels:
    """The sources of rows."""

    names: list[str]
    codes: np.ndarray  # (n,) which source a row has, -1: none
    counts: np.ndarray  # (K,) rows of each

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "_Labels":
        values, codes = encoded(column)
        names = levels(values)
        return cls(names, codes, np.bincount(codes[codes >= 0], minlength=len(names)))

    def totals(self) -> np.ndarray:
        """(n,) rows whose source has one row and is called Total, or as another and Total."""
        plain = [" ".join(name.casefold().split()).strip(" :*") for name in self.names]
        known = {name for name, n in zip(plain, self.counts, strict=True) if n > 1}
        alone = [k for k, n in enumerate(self.counts) if n == 1 and _is_total(plain[k], known)]
        return np.isin(self.codes, alone)

    def remarks(self) -> np.ndarray:
        """(n,) rows whose source has one row, and is three words or more."""
        long = np.array([len(name.split()) > 2 for name in self.names], bool)
        return np.isin(self.codes, np.flatnonzero((self.counts == 1) & long))


def _is_total(name: str, sources: Collection[str]) -> bool:
    """Whether a name means a total: of all, or of one of the sources.

    >>> [_is_total(name, ["north"]) for name in ("grand total", "summe north", "total energies")]
    [True, True, False]
    """
    name = name.removeprefix("grand ")
    first, _, rest = name.partition(" ")
    before, _, last = name.rpartition(" ")
    return name in _TOTALS or any(
        word in _TOTALS and other in sources for word, other in ((first, rest), (last, before))
    )


def _last(rows: np.ndarray) -> np.ndarray:
    """(n,) of some rows those after which no other row comes."""
    return np.logical_and.accumulate(rows[::-1])[::-1]


def _headers(table: pa.Table) -> np.ndarray:
    """(n,) rows in which every column holds its own name."""
    same = np.ones(len(table), bool)
    for name in table.column_names:
        column = table.column(name)
        if not is_text(column.type):
            return np.zeros(len(table), bool)
        same &= _equal(column, name)
        if not same.any():
            break
    return same


def _equal(column: pa.ChunkedArray, text: str) -> np.ndarray:
    """(n,) rows that hold a text."""
    if isinstance(column.type, Short):
        return equal(column, text)
    return pc.equal(column.fill_null(""), text).to_numpy()
