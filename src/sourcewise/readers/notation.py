"""How the numbers of a column are written: marks of decimals and thousands, a currency, percent.

A *notation* is admitted by a column if every value reads as a number under it. Text such as
`1,234` admits two, a decimal comma and a thousands comma: other columns of the same file decide
(`decimal_mark`), or the user does.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from sourcewise.readers.cells_of_text import (
    Cells,
    all_match,
    any_match,
    ascii_only,
    floats,
    matching,
    replaced,
    stripped,
)
from sourcewise.readers.short import raw

__all__ = [
    "Notation",
    "_as_programs_write",
    "admitted",
    "closest",
    "decimal_mark",
    "marked",
    "numbers",
]

_SPACES = " \u00a0\u202f\u2009"
_CURRENCIES = ("$", "€", "£", "¥", "₹", "CHF", "EUR", "USD", "GBP", "kr", "zł")
_SIGNS = "|".join(map(re.escape, ("%", *_CURRENCIES)))
# An exponent without a decimal mark is a number only with a sign (1e-05, 1E+16): 11E6 is a code.
_EXPONENT = "[eE][+-][0-9]{1,3}"
_NUMBER = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$"


@dataclass(frozen=True)
class Notation:
    """How a number is written.

    Args:
        decimal: the mark before its decimals.
        thousands: the mark between groups of three digits; "" for none; " " for any space.
        sign: the currency before or after it, "%" after it, or "".
    """

    decimal: str = "."
    thousands: str = ""
    sign: str = ""

    @property
    def plain(self) -> bool:
        """Whether it is what programs write: nothing to tell."""
        return self == Notation()

    @cached_property
    def needs(self) -> frozenset[str]:
        """Marks of which one must occur; else a plainer notation says the same."""
        return frozenset(_SPACES if self.thousands == " " else self.thousands or self.decimal)

    @property
    def words(self) -> str:
        """What a note says of it.

        >>> Notation(",", ".", "€").words
        'decimal comma, thousands point, €'
        """
        parts = ["decimal comma"] if self.decimal == "," else []
        if self.thousands:
            parts.append(f"thousands {_MARKS[self.thousands]}")
        parts += [{"%": "percent"}.get(self.sign, self.sign)] if self.sign else []
        return ", ".join(parts) or "plain"

    @cached_property
    def pattern(self) -> str:
        """What a number without its sign matches."""
        mark, digits = "\\" + self.decimal, "[0-9]+"
        if self.thousands:
            return f"^[+-]?[0-9]{{1,3}}({_between(self)}[0-9]{{3}})*({mark}[0-9]*)?$"
        whole = f"{digits}({_EXPONENT})?"
        broken = f"({digits}{mark}[0-9]*|{mark}{digits})([eE][+-]?[0-9]{{1,3}})?"
        return f"^[+-]?({whole}|{broken})$"


_MARKS = {",": "comma", ".": "point", " ": "space", "'": "apostrophe"}
_ALL = tuple(
    Notation(decimal, thousands)
    for thousands in ("", ",", ".", " ", "'")
    for decimal in (".", ",")
    if decimal != thousands
)


def admitted(values: Cells) -> tuple[Notation, ...]:
    """The notations under which every value is a number, the plainest first.

    >>> [notation.words for notation in admitted(["75,1", "80"])]
    ['decimal comma']
    >>> [notation.words for notation in admitted(["€5.01", "€1,200.00"])]
    ['thousands comma, €']
    >>> len(admitted(["1,234", "2,581"]))
    2

    Args:
        values: distinct texts, none empty.
    """
    bare, sign = _unsigned(_tidy(values))
    held = _marks(bare)
    return tuple(
        replace(notation, sign=sign)
        for notation in _ALL
        if notation.needs & held or notation.plain
        if _fits(bare, notation) and _used(notation, bare)
    )


def closest(values: Cells, counts: np.ndarray, decimal: str | None) -> tuple[Notation, float]:
    """The notation under which most rows are numbers, and the share of rows that are.

    >>> closest(["0,7", "<0,6", "12"], np.array([5, 1, 2]), None)
    (Notation(decimal=',', thousands='', sign=''), 0.875)
    """
    bare = _tidy(values)
    shares = {}
    for notation in _ALL:
        if decimal in (None, notation.decimal):
            shares[notation] = float((matching(bare, notation.pattern) * counts).sum())
    best = max(shares, key=lambda notation: shares[notation])
    return best, shares[best] / max(int(counts.sum()), 1)


def decimal_mark(columns: Iterable[Sequence[Notation]]) -> str | None:
    """The one decimal mark of a file, by columns that admit one only; None if they disagree.

    Args:
        columns: what each admits, of columns whose numbers have marks.
    """
    marks = ({notation.decimal for notation in notations} for notations in columns)
    certain = {mark for found in marks if len(found) == 1 for mark in found}
    return certain.pop() if len(certain) == 1 else None


def numbers(values: Cells, notation: Notation) -> np.ndarray:
    """(n,) float64 of texts under a notation; NaN where it is none, inf where it is too large.

    Unlike `admitted`, it takes 11E6 as a number: whoever asks for numbers wants them.
    """
    bare, _ = _unsigned(_tidy(values), notation.sign)
    if notation == Notation() and (found := _as_programs_write(bare)) is not None:
        return found
    if notation.thousands:
        bare = replaced(bare, _between(notation), "")
    if notation.decimal == ",":
        bare = replaced(bare, ",", ".")
    return floats(bare, matching(bare, _NUMBER))


def marked(values: Cells) -> bool:
    """Whether some value holds a mark of decimals or thousands."""
    return any_match(values, "[0-9][.,'][0-9]")


def _tidy(values: Cells) -> Cells:
    """Without spaces around, with the ASCII minus and apostrophe."""
    bare = stripped(values)
    if ascii_only(bare):
        return bare
    return replaced(replaced(bare, "^\u2212", "-"), "\u2019", "'")


def _unsigned(values: Cells, sign: str | None = None) -> tuple[Cells, str]:
    """Texts without the currency or percent that all of them have, and which that is."""
    if sign is None and not all_match(values[:1], _SIGNS):
        return values, ""
    for mark in ("%", *_CURRENCIES) if sign is None else (sign,) if sign else ():
        quoted = mark.replace("$", "\\$")
        gap = f"[{_SPACES}]?"
        after = f"^(.*[0-9.,]){gap}{quoted}$"
        before = f"^([+-]?){quoted}{gap}([+-]?[0-9.,].*)$"
        for pattern, bare in ((after, "\\1"), (before, "\\1\\2")):
            if mark == "%" and pattern is before:
                continue
            if all_match(values, pattern):
                return replaced(values, pattern, bare), mark
    return values, ""


def _fits(bare: Cells, notation: Notation) -> bool:
    """Whether all texts are numbers under a notation."""
    first = all_match(bare[:1], notation.pattern)
    surely = first and notation.plain and _as_programs_write(bare) is not None
    return surely or (first and all_match(bare, notation.pattern))


def _as_programs_write(values: Cells) -> np.ndarray | None:
    """(n,) float64 of texts that all match the plain notation; None if some do not, or may not.

    Texts of digits, a point and a minus need no pattern: what is no number among them is found as
    they become numbers, several times faster. Most that programs write are such. A few texts take
    the other way.
    """
    if isinstance(values, list):
        return None
    starts, chars = raw(values)
    others = np.flatnonzero(chars - np.uint8(ord("-")) > ord("9") - ord("-"))
    which = np.unique(np.searchsorted(starts, others, "right") - 1)
    if len(which) > len(values) // 10:
        return None
    if not all_match(values.take(pa.array(which)), Notation().pattern):
        return None
    try:
        return values.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:  # such as +3, which is a number nevertheless
        return None


def _used(notation: Notation, bare: Cells) -> bool:
    """Whether a mark of thousands that makes a notation other than plain is between digits."""
    return not notation.thousands or any_match(bare, f"[0-9]{_between(notation)}[0-9]")


def _between(notation: Notation) -> str:
    """What the mark of thousands matches."""
    return f"[{_SPACES}]" if notation.thousands == " " else "\\" + notation.thousands


def _marks(values: Cells) -> frozenset[str]:
    """The marks that are in some text."""
    every = (".", ",", "'", *_SPACES)
    if isinstance(values, list):
        text = "".join(values)
        return frozenset(mark for mark in every if mark in text)
    _, chars = raw(values)
    held, within = chars.tobytes(), chars.max(initial=0) < 128
    marks = (mark for mark in every if mark.isascii() or not within)
    return frozenset(mark for mark in marks if mark.encode() in held)
