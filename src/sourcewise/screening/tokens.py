"""What a model of rows of symbols can use: text of one length, or small whole numbers."""

from dataclasses import dataclass

from torch import Tensor

from sourcewise.errors import InputError, Unsuited
from sourcewise.forms import Ragged, Table, X, as_table
from sourcewise.screening.base import Screened, refuse_table_options
from sourcewise.screening.options import USUAL, Rules
from sourcewise.sources import Sources

__all__ = [
    "MOST_SYMBOLS",
    "Alphabet",
    "alphabet_of",
    "refuse_other_lengths",
    "screen",
    "whole_numbers",
]

MOST_SYMBOLS = 256


def screen(data: Sources, rules: Rules = USUAL) -> Screened:
    """Check a sample of symbols; see `alphabet_of`.

    Raises:
        InputError: rows that are no symbols, options that do not apply.
    """
    refuse_table_options("rows of symbols", rules)
    with data.places.named():
        alphabet_of(data.x)
    return Screened(data)


@dataclass(frozen=True)
class Alphabet:
    """What the rows of a sample are made of."""

    M: int  # number of symbols
    D: int  # length of a row
    points: tuple[int, ...] | None = None  # increasing code points of text; None for numbers


def alphabet_of(x: X) -> Alphabet:
    """The symbols of a sample.

    Raises:
        InputError: lengths that differ, values that are not whole, negative or too many.
    """
    if isinstance(x, Ragged):
        D = int(x.lengths[0])
        refuse_other_lengths(x, D)
        points = tuple(sorted(x.alphabet[x.counts() > 0].tolist()))
        return Alphabet(_check_symbols(len(points)), D, points)
    rows = whole_numbers(x)
    return Alphabet(_check_symbols(int(rows.max()) + 1), rows.shape[1])


def refuse_other_lengths(x: Ragged, D: int) -> None:
    """Raise unless all sequences hold D symbols, one at least."""
    lengths = x.lengths
    other = (lengths != D).nonzero().squeeze(1)
    if len(other):
        row = int(other[0])
        raise Unsuited(
            f"{{row}} holds {int(lengths[row])} symbols, not {D}: this family takes rows of one "
            "length only",
            row,
        )
    if D == 0:
        raise InputError("{row} holds no symbols", 0)


def whole_numbers(x: X) -> Tensor:
    """(n, D) int64 of a matrix, or of a table of numbers; others are refused by row."""
    if isinstance(x, Table):
        kinds = [column for column in x.schema if column.kind != "number"]
        if kinds:
            raise Unsuited(
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
            f"{{row}} holds {float(rows[row, column]):g} at position {column + 1}: this family "
            "takes whole numbers from 0, or text of one length",
            row,
        )
    return rows.long()


def _check_symbols(M: int) -> int:
    if M > MOST_SYMBOLS:
        raise InputError(f"{M} different symbols, at most {MOST_SYMBOLS} are modelled")
    if M < 2:
        raise InputError("one symbol only: there is nothing to model")
    return M
