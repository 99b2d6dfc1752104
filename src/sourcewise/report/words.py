"""Numbers and names as a reader wants them: rounded, signed, cleaned, shortened."""

import math
import unicodedata
from collections.abc import Iterable
from statistics import median

from sourcewise.errors import visible
from sourcewise.results.comparison import BetaHat, Difference, Level, Term
from sourcewise.results.families import Ahead, FamilyLevel

__all__ = [
    "ABSENT",
    "clean",
    "decimals",
    "favours",
    "fixed",
    "interval",
    "number",
    "p_value",
    "phrase",
    "sentence",
    "shorten",
    "signed",
]

ABSENT = "–"
Ends = Level | Difference | Term | BetaHat | FamilyLevel | Ahead  # has an interval

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clean(value: object) -> str:
    """Text on one line, in which nothing hides or turns the line around.

    >>> print(clean("a\\x00b\\nc"))
    a\\x00b\\nc
    """
    return "" if value is None else visible(str(value)).strip()


def phrase(value: object) -> str:
    """A setting's value in words.

    >>> phrase(True), phrase(None), phrase(["a", "b"]), phrase(0.5), phrase({})
    ('yes', 'not set', 'a, b', '0.5', 'not set')
    """
    if value is None or value == "" or value == {}:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(phrase(item) for item in value) or "none"
    if isinstance(value, float) and not math.isfinite(value):
        return "not set"
    return str(value)


def sentence(text: str) -> str:
    """With a capital and a full stop.

    >>> sentence("pooled is better"), sentence("Done."), sentence("")
    ('Pooled is better.', 'Done.', '')
    """
    stop = "" if text.endswith((".", "!", "?", "…")) or not text else "."
    return text[:1].upper() + text[1:] + stop


def shorten(text: str, width: int) -> str:
    """Cut the middle out of a long name; East Asian wide characters count twice.

    >>> shorten("hospital_north_2019", 12), shorten("short", 12)
    ('hospit…_2019', 'short')
    """
    if _width(text) <= width:
        return text
    tail = _cut(text[::-1], (width - 1) // 2)[::-1]
    return f"{_cut(text, width - 1 - (width - 1) // 2)}…{tail}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, width: int) -> str:
    """The longest beginning that is so wide."""
    for i, c in enumerate(text):
        width -= _width(c)
        if width < 0:
            return text[:i]
    return text


def number(x: float | None, digits: int = 3) -> str:
    """A number to some significant digits, without idle zeros; whole numbers in full.

    >>> number(-0.12345), number(1234), number(47.25), number(0.5), number(2.5e-7), number(None)
    ('−0.123', '1,234', '47.2', '0.5', '2.50×10⁻⁷', '–')
    """
    if x is None or not math.isfinite(x):
        return ABSENT
    if x == int(x) and abs(x) < 1e15:
        return fixed(x, 0)
    if not 1e-4 <= abs(x) < 1e9:
        mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    text = fixed(x, max(0, digits - 1 - math.floor(math.log10(abs(x)))))
    return text.rstrip("0").rstrip(".") if "." in text else text


def fixed(x: float | None, places: int) -> str:
    """A number with a fixed count of decimals, so that columns line up.

    >>> fixed(-0.5, 2), fixed(-0.001, 2), fixed(12345.6, 0)
    ('−0.50', '0.00', '12,346')
    """
    if x is None or not math.isfinite(x):
        return ABSENT
    text = f"{x:,.{places}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def signed(x: float | None, places: int) -> str:
    """A number with its sign, also when positive.

    >>> signed(0.8, 2), signed(-0.8, 1)
    ('+0.80', '−0.8')
    """
    text = fixed(x, places)
    return f"+{text}" if x is not None and x > 0 and text.strip("0.,–") else text


def interval(ends: Ends, places: int) -> str:
    """Two ends in words; empty if either is absent.

    >>> interval(Level(0.7, -0.1, 1.5), 2), interval(Level(0.7, None, None), 2)
    ('−0.10 to 1.50', '')
    """
    if ABSENT in (low := fixed(ends.low, places), high := fixed(ends.high, places)):
        return ""
    return f"{low} to {high}"


def decimals(records: Iterable[Ends]) -> int:
    """Decimals that suit a column of intervals: two digits of the median half-width.

    >>> decimals([Level(0.8, 0.1, 1.5)]), decimals([Level(0.0, 0.0, 0.01)]), decimals([])
    (2, 4, 3)
    """
    widths = [(d.high - d.low) / 2 for d in records if d.low is not None and d.high is not None]
    halves = [width for width in widths if width > 0 and math.isfinite(width)]
    if not halves:
        return 3
    return min(6, max(0, 1 + math.ceil(-math.log10(median(halves)))))


def p_value(x: float | None) -> str:
    """A p-value to three decimals.

    >>> p_value(0.0123), p_value(1e-9), p_value(None)
    ('0.012', '< 0.001', '–')
    """
    if x is None or not math.isfinite(x):
        return ABSENT
    return "< 0.001" if x < 0.0005 else f"{x:.3f}"


def favours(verdict: str, strategy: str, baseline: str) -> str:
    """A verdict word, with the names where they are not the usual two.

    >>> favours("pool", "pooled", "separate"), favours("pool", "groups", "separate")
    ('pool', 'favours groups')
    """
    if verdict == "pool" and strategy != "pooled":
        return f"favours {strategy}"
    if verdict == "separate" and baseline != "separate":
        return f"favours {baseline}"
    return verdict
