"""Rows of a table that are no data: empty ones, totals, repeated headers, remarks at the end."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sourcewise.errors import counted, phrases
from sourcewise.readers.columns import encoded, levels
from sourcewise.readers.declared import is_text
from sourcewise.readers.short import Short, as_text, blank, equal

__all__ = ["Place", "data_rows"]

Place = Callable[[int], str]  # where a row stands: "FILE, line 3"
_WORDS = (
    "total totals sum sums subtotal subtotals mean means average averages gesamt summe "
    "gesamtsumme zwischensumme ergebnis gesamtergebnis insgesamt mittelwert somme totaux moyenne "
    "suma media totale totali totales soma totaal gemiddelde summa итого всего 合計 合计 总计"
)
_TOTALS = frozenset(_WORDS.split())


def data_rows(
    table: pa.Table, label: str, place: Place, text: bool
) -> tuple[pa.Table, Place, tuple[str, ...]]:
    """The rows that are data, where each stands, and notes of those that are left out.

    Args:
        table: all rows.
        label: the column that says where a row comes from.
        place: where a row stands.
        text: whether examples are texts, which have no totals, and may be empty.
    """
    empty = _empty(table, table.column_names)
    notes = [f"{counted(int(empty.sum()), 'row')} without any value left out"]
    out = empty.copy()
    if not text:
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
        lambda i: place(int(kept[i])),
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
    gap = column.is_null()
    if is_text(column.type):
        gap = pc.or_(gap, pc.equal(pc.utf8_trim_whitespace(column.fill_null("")), ""))
    return gap.to_numpy()


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
