"""Rows of D symbols from {0, ..., M - 1}: what the paper's autoregressive model takes.

x is a matrix of small whole numbers, a table of such columns, or text of equal lengths over a
fixed alphabet, such as DNA. M, D and the alphabet are those of the whole sample: they are its
schema, as the levels of a category are, and nothing is fitted. The code is one to one on the
sample's alphabet, so `log p(x) = log p(z)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sourcewise.encoders.screening import Screened
from sourcewise.encoders.text import look_up, refuse_table_options
from sourcewise.errors import InputError
from sourcewise.forms import Column, Ragged, Table, X, as_table
from sourcewise.randomness import ExampleNoise
from sourcewise.sources import Sources

__all__ = ["MOST_SYMBOLS", "TokenCoding", "TokenEncoder", "TokenRows", "screen"]

MOST_SYMBOLS = 256


@dataclass(frozen=True)
class TokenRows:
    """Rows of symbols, (n, D) int64."""

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Tensor) -> "TokenRows":
        """The rows at `index`."""
        return TokenRows(self.values[index])


@dataclass(frozen=True)
class TokenCoding:
    """How rows of symbols are encoded; scores are per row.

    >>> coding = TokenCoding.of(Ragged.of_strings(["ACGT", "AACC"]))
    >>> coding.M, coding.D, coding.lift(Ragged.of_strings(["GATT"])).values.tolist()
    (4, 4, [[2, 0, 3, 3]])

    Args:
        M: number of symbols.
        D: length of a row.
        alphabet: the code points of the symbols, increasing, for text; None for numbers.
        columns: the named columns of a table.
    """

    M: int
    D: int
    alphabet: tuple[int, ...] | None = None
    columns: tuple[Column, ...] = ()
    unit: str = field(default="row", init=False)

    @classmethod
    def of(cls, x: X) -> "TokenCoding":
        """The coding for a sample.

        Raises:
            InputError: lengths that differ, values that are not whole, negative or too many.
        """
        if isinstance(x, Ragged):
            D = _equal_lengths(x)
            alphabet = tuple(x.values.unique().tolist())
            return cls(_check_symbols(len(alphabet)), D, alphabet)
        rows = _whole_numbers(x)
        columns = x.schema if isinstance(x, Table) else ()
        return cls(_check_symbols(int(rows.max()) + 1), rows.shape[1], None, columns)

    @property
    def variables(self) -> int:
        """D."""
        return self.D

    def lift(self, x: X, noise: ExampleNoise | None = None) -> TokenRows:
        """The symbols' ids, (n, D)."""
        if self.alphabet is None:
            rows = _whole_numbers(x)
        elif isinstance(x, Ragged):
            _equal_lengths(x, self.D)
            rows = look_up(x.values, self.alphabet).reshape(len(x), self.D)
        else:
            raise InputError("the examples are no text, as those of this model were")
        if rows.shape[1] != self.D:
            raise InputError(f"rows of {rows.shape[1]} symbols, not {self.D}")
        bad = ((rows < 0) | (rows >= self.M)).any(1)
        if bool(bad.any()):
            row = int(bad.nonzero()[0]) + 1
            raise InputError(f"row {row} holds a symbol that is not among the {self.M} known")
        return TokenRows(rows)

    def fit(self, rows: TokenRows, y: Tensor, K: int) -> "TokenEncoder":
        """Nothing is fitted."""
        return TokenEncoder(self.M, self.D, self.alphabet, self.columns)

    def sizes(self, x: X) -> Tensor:
        """(n,) float64: 1 per row."""
        return torch.ones(len(x), dtype=torch.float64)


@dataclass(frozen=True)
class TokenEncoder:
    """Symbols <-> ids; see `TokenCoding`."""

    M: int
    D: int
    alphabet: tuple[int, ...] | None = None
    columns: tuple[Column, ...] = ()

    @property
    def sizes(self) -> dict[str, Any]:
        """`M` symbols, `D` positions."""
        return {"M": self.M, "D": self.D}

    @property
    def coding(self) -> TokenCoding:
        """The coding that it was fitted under."""
        return TokenCoding(self.M, self.D, self.alphabet, self.columns)

    def encode(self, rows: TokenRows, y: Tensor) -> tuple[Tensor, Tensor]:
        """(n, D) int64 ids, and (n,) zeros: ids are the rows themselves."""
        return rows.values, torch.zeros(len(rows), dtype=torch.float64)

    def fill(self, z: Tensor, rows: TokenRows, y: Tensor) -> Tensor:
        """The ids as they are."""
        return z

    def decode(self, z: Tensor) -> X:
        """Back to a matrix, a table or text, as the sample was."""
        if self.alphabet is not None:
            points = torch.tensor(self.alphabet, device=z.device)[z].flatten()
            return Ragged(points, torch.arange(len(z) + 1) * self.D)
        if not self.columns:
            return z
        cells = dict(zip((c.name for c in self.columns), z.double().T, strict=True))
        return Table(cells, self.columns)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "kind": "tokens",
            "M": self.M,
            "D": self.D,
            "alphabet": None if self.alphabet is None else list(self.alphabet),
            "columns": [column.name for column in self.columns],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "TokenEncoder":
        """The inverse of `to_json`."""
        alphabet = document["alphabet"]
        return cls(
            document["M"],
            document["D"],
            None if alphabet is None else tuple(alphabet),
            tuple(Column(name) for name in document["columns"]),
        )


def screen(
    data: Sources,
    *,
    min_rows: int = 10,
    missing: str = "refuse",
    log: Sequence[str] = (),
    settings: object = None,
) -> Screened:
    """Check a sample of symbols and choose its coding; see `TokenCoding.of`.

    Raises:
        InputError: rows that are no symbols, `missing` or `log`, which do not apply.
    """
    refuse_table_options("rows of symbols", missing, log)
    return Screened(data, coding=TokenCoding.of(data.x))


def _equal_lengths(x: Ragged, D: int | None = None) -> int:
    """D, the length of all sequences (`D`, if given)."""
    lengths = x.lengths
    D = int(lengths[0]) if D is None else D
    other = (lengths != D).nonzero().squeeze(1)
    if len(other):
        row = int(other[0])
        raise InputError(
            f"row {row + 1} holds {int(lengths[row])} symbols, not {D}: --model arm takes rows of "
            "one length only, --model transformer takes any"
        )
    if D == 0:
        raise InputError("row 1 holds no symbols")
    return D


def _whole_numbers(x: X) -> Tensor:
    """(n, D) int64 of a matrix, or of a table of numbers; others are refused by row."""
    if isinstance(x, Table):
        kinds = [column for column in x.schema if column.kind != "number"]
        if kinds:
            raise InputError(
                f"column {kinds[0].name!r} is a {kinds[0].kind}: this family takes whole numbers "
                "from 0, or text of one length"
            )
    rows = as_table(x).matrix()
    if not rows.shape[1]:
        raise InputError("rows without symbols")
    bad = ~((rows >= 0) & (rows == rows.floor()) & (rows < 2**31))  # NaN too
    if bool(bad.any()):
        row, column = bad.nonzero()[0].tolist()
        raise InputError(
            f"row {row + 1} holds {float(rows[row, column]):g} at position {column + 1}: this "
            "family takes whole numbers from 0, or text of one length"
        )
    return rows.long()


def _check_symbols(M: int) -> int:
    if M > MOST_SYMBOLS:
        raise InputError(f"{M} different symbols, at most {MOST_SYMBOLS} are modelled")
    if M < 2:
        raise InputError("one symbol only: there is nothing to model")
    return M
