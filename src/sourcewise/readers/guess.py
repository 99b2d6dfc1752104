"""Which encoding bytes that are not UTF-8 may have, judged by what they would be as text.

A few words are too little for statistics of letters, but not for alphabets: under the right
encoding (nearly) every character beyond ASCII is a letter of one language, or a usual sign. Each
candidate's score is the share of them that are; the first with the best one is guessed.

- A capital after a small letter, or a sign within a word, does not count: Cyrillic in KOI8-R read
  as cp1251 has its cases swapped, and letters of DOS read as cp1252 become quotes. Nor do Greek or
  Cyrillic letters beside Latin ones. Of two that are as good, more small letters decide.
- Of Chinese, Japanese and Korean only common characters count: level 1 of their standards, kana
  and Hangul. Rare ones are what other encodings make of the bytes.
"""

import codecs
from collections.abc import Callable, Sequence

__all__ = ["likely"]

_WESTERN = (
    "äöüß",  # German
    "éèêëàâçîïôûùœæÿ",  # French
    "áéíóúüñ",  # Spanish
    "áâãàçéêíóôõú",  # Portuguese
    "àèéìòù",  # Italian
    "æøåéäö",  # Danish, Norwegian, Swedish, Finnish
    "áéíóúýðþæö",  # Icelandic
)
_CENTRAL = (
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "áéíóöőúüű",  # Hungarian
    "čćđšž",  # Croatian, Slovene
    "ăâîşţșț",  # Romanian
)
_CYRILLIC = ("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя")
_GREEK = ("αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋΐΰ",)
_SIGNS = frozenset("‘’“”„«»‹›–—…·•§°µ²³€£©®™½¼¾¿¡×№\xa0")
_ALONE, _LAST = frozenset("€£½¼¾×"), frozenset("§©®™")  # no letter beside them, none after them
_OF_LETTERS: dict[str, Sequence[str]] = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "iso8859-2": _CENTRAL,
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "cp1253": _GREEK,
    "cp1254": ("çğıöşüâîi\u0307",),  # Turkish
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp866": _CYRILLIC,
}


def _level_one(standard: str, first: int, last: int) -> Callable[[str], bool]:
    """Whether a character is among the common ones, by its first byte in a standard."""

    def test(character: str) -> bool:
        raw = character.encode(standard, "ignore")
        return len(raw) == 2 and first <= raw[0] <= last

    return test


def _kana(character: str) -> bool:
    return "\u3041" <= character <= "\u30fe"


_kanji, _hanzi = _level_one("euc_jp", 0xB0, 0xCF), _level_one("gb2312", 0xB0, 0xD7)
_OF_CHARACTERS: dict[str, Callable[[str], bool]] = {
    "euc_kr": lambda c: "\uac00" <= c <= "\ud7a3",
    "shift_jis": lambda c: _kana(c) or _kanji(c),
    "gb18030": _hanzi,
    "big5": _level_one("big5", 0xA4, 0xC6),
    "euc_jp": lambda c: _kana(c) or _kanji(c),
}
_WIDE = frozenset("、。「」，．：；！？（）《》〈〉・ー　")
# What no alphabet here fits may be in one of these, by the statistics of charset-normalizer.
_OTHERS = ("cp1255", "cp1256", "cp1257", "cp1258", "cp874")
ENOUGH, SMALL = 0.9, 1e-3
_SAMPLE = 1 << 15  # bytes that are looked at, from the first beyond ASCII


def likely(content: bytes) -> str:
    """The encoding that some bytes may have; "" if none fits.

    >>> [likely("Łódź, Kraków".encode(code)) for code in ("cp1250", "iso8859-2")]
    ['cp1250', 'iso8859-2']
    >>> likely("Größe".encode("mac_roman")), likely("これは".encode("shift_jis"))
    ('mac_roman', 'shift_jis')
    """
    if content.isascii():
        return ""
    sample = _sample(content)
    scores = {name: _score(sample, name) for name in (*_OF_LETTERS, *_OF_CHARACTERS)}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] > ENOUGH:
        return best
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=list(_OTHERS)).best()
    return "" if found is None else found.encoding


def _sample(content: bytes) -> bytes:
    """Whole lines from the first with a byte beyond ASCII."""
    first = next((i for i, byte in enumerate(content) if byte >= 0x80), 0)
    return content[content.rfind(b"\n", 0, first) + 1 :][:_SAMPLE]


def _score(sample: bytes, name: str) -> float:
    """The share of the characters beyond ASCII that are what texts in an encoding hold."""
    try:
        text = codecs.getincrementaldecoder(name)().decode(sample)  # the last one may be cut
    except UnicodeDecodeError:
        return 0.0
    beyond = [i for i, c in enumerate(text) if c >= "\x80"]
    if not beyond:
        return 0.0
    if name in _OF_CHARACTERS:
        test = _OF_CHARACTERS[name]
        return sum(text[i] in _WIDE or test(text[i]) for i in beyond) / len(beyond)
    padded = f" {text} "
    usual = [i for i in beyond if _usual(*padded[i : i + 3])]
    signs = sum(text[i] in _SIGNS for i in usual)
    letters = [text[i].lower() for i in usual if text[i] not in _SIGNS]
    spoken = max(sum(c in alphabet for c in letters) for alphabet in _OF_LETTERS[name])
    small = sum(text[i].islower() for i in usual)
    return (signs + spoken + SMALL * small) / len(beyond)


def _usual(before: str, character: str, after: str) -> bool:
    """Whether a character stands where one of its kind does."""
    if character in _ALONE:
        return not (before.isalpha() or after.isalpha())
    if character in _SIGNS:
        inside = after.isalpha() and (before.isalpha() or character in _LAST)
        return character == "’" or not inside
    mixed = character >= "Ͱ" and any(c.isascii() and c.isalpha() for c in (before, after))
    return not mixed and not (character.isupper() and before.islower())
