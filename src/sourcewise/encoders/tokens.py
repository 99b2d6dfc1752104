"""Rows of D symbols from {0, ..., M - 1}: what the paper's autoregressive model takes.

x is a matrix of small whole numbers, a table of such columns, or text of equal lengths over a
fixed alphabet, such as DNA. M, D and the alphabet are those of the whole sample: they are its
schema, as the levels of a category are, and nothing is fitted. The code is one to one on the
sample's alphabet, so `log p(x) = log p(z)`.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sourcewise.documents import Size, typed
from sourcewise.encoders.base import (
    CodedColumn,
    Coding,
    Document,
    Encoder,
    Sizes,
    Strange,
    TensorRows,
    each_once,
)
from sourcewise.encoders.text import Point, increasing, look_up
from sourcewise.errors import InputError
from sourcewise.forms import Column, Ragged, Table, X
from sourcewise.randomness import ExampleNoise
from sourcewise.screening.base import Screened
from sourcewise.screening.tokens import (
    MOST_SYMBOLS,
    alphabet_of,
    refuse_other_lengths,
    whole_numbers,
)

__all__ = ["TokenCoding", "TokenEncoder", "plan"]


def plan(screened: Screened) -> "TokenCoding":
    """The coding of a sample of symbols."""
    return TokenCoding.of(screened.data.x)


@dataclass(frozen=True)
class TokenCoding(Coding):
    """How rows of symbols are encoded; scores are per row.

    >>> coding = TokenCoding.of(Ragged.of_strings(["ACGT", "AACC"]))
    >>> coding.M, coding.D, coding.prepare(Ragged.of_strings(["GATT"])).values.tolist()
    (4, 4, [2, 0, 3, 3])
    """

    M: int  # number of symbols
    D: int  # length of a row
    alphabet: tuple[int, ...] | None = None  # increasing code points of text; None for numbers
    columns: tuple[Column, ...] = ()  # the named columns of a table

    @classmethod
    def of(cls, x: X) -> "TokenCoding":
        """The coding for a sample; errors are those of `alphabet_of`."""
        found = alphabet_of(x)
        return cls(found.M, found.D, found.points, x.schema if isinstance(x, Table) else ())

    @property
    def variables(self) -> int:
        """D."""
        return self.D

    @property
    def alphabet_size(self) -> int:
        """M."""
        return self.M

    @property
    def coded_columns(self) -> tuple[CodedColumn, ...]:
        """The columns, if it was a table."""
        facts = ("name", "kind", "categories")
        return tuple(CodedColumn(column.name, column.kind, facts=facts) for column in self.columns)

    def strange(self, x: X) -> list[Strange]:
        """Symbols outside the alphabet."""
        ids = self._ids(x)
        rows, at = self._outside(ids).nonzero().unbind(1)
        if self.alphabet is None:
            values, written = ids[rows, at], str
        else:
            assert isinstance(x, Ragged)
            values, written = x.values.reshape(len(x), self.D)[rows, at], chr
        each = each_once(values, rows)
        return [Strange("symbol", None, written(v), r.unique_consecutive()) for v, r in each]

    def prepare(self, x: X, noise: ExampleNoise | None = None) -> TensorRows | Ragged:
        """The symbols' ids, (n, D); of text as sequences, that are held in few bytes."""
        if self.alphabet is None:
            rows = self._ids(x)
            bad = self._outside(rows).any(1).nonzero()[:1, 0].tolist()
        else:
            text = self._text(x)
            places = look_up(text.alphabet, self.alphabet)
            rows, bad = replace(text, alphabet=places), list(text.first(places < 0) or ())
        if bad:
            told = f"{{row}} holds a symbol that is not among the {self.M} known"
            raise InputError(told, bad[0])
        return TensorRows(rows) if isinstance(rows, Tensor) else rows

    def _outside(self, ids: Tensor) -> Tensor:
        """Where there is no symbol."""
        return (ids < 0) | (ids >= self.M)

    def _ids(self, x: X) -> Tensor:
        """(n, D) int64, outside 0..M - 1 where there is no symbol."""
        if self.alphabet is not None:
            return look_up(self._text(x).values, self.alphabet).reshape(len(x), self.D)
        ids = whole_numbers(x)
        if ids.shape[1] != self.D:
            raise InputError(f"rows of {ids.shape[1]} symbols, not {self.D}")
        return ids

    def _text(self, x: X) -> Ragged:
        """Text of D symbols a row; anything else is refused."""
        if not isinstance(x, Ragged):
            raise InputError("the examples are no text, as those of this model were")
        refuse_other_lengths(x, self.D)
        return x

    def fit(self, rows: TensorRows | Ragged, y: Tensor, K: int) -> "TokenEncoder":
        """Nothing is fitted."""
        return TokenEncoder(self)


@dataclass(frozen=True)
class TokenEncoder(Encoder):
    """Symbols <-> ids; see `TokenCoding`."""

    tokens: TokenCoding

    @property
    def coding(self) -> TokenCoding:
        """The coding that it was fitted under."""
        return self.tokens

    @property
    def sizes(self) -> Sizes:
        """`M` symbols, `D` positions."""
        return {"M": self.tokens.M, "D": self.tokens.D}

    def encode(self, rows: TensorRows | Ragged, y: Tensor) -> tuple[Tensor, Tensor]:
        """(n, D) int64 ids, and (n,) zeros: ids are the rows themselves."""
        ids = rows.values.reshape(len(rows), self.tokens.D)
        return ids, torch.zeros(len(rows), dtype=torch.float64)

    def decode(self, z: Tensor) -> X:
        """Back to a matrix, a table or text, as the sample was."""
        alphabet, columns = self.tokens.alphabet, self.tokens.columns
        if alphabet is not None:
            lengths = torch.full((len(z),), self.tokens.D)
            starts = lengths.cumsum(0) - lengths
            return Ragged(z.flatten(), starts, lengths, torch.tensor(alphabet, device=z.device))
        if not columns:
            return z
        return Table(dict(zip((c.name for c in columns), z.double().T, strict=True)), columns)

    def to_json(self) -> Document:
        """All of it as plain values."""
        alphabet, columns = self.tokens.alphabet, self.tokens.columns
        return {
            "kind": "tokens",
            **self.sizes,
            "alphabet": None if alphabet is None else list(alphabet),
            "columns": [column.name for column in columns],
        }

    @classmethod
    def from_json(cls, document: Document) -> "TokenEncoder":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        M, D, points = found.M, found.D, found.alphabet
        if points is not None and not increasing(points, M):
            raise ValueError(f"the alphabet is not {M} symbols in order")
        if found.columns and len(found.columns) != D:
            raise ValueError(f"there are {len(found.columns)} columns for {D} symbols")
        return cls(TokenCoding(M, D, points, tuple(map(Column, found.columns))))


@dataclass(frozen=True)
class _Written:
    """The document of a `TokenEncoder`."""

    M: Annotated[int, Field(ge=2, le=MOST_SYMBOLS)]
    D: Size
    alphabet: tuple[Point, ...] | None
    columns: tuple[str, ...]
