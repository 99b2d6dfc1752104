"""How the numbers of a column are written: marks of decimals and thousands, a currency, percent.

A *notation* is admitted by a column if every value reads as a number under it. Text such as
`1,234` admits two, a decimal comma and a thousands comma: other columns of the same file decide
(`decimal_mark`), or the user does.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sourcewise.readers.short import is_bare, raw

__all__ = ["Notation", "admitted", "all_match", "closest", "decimal_mark", "marked", "numbers"]

_SPACES = " \u00a0\u202f\u2009"
_CURRENCIES = ("$", "€", "£", "¥", "₹", "CHF", "EUR", "USD", "GBP", "kr", "zł")
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

    @property
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

    @property
    def pattern(self) -> str:
        """What a number without its sign matches (RE2)."""
        mark, digits = "\\" + self.decimal, "[0-9]+"
        if self.thousands:
            between = f"[{_SPACES}]" if self.thousands == " " else "\\" + self.thousands
            return f"^[+-]?[0-9]{{1,3}}({between}[0-9]{{3}})*({mark}[0-9]*)?$"
        whole = f"{digits}({_EXPONENT})?"
        broken = f"({digits}{mark}[0-9]*|{mark}{digits})([eE][+-]?[0-9]{{1,3}})?"
        return f"^[+-]?({whole}|{broken})$"


FEW = 30  # values that are asked one by one: a call of arrow takes as long
_MARKS = {",": "comma", ".": "point", " ": "space", "'": "apostrophe"}
_ALL = tuple(
    Notation(decimal, thousands)
    for thousands in ("", ",", ".", " ", "'")
    for decimal in (".", ",")
    if decimal != thousands
)


def admitted(values: pa.Array) -> tuple[Notation, ...]:
    """The notations under which every value is a number, the plainest first.

    >>> [notation.words for notation in admitted(pa.array(["75,1", "80"]))]
    ['decimal comma']
    >>> [notation.words for notation in admitted(pa.array(["€5.01", "€1,200.00"]))]
    ['thousands comma, €']
    >>> len(admitted(pa.array(["1,234", "2,581"])))
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
        if all_match(bare, notation.pattern) and _used(notation, bare)
    )


def closest(values: pa.Array, counts: np.ndarray, decimal: str | None) -> tuple[Notation, float]:
    """The notation under which most rows are numbers, and the share of rows that are.

    >>> closest(pa.array(["0,7", "<0,6", "12"]), np.array([5, 1, 2]), None)
    (Notation(decimal=',', thousands='', sign=''), 0.875)
    """
    bare = _tidy(values)
    shares = {}
    for notation in _ALL:
        if decimal in (None, notation.decimal):
            fits = pc.match_substring_regex(bare, pattern=notation.pattern)
            shares[notation] = float((fits.to_numpy(zero_copy_only=False) * counts).sum())
    best = max(shares, key=lambda notation: shares[notation])
    return best, shares[best] / max(int(counts.sum()), 1)


def decimal_mark(columns: Iterable[Sequence[Notation]]) -> str | None:
    """The one decimal mark of a file, by columns that admit one only; None if they disagree.

    Args:
        columns: what each admits, of columns whose numbers have marks.
    """
    marks = [{notation.decimal for notation in notations} for notations in columns]
    certain = {mark for found in marks if len(found) == 1 for mark in found}
    return certain.pop() if len(certain) == 1 else None


def numbers(values: pa.Array, notation: Notation) -> np.ndarray:
    """(n,) float64 of texts under a notation; NaN where it is none, inf where it is too large.

    Unlike `admitted`, it takes 11E6 as a number: whoever asks for numbers wants them.
    """
    bare, _ = _unsigned(_tidy(values), notation.sign)
    if notation == Notation() and (found := _as_programs_write(bare)) is not None:
        return found
    if notation.thousands:
        mark = f"[{_SPACES}]" if notation.thousands == " " else "\\" + notation.thousands
        bare = pc.replace_substring_regex(bare, pattern=mark, replacement="")
    if notation.decimal == ",":
        bare = pc.replace_substring(bare, pattern=",", replacement=".")
    fits = pc.match_substring_regex(bare, pattern=_NUMBER)
    bare = pc.replace_substring_regex(bare, pattern="^\\+", replacement="")
    bare = pc.if_else(fits, bare, pa.scalar(None, bare.type))
    return bare.cast(pa.float64()).to_numpy(zero_copy_only=False)


