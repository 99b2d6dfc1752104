"""The same words written in several ways: nothing is changed, but each way is pointed out.

A model tells sources apart by how they are written, so a difference between Unicode's normal
forms, line ends or encodings can decide a verdict that should be about words.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from sourcewise.errors import counted, phrases, shortened
from sourcewise.forms import Ragged

__all__ = ["alike_names", "line_ends_of_files", "two_forms", "ways_of_texts"]

_SHOWN = 3
_FORMS = "as by unicodedata.normalize('NFC', text)"
_TELLS = "models can tell sources apart by that; make them one"
# What é, a space that does not break, and an apostrophe become if UTF-8 is read as cp1252.
_BROKEN = re.compile("Ã[\u0080-\u00bfŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]|Â[\u00a0-\u00bf]|â€")
_Test = Callable[[str], object]
_LETTERS: dict[str, _Test] = {  # of texts beyond ASCII
    "composed": lambda text: (
        unicodedata.is_normalized("NFC", text) and not unicodedata.is_normalized("NFD", text)
    ),
    "decomposed": lambda text: not unicodedata.is_normalized("NFC", text),
    "broken": lambda text: ("Ã" in text or "Â" in text or "â" in text) and _BROKEN.search(text),
}
_ENDS: dict[str, _Test] = {  # of texts of several lines
    "crlf": lambda text: "\r\n" in text,
    "lf": lambda text: "\r" not in text,
}


def alike_names(names: Sequence[str], rows: Sequence[int]) -> tuple[str, ...]:
    """A note of sources whose names differ only by case, space or Unicode normal form.

    >>> alike_names(["Site A", "site a ", "B"], [12, 1, 9])[0]
    "sources 'Site A' (12 rows) and 'site a ' (1 row) differ only by case, space or Unicode \
normal form: if they are one, give them one name"
    """
    plain: dict[str, list[int]] = defaultdict(list)
    for k, name in enumerate(names):
        if rows[k]:
            plain[" ".join(_composed(_composed(name).casefold()).split())].append(k)
    pairs = []
    for same in plain.values():
        shown = _apart([names[k] for k in same])
        told = (f"{s} ({counted(rows[k], 'row')})" for s, k in zip(shown, same, strict=True))
        pairs += [" and ".join(told)] if len(same) > 1 else []
    how = "differ only by case, space or Unicode normal form: if they are one, give them one name"
    return (f"sources {phrases(pairs, _SHOWN)} {how}",) if pairs else ()


def two_forms(column: str, levels: Sequence[str]) -> tuple[str, ...]:
    """A note of categories that are one text in two Unicode normal forms.

    >>> print(*two_forms("city", ["Ko\u0308ln", "Bonn", "Köln"]))
    column 'city': 'Ko\\u0308ln' and 'K\\xf6ln' are one text in two Unicode normal forms: make \
them one, as by unicodedata.normalize('NFC', text)
    """
    same: dict[str, list[str]] = defaultdict(list)
    for text in levels:
        if not text.isascii():
            same[_composed(text)].append(text)
    pairs = [" and ".join(_apart(texts)) for texts in same.values() if len(texts) > 1]
    how = f"are one text in two Unicode normal forms: make them one, {_FORMS}"
    return (f"column {column!r}: {phrases(pairs, _SHOWN)} {how}",) if pairs else ()


def ways_of_texts(x: Ragged, y: Tensor, names: Sequence[str]) -> tuple[str, ...]:
    """Notes of Unicode normal forms and line ends that differ, and of broken encodings.

    >>> print(*ways_of_texts(Ragged.of_strings(["é", "e\u0301"]), torch.tensor([0, 1]), "ab"))
    Unicode normal forms differ: composed (NFC) in 'a' (1 of 1 text), decomposed (NFD) in 'b' \
(1 of 1 text): models can tell sources apart by that; make them one, as by \
unicodedata.normalize('NFC', text)
    """
    telling = (x.alphabet > 0x7F) | (x.alphabet == ord("\n"))
    rows = x.sums(telling).nonzero().squeeze(1)
    totals = dict(enumerate(torch.bincount(y).tolist()))
    ways = _ways(x.take(rows).texts(), y[rows].tolist(), totals, names, "text")
    notes = []
    if ways["composed"] and ways["decomposed"]:
        notes.append(
            f"Unicode normal forms differ: composed (NFC) in {ways['composed']}, decomposed (NFD) "
            f"in {ways['decomposed']}: {_TELLS}, {_FORMS}"
        )
    if ways["broken"]:
        notes.append(f"UTF-8 was once read as cp1252 (Ã© for é) in {ways['broken']}: {_TELLS}")
    if ways["crlf"] and ways["lf"]:
        notes.append(f"line ends differ: \\r\\n in {ways['crlf']}, \\n in {ways['lf']}: {_TELLS}")
    return tuple(notes)


def line_ends_of_files(
    ends: Sequence[str], sources: Sequence[int], names: Sequence[str]
) -> tuple[str, ...]:
    """A note of files whose lines end differently, by an end of each file.

    >>> print(*line_ends_of_files(["\\r\\n", "\\n"], [0, 1], "ab"))
    line ends differ: \\r\\n in 'a' (1 of 1 file), \\n in 'b' (1 of 1 file): all are read as \\n
    """
    ways = _ways(ends, sources, Counter(sources), names, "file")
    told = f"line ends differ: \\r\\n in {ways['crlf']}, \\n in {ways['lf']}: all are read as \\n"
    return (told,) if ways["crlf"] and ways["lf"] else ()


def _ways(
    texts: Iterable[str],
    sources: Iterable[int],
    totals: Mapping[int, int],
    names: Sequence[str],
    what: str,
) -> dict[str, str]:
    """Where texts are written in each way: the sources with most of them, and how many."""
    found = {way: Counter() for way in (*_LETTERS, *_ENDS)}
    for text, k in zip(texts, sources, strict=True):
        for tests in ({} if text.isascii() else _LETTERS, _ENDS if "\n" in text else {}):
            for way, test in tests.items():
                if test(text):
                    found[way][k] += 1

    def told(counts: Counter[int]) -> str:
        each = [
            f"{shortened(repr(names[k]))} ({n} of {counted(totals[k], what)})"
            for k, n in counts.most_common()
        ]
        return phrases(each, _SHOWN)

    return {way: told(counts) for way, counts in found.items()}


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _apart(texts: Sequence[str]) -> list[str]:
    """Texts as messages show them, as ASCII where two would look the same."""
    seen = Counter(map(_composed, texts))
    shown = (ascii(text) if seen[_composed(text)] > 1 else repr(text) for text in texts)
    return [shortened(text) for text in shown]
