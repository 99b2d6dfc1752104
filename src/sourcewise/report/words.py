"""Numbers and names as a reader wants them: rounded, signed, cleaned, shortened."""

import math
import unicodedata
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

__all__ = [
    "ABSENT",
    "clean",
    "decimals",
    "favours",
    "findings",
    "fixed",
    "interval",
    "number",
    "p_value",
    "phrase",
    "real",
    "reason",
    "sentence",
    "shorten",
    "signed",
    "table",
]

ABSENT = "–"

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clean(value: object) -> str:
    """Text on one line, without characters that HTML and XML cannot hold.

    >>> clean("a\\x00b\\nc"), clean(None)
    ('a\ufffdb c', '')
    """
    text = "" if value is None else str(value)
    return "".join("\ufffd" if _barred(c) else c for c in " ".join(text.split()))


def _barred(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cs") or c in "\ufffe\uffff"


def phrase(value: object) -> str:
    """A setting's value in words.

    >>> phrase(True), phrase(None), phrase(["a", "b"]), phrase(0.5), phrase([])
    ('yes', 'not set', 'a, b', '0.5', 'none')
    """
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(phrase(item) for item in value) or "none"
    if isinstance(value, float) and not math.isfinite(value):
        return "not set"
    return clean(value)


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
    while _width(text) > width:
        text = text[:-1]
    return text


def table(value: object) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one: a missing part of a result."""
    return value if isinstance(value, Mapping) else {}


def real(value: object) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def reason(record: Mapping[str, Any], *keys: str) -> str:
    """Why a number is absent: the neighbouring `KEY_reason`, or the record's `reason`."""
    names = [f"{key}_reason" for key in keys] + ["reason"]
    return next((clean(record[name]) for name in names if record.get(name)), "")


def number(value: object, digits: int = 3) -> str:
    """A number to some significant digits, without idle zeros; whole numbers in full.

    >>> number(-0.12345), number(1234), number(47.25), number(0.5), number(2.5e-7), number(None)
    ('−0.123', '1,234', '47.2', '0.5', '2.50×10⁻⁷', '–')
    """
    x = real(value)
    if x is None:
        return ABSENT
    if x == int(x) and abs(x) < 1e15:
        return fixed(x, 0)
    if not 1e-4 <= abs(x) < 1e9:
        mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    text = fixed(x, max(0, digits - 1 - math.floor(math.log10(abs(x)))))
    return text.rstrip("0").rstrip(".") if "." in text else text


def fixed(value: object, places: int) -> str:
    """A number with a fixed count of decimals, so that columns line up.

    >>> fixed(-0.5, 2), fixed(-0.001, 2), fixed(12345.6, 0)
    ('−0.50', '0.00', '12,346')
    """
    x = real(value)
    if x is None:
        return ABSENT
    text = f"{x:,.{places}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def signed(value: object, places: int) -> str:
    """A number with its sign, also when positive.

    >>> signed(0.8, 2), signed(-0.8, 1)
    ('+0.80', '−0.8')
    """
    text, x = fixed(value, places), real(value)
    return f"+{text}" if x is not None and x > 0 and text.strip("0.,") else text


def interval(low: object, high: object, places: int) -> str:
    """Two ends in words; empty if either is absent.

    >>> interval(-0.1, 1.5, 2), interval(None, 1.0, 2)
    ('−0.10 to 1.50', '')
    """
    if real(low) is None or real(high) is None:
        return ""
    return f"{fixed(low, places)} to {fixed(high, places)}"


def decimals(records: Iterable[Mapping[str, Any]]) -> int:
    """Decimals that suit a column of intervals: two digits of the median half-width.

    >>> decimals([{"low": 0.1, "high": 1.5}]), decimals([{"low": 0, "high": 0.01}]), decimals([])
    (2, 4, 3)
    """
    ends = [(real(record.get("low")), real(record.get("high"))) for record in records]
    halves = [(b - a) / 2 for a, b in ends if a is not None and b is not None and b > a]
    if not halves:
        return 3
    return min(6, max(0, 1 + math.ceil(-math.log10(median(halves)))))


def p_value(value: object) -> str:
    """A p-value to three decimals.

    >>> p_value(0.0123), p_value(1e-9), p_value(None)
    ('0.012', '< 0.001', '–')
    """
    x = real(value)
    if x is None:
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


def findings(strategy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What fitting found, by the diagnostics of a strategy: their names, values and words."""
    return [item for item in strategy.get("diagnostics") or [] if not item["setting"]]