def marked(values: pa.Array) -> bool:
    """Whether some value holds a mark of decimals or thousands."""
    return any_match(values, "[0-9][.,'][0-9]")


def _tidy(values: pa.Array) -> pa.Array:
    """Without spaces around, with the ASCII minus and apostrophe."""
    if is_bare(values):
        return values
    bare = pc.replace_substring_regex(
        pc.utf8_trim_whitespace(values), pattern="^\u2212", replacement="-"
    )
    return pc.replace_substring(bare, pattern="\u2019", replacement="'")


def _unsigned(values: pa.Array, sign: str | None = None) -> tuple[pa.Array, str]:
    """Texts without the currency or percent that all of them have, and which that is."""
    for mark in ("%", *_CURRENCIES) if sign is None else (sign,) if sign else ():
        quoted = mark.replace("$", "\\$")
        gap = f"[{_SPACES}]?"
        after = f"^(.*[0-9.,]){gap}{quoted}$"
        before = f"^([+-]?){quoted}{gap}([+-]?[0-9.,].*)$"
        for pattern, bare in ((after, "\\1"), (before, "\\1\\2")):
            if mark == "%" and pattern is before:
                continue
            if all_match(values, pattern):
                return pc.replace_substring_regex(values, pattern=pattern, replacement=bare), mark
    return values, ""


def all_match(values: pa.Array, pattern: str) -> bool:
    """Whether all match; the first few are asked first, since most patterns fail at once."""
    matches = _whole(pattern)
    if len(values) and not matches(values[0].as_py()):
        return False
    if not all(map(matches, values.slice(1, FEW).to_pylist())):
        return False
    if len(values) <= FEW:
        return True
    if pattern == Notation().pattern and _as_programs_write(values) is not None:
        return True
    return bool(pc.all(pc.match_substring_regex(values, pattern=pattern)).as_py())


def any_match(values: pa.Array, pattern: str) -> bool:
    """Whether some match; again the first few are asked first."""
    if any(map(_whole(pattern), values.slice(0, FEW).to_pylist())):
        return True
    return bool(pc.any(pc.match_substring_regex(values, pattern=pattern)).as_py())


def _as_programs_write(values: pa.Array) -> np.ndarray | None:
    """(n,) float64 of texts that all match the plain notation; None if some do not, or may not.

    Texts of digits, a point and a minus need no pattern: what is no number among them is found as
    they become numbers, several times faster. Most that programs write are such.
    """
    starts, chars = raw(values)
    others = np.flatnonzero(chars - np.uint8(ord("-")) > ord("9") - ord("-"))
    which = np.unique(np.searchsorted(starts, others, "right") - 1)
    if len(which) > len(values) // 10:
        return None
    asked = pc.match_substring_regex(values.take(pa.array(which)), pattern=Notation().pattern)
    if not pc.all(asked).as_py():
        return None
    try:
        return values.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:  # such as +3, which is a number nevertheless
        return None


@cache
def _whole(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Of a pattern as Arrow reads it, where $ is the end and not before a last line end."""
    return re.compile(re.sub(r"\$$", r"\\Z", pattern)).search


def _used(notation: Notation, bare: pa.Array) -> bool:
    """Whether a mark of thousands that makes a notation other than plain is between digits."""
    if not notation.thousands:
        return True
    mark = f"[{_SPACES}]" if notation.thousands == " " else "\\" + notation.thousands
    return any_match(bare, f"[0-9]{mark}[0-9]")


def _marks(values: pa.Array) -> frozenset[str]:
    """The marks that are in some text."""
    _, chars = raw(values)
    held, ascii_only = chars.tobytes(), chars.max(initial=0) < 128
    marks = (mark for mark in (".", ",", "'", *_SPACES) if mark.isascii() or not ascii_only)
    return frozenset(mark for mark in marks if mark.encode() in held)
