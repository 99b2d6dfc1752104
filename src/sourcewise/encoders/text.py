"""Text <-> ids: a vocabulary of the characters in the training rows, or the 256 bytes of UTF-8.

Characters. Ids 1, ..., V - 1 are the characters that occur at least twice in the training rows of
all sources, id 0 is *unknown*: any other character. Those that occur once are unknown too, so a
model learns how often something new comes: Good and Turing estimate the probability of a new
symbol by the share of symbols that were seen once. An unknown id alone would give the probability
of a *set* of strings. Let U be the code points outside the vocabulary (of the 1 112 064 that are
characters). An unknown character is one of them, each equally likely:

    log p(x) = log p(z) - u(x) log |U|,    u(x) the number of unknown characters in x

which sums to 1 over all strings when p(z) does over all sequences of ids. The second term is the
`log_det`; it is the same for all strategies, so differences between them do not depend on it.

Bytes need no unknown: id = byte, V = 256. Ids that are no UTF-8 decode to U+FFFD.

V does not count the end of the sequence: families add it, and sizes count it as one symbol.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import typed
from sourcewise.encoders.base import Coding, Document, Encoder, Sizes, Unknown
from sourcewise.forms import Ragged, X
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.options import LONGEST, Symbols, TextOptions
from sourcewise.screening.text import as_text, refuse_long, symbols_of

__all__ = [
    "CHARACTERS",
    "Point",
    "TextCoding",
    "TextEncoder",
    "increasing",
    "look_up",
    "plan",
]

CHARACTERS = 0x110000 - 0x800  # code points without the surrogates
_REPLACEMENT = 0xFFFD


def plan(screened: Screened, options: TextOptions | None = None) -> "TextCoding":
    """The coding of a sample of text."""
    options = options or TextOptions()
    return TextCoding(options.symbols, options.longest)


@dataclass(frozen=True)
class TextCoding(Coding):
    """How text is encoded; scores are per symbol."""

    unit = "symbol"

    symbols: Symbols = "characters"  # "characters" or "bytes"
    longest: int = LONGEST  # the longest example that is taken, in symbols

    def prepare(self, x: X, noise: ExampleNoise | None = None) -> Ragged:
        """Code points or bytes; checks that x is text and no example longer than `longest`."""
        text = as_text(x)
        refuse_long(text, self.symbols, self.longest)
        if self.symbols == "characters":
            return text
        raw = bytearray()
        for string in text.texts():
            raw += string.encode()
        codes = torch.frombuffer(raw or bytearray(1), dtype=torch.uint8)
        lengths = symbols_of(text, "bytes")
        return Ragged(codes, lengths.cumsum(0) - lengths, lengths, torch.arange(256))

    def fit(self, rows: Ragged, y: Tensor, K: int) -> "TextEncoder":
        """Choose the vocabulary: characters that occur at least twice in these rows."""
        if self.symbols == "bytes":
            return TextEncoder("bytes")
        points = rows.alphabet[rows.counts() > 1]
        return TextEncoder("characters", tuple(sorted(points.tolist())))

    def sizes(self, x: X) -> Tensor:
        """(n,) float64 symbols of each example, the end of the sequence included."""
        return symbols_of(as_text(x), self.symbols).double() + 1


@dataclass(frozen=True)
class TextEncoder(Encoder):
    """Characters or bytes <-> ids; shared by all strategies.

    >>> rows = Ragged.of_strings(["abba", "axa"])
    >>> encoder = TextCoding().fit(rows, torch.tensor([0, 1]), 2)
    >>> z, log_det = encoder.encode(rows, torch.tensor([0, 1]))
    >>> encoder.sizes, z.take(torch.tensor([1])).values.tolist(), encoder.decode(z).strings()
    ({'vocabulary': 3}, [1, 0, 1], ['abba', 'a\ufffda'])
    """

    symbols: Symbols  # "characters" or "bytes"
    vocabulary: tuple[int, ...] = ()  # increasing code points of ids 1, ..., V - 1; () for bytes

    @property
    def sizes(self) -> Sizes:
        """`vocabulary`: V, the number of different ids, without the end of the sequence."""
        return {"vocabulary": 256 if self.symbols == "bytes" else len(self.vocabulary) + 1}

    @property
    def coding(self) -> TextCoding:
        """The coding that it was fitted under."""
        return TextCoding(self.symbols)

    def encode(self, rows: Ragged, y: Tensor) -> tuple[Ragged, Tensor]:
        """Ids of the same lengths, and (n,) `-u(x) log |U|`."""
        if self.symbols == "bytes":
            return rows, torch.zeros(len(rows), dtype=torch.float64)
        ids = look_up(rows.alphabet, self.vocabulary) + 1
        outside = torch.tensor(CHARACTERS - len(self.vocabulary), dtype=torch.float64)
        return replace(rows, alphabet=ids), -rows.sums(ids == 0) * outside.log()

    def decode(self, z: Ragged | Tensor) -> Ragged:
        """Ids (ragged, or padded (n, T) with -1) to code points, unknown ones to U+FFFD."""
        z = Ragged.of_padded(z) if isinstance(z, Tensor) else z
        if self.symbols == "bytes":
            raw = bytes(z.values.tolist())
            ends = z.offsets.tolist()
            parts = [raw[a:b] for a, b in pairwise(ends)]
            return Ragged.of_strings(part.decode("utf-8", "replace") for part in parts)
        points = torch.tensor([_REPLACEMENT, *self.vocabulary], device=z.device)
        return replace(z, alphabet=points[z.alphabet])

    def unknown(self, rows: Ragged) -> Unknown | None:
        """Characters that are not in the vocabulary."""
        if self.symbols == "bytes":
            return None
        counts = rows.counts()
        strange = (look_up(rows.alphabet, self.vocabulary) < 0) & (counts > 0)
        found = tuple(map(chr, sorted(rows.alphabet[strange].tolist())))
        return Unknown(int(counts[strange].sum()), int(counts.sum()), found) if found else None

    def to_json(self) -> Document:
        """All of it as plain values."""
        vocabulary = "".join(map(chr, self.vocabulary))
        return {"kind": "text", "symbols": self.symbols, "vocabulary": vocabulary}

    @classmethod
    def from_json(cls, document: Document) -> "TextEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        points = tuple(map(ord, found.vocabulary))
        if not increasing(points, len(points)):
            raise ValueError("the vocabulary is not in order")
        return cls(found.symbols, points)


@dataclass(frozen=True)
class _Written:
    """The document of a `TextEncoder`."""

    symbols: Symbols
    vocabulary: str


Point = Annotated[int, Field(ge=0, lt=0x110000)]  # of Unicode


def increasing(points: Sequence[int], count: int) -> bool:
    """Whether there are so many code points, each larger than the one before."""
    return len(points) == count and all(a < b for a, b in pairwise(points))


def look_up(values: Tensor, alphabet: Sequence[int]) -> Tensor:
    """The place of each value in an increasing alphabet, -1 where it is not in it."""
    if not len(alphabet):
        return torch.full_like(values, -1)
    known = torch.tensor(alphabet, dtype=torch.int64, device=values.device)
    at = torch.searchsorted(known, values).clamp(max=len(alphabet) - 1)
    return torch.where(known[at] == values, at, -1)
