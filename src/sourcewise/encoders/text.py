"""Text <-> ids: a vocabulary of the characters in the training rows, or the 256 bytes of UTF-8.

Characters. Ids 1, ..., V - 1 are the characters that occur at least twice in the training rows of
all sources, id 0 is *unknown*: any other character. Those that occur once are unknown too, so a
model learns how often something new comes: Good and Turing estimate the probability of a new
symbol by the share of symbols that were seen once. An unknown id alone would give the probability
of a *set* of strings. Let U be the code points outside the vocabulary (of the 1 112 064 that are
characters). An unknown character is one of them, each equally likely:

    log p(x) = log p(z) - u(x) log |U|,    u(x) the number of unknown characters in x

which sums to 1 over all strings when p(z) does over all sequences of ids. The second term is the
`log_det`; it is the same for all arms, so differences between arms do not depend on it.

Bytes need no unknown: id = byte, V = 256. Ids that are no UTF-8 decode to U+FFFD.

V does not count the end of the sequence: families add it, and sizes count it as one symbol.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from torch import Tensor

from sourcewise.encoders.screening import Screened
from sourcewise.errors import InputError, listing
from sourcewise.forms import Column, Ragged, X
from sourcewise.randomness import ExampleNoise
from sourcewise.sources import Sources
from sourcewise.splits import identical

__all__ = [
    "CHARACTERS",
    "LONGEST",
    "Symbols",
    "TextCoding",
    "TextEncoder",
    "screen",
    "screen_text",
]

Symbols = Literal["characters", "bytes"]
CHARACTERS = 0x110000 - 0x800  # code points without the surrogates
LONGEST = 2048
_REPLACEMENT = 0xFFFD


@dataclass(frozen=True)
class TextCoding:
    """How text is encoded; scores are per symbol.

    Args:
        symbols: "characters" or "bytes".
        longest: the longest example that is taken, in symbols.
    """

    symbols: Symbols = "characters"
    longest: int = LONGEST
    variables: int = field(default=1, init=False)
    unit: str = field(default="symbol", init=False)
    columns: tuple[Column, ...] = field(default=(), init=False)

    def lift(self, x: X, noise: ExampleNoise | None = None) -> Ragged:
        """Code points or bytes; checks that x is text and no example longer than `longest`."""
        text = _text(x)
        rows = text if self.symbols == "characters" else _utf8(text)
        long = (rows.lengths > self.longest).nonzero().squeeze(1)
        if len(long):
            first, more = int(long[0]), f" (and {len(long) - 1} more rows)" * (len(long) > 1)
            raise InputError(
                f"row {first + 1}{more} holds {int(rows.lengths[first])} {self.symbols}, at most "
                f"{self.longest} are modelled: --chunk {self.longest // 2} cuts longer texts when "
                "they are read; --set longest=N takes them whole"
            )
        return rows

    def fit(self, rows: Ragged, y: Tensor, K: int) -> "TextEncoder":
        """Choose the vocabulary: characters that occur at least twice in these rows.

        Args:
            rows: the training rows of all sources, lifted.
            y: (n,) their sources.
            K: number of sources.
        """
        if self.symbols == "bytes":
            return TextEncoder("bytes")
        points, counts = rows.values.unique(return_counts=True)
        return TextEncoder("characters", tuple(points[counts > 1].tolist()))

    def sizes(self, x: X) -> Tensor:
        """(n,) float64 symbols of each example, the end of the sequence included."""
        text = _text(x)
        lengths = text.lengths if self.symbols == "characters" else _utf8_lengths(text)
        return lengths.double() + 1


@dataclass(frozen=True)
class TextEncoder:
    """Characters or bytes <-> ids; shared by all arms.

    >>> rows = Ragged.of_strings(["abba", "axa"])
    >>> encoder = TextCoding().fit(rows, torch.tensor([0, 1]), 2)
    >>> z, log_det = encoder.encode(rows, torch.tensor([0, 1]))
    >>> encoder.sizes, z.take(torch.tensor([1])).values.tolist(), encoder.decode(z).strings()
    ({'vocabulary': 3}, [1, 0, 1], ['abba', 'a\ufffda'])

    Args:
        symbols: "characters" or "bytes".
        vocabulary: the code points of ids 1, ..., V - 1, increasing; () for bytes.
    """

    symbols: Symbols
    vocabulary: tuple[int, ...] = ()

    @property
    def sizes(self) -> dict[str, Any]:
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
        ids = look_up(rows.values, self.vocabulary) + 1
        outside = torch.tensor(CHARACTERS - len(self.vocabulary), dtype=torch.float64)
        return Ragged(ids, rows.offsets), -_sums(ids == 0, rows) * outside.log()

    def fill(self, z: Ragged, rows: Ragged, y: Tensor) -> Ragged:
        """The ids as they are: text has no gaps."""
        return z

    def decode(self, z: Ragged | Tensor) -> Ragged:
        """Ids (ragged, or padded (n, T) with -1) to code points, unknown ones to U+FFFD."""
        z = Ragged.of_padded(z) if isinstance(z, Tensor) else z
        if self.symbols == "bytes":
            raw = bytes(z.values.tolist())
            ends = z.offsets.tolist()
            parts = [raw[a:b] for a, b in pairwise(ends)]
            return Ragged.of_strings(part.decode("utf-8", "replace") for part in parts)
        points = torch.tensor([_REPLACEMENT, *self.vocabulary], device=z.values.device)
        return Ragged(points[z.values], z.offsets)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        vocabulary = "".join(map(chr, self.vocabulary))
        return {"kind": "text", "symbols": self.symbols, "vocabulary": vocabulary}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "TextEncoder":
        """The inverse of `to_json`."""
        return cls(document["symbols"], tuple(map(ord, document["vocabulary"])))


def look_up(values: Tensor, alphabet: Sequence[int]) -> Tensor:
    """The place of each value in an increasing alphabet, -1 where it is not in it."""
    if not len(alphabet):
        return torch.full_like(values, -1)
    known = torch.tensor(alphabet, dtype=torch.int64, device=values.device)
    at = torch.searchsorted(known, values).clamp(max=len(alphabet) - 1)
    return torch.where(known[at] == values, at, -1)


def screen(
    data: Sources,
    *,
    min_rows: int = 10,
    missing: str = "refuse",
    log: Sequence[str] = (),
    settings: object = None,
) -> Screened:
    """Check a sample of text and choose its coding.

    Args:
        data: the sample; x must be text.
        min_rows: sources with fewer rows are not tested.
        missing: text has no missing values: anything but "refuse" is refused.
        log: for columns of numbers: refused.
        settings: of the family, if it has any: `symbols`, "characters" or "bytes"; `longest`.

    Raises:
        InputError: no text, an example that is too long, an option that does not apply.
    """
    refuse_table_options("text", missing, log)
    symbols = cast(Symbols, getattr(settings, "symbols", "characters"))
    coding = TextCoding(symbols, getattr(settings, "longest", LONGEST))
    coding.lift(data.x)
    return Screened(data, warnings=screen_text(data, min_rows), coding=coding)


def refuse_table_options(what: str, missing: str, log: Sequence[str]) -> None:
    """Raise if an option that is for columns of a table was given."""
    used = [f"--missing {missing}"] if missing != "refuse" else []
    used += [f"--log {','.join(log)}"] if log else []
    if used:
        raise InputError(f"options that do not apply to {what}: {listing(used)}")


def screen_text(data: Sources, min_rows: int) -> list[str]:
    """Warnings about text that a model may trip over; nothing is left out.

    Args:
        data: the sample; x must be text.
        min_rows: sources with fewer rows are not tested.
    """
    x = _text(data.x)
    edges = "" if data.group_by == ("document",) else _edges(x)  # chunks end anywhere
    warnings = [_empty(x), edges, _repeated(data, x), *_narrow(data, x, min_rows)]
    return [warning for warning in warnings if warning]


def _empty(x: Ragged) -> str:
    count = int((x.lengths == 0).sum())
    return f"{count} of {len(x)} texts are empty" if count else ""


def _edges(x: Ragged) -> str:
    """White space at an end is modelled as any other character, and often an accident."""
    some = x.take(x.lengths > 0)
    spaces = torch.tensor([i for i in range(0x3001) if chr(i).isspace()])
    first, last = some.values[some.offsets[:-1]], some.values[some.offsets[1:] - 1]
    count = int((torch.isin(first, spaces) | torch.isin(last, spaces)).sum())
    told = "texts begin or end with white space, which is modelled like any other character"
    return f"{count} of {len(x)} {told}" if count else ""


def _repeated(data: Sources, x: Ragged) -> str:
    same = identical(x)
    counts = torch.bincount(same)
    repeated = len(same) - len(counts)
    if repeated < len(x) / 10:
        return ""
    if data.group is not None:
        kept = f"the {len(data.units.unique())} groups alone are kept together"
    else:
        kept = "identical texts are kept together"
    most = x.take((same == counts.argmax()).nonzero()[0]).strings()[0]
    shown = f"{most[:30]!r}{' ...' if len(most) > 30 else ''}, {int(counts.max())} times"
    return f"{repeated} of {len(x)} texts repeat another one (most often {shown}); {kept}"


def _narrow(data: Sources, x: Ragged, min_rows: int) -> list[str]:
    """Sources that are tested with few different texts, or with hardly any text."""
    same, out = identical(x), []
    for what, poor in (
        ("fewer than {} different texts in", lambda rows: len(same[rows].unique()) < min_rows),
        ("no characters at all in", lambda rows: not int(x.lengths[rows].sum())),
    ):
        tested = [k for k in range(data.K) if int(data.counts[k]) >= min_rows]
        found = [repr(data.names[k]) for k in tested if poor((data.y == k).nonzero().squeeze(1))]
        if found:
            out.append(f"{what.format(min_rows)} {listing(found, 5)}")
    return out


def _text(x: X) -> Ragged:
    if not isinstance(x, Ragged):
        raise InputError("the examples are no text: name a column of text with --text COLUMN")
    bad = (x.values >= 0xD800) & (x.values <= 0xDFFF) | (x.values < 0) | (x.values > 0x10FFFF)
    if bool(bad.any()):
        raise InputError(f"the examples are no text: {int(x.values[bad][0])} is no character")
    return x


def _sums(entries: Tensor, rows: Ragged) -> Tensor:
    """(n,) float64 sums over each sequence of one number per entry."""
    total = torch.cat([torch.zeros(1, dtype=torch.int64), entries.long().cpu().cumsum(0)])
    return total[rows.offsets].diff().double()


def _bytes_each(points: Tensor) -> Tensor:
    return 1 + (points >= 0x80).long() + (points >= 0x800).long() + (points >= 0x10000).long()


def _utf8_lengths(x: Ragged) -> Tensor:
    return _sums(_bytes_each(x.values), x).long()


def _utf8(x: Ragged) -> Ragged:
    ends = torch.cat([torch.zeros(1, dtype=torch.int64), _utf8_lengths(x).cumsum(0)])
    raw = bytearray("".join(x.strings()).encode())
    values = torch.frombuffer(raw, dtype=torch.uint8) if raw else torch.empty(0)
    return Ragged(values.long(), ends)
