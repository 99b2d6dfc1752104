"""What a model of text can use: all of it, if no example is too long; much is pointed out."""

import torch
from torch import Tensor

from sourcewise.errors import InputError, Unsuited, listing
from sourcewise.forms import Ragged, X
from sourcewise.screening.base import Screened, refuse_table_options
from sourcewise.screening.options import USUAL, Rules, Symbols, TextOptions
from sourcewise.sources import Sources

__all__ = ["as_text", "refuse_long", "screen", "symbols_of"]


def screen(data: Sources, rules: Rules = USUAL, options: TextOptions | None = None) -> Screened:
    """Check a sample of text.

    Raises:
        InputError: no text, an example that is too long, an option that does not apply.
    """
    options = options or TextOptions()
    refuse_table_options("text", rules)
    x = as_text(data.x)
    with data.places.named():
        refuse_long(x, options.symbols, options.longest)
    count = int((x.lengths == 0).sum())
    empty = f"{count} of {len(x)} texts are empty" if count else ""
    edges = "" if data.group_by == ("document",) else _edges(x)  # chunks end anywhere
    warnings = [empty, edges, _repeated(data, x), *_narrow(data, x, rules.min_rows)]
    return Screened(data, warnings=list(filter(None, warnings)))


def as_text(x: X) -> Ragged:
    """Text as it is; anything else is refused."""
    if not isinstance(x, Ragged):
        raise Unsuited("the examples are no text: name a column of text with --text COLUMN")
    points = x.alphabet
    strange = (points >= 0xD800) & (points <= 0xDFFF) | (points < 0) | (points > 0x10FFFF)
    if bad := x.first(strange):
        raise InputError(f"the examples are no text: {bad[1]} is no character")
    return x


def symbols_of(text: Ragged, symbols: Symbols) -> Tensor:
    """(n,) int64 symbols of each example: characters, or bytes of UTF-8."""
    if symbols == "characters":
        return text.lengths
    points = text.alphabet
    return text.sums(1 + (points >= 0x80).long() + (points >= 0x800) + (points >= 0x10000)).long()


def refuse_long(text: Ragged, symbols: Symbols, longest: int) -> None:
    """Raise if an example has more than `longest` symbols."""
    lengths = symbols_of(text, symbols)
    long = (lengths > longest).nonzero().squeeze(1)
    if len(long):
        first, more = int(long[0]), f" (and {len(long) - 1} more rows)" * (len(long) > 1)
        raise InputError(
            f"{{row}}{more} holds {int(lengths[first])} {symbols}, at most {longest} are "
            f"modelled: --chunk {longest // 2} cuts longer texts when they are read; --set "
            "longest=N takes them whole",
            first,
        )


def _edges(x: Ragged) -> str:
    """White space at an end is modelled as any other character, and often an accident."""
    some = x.take(x.lengths > 0)
    points = x.alphabet.tolist()
    space = torch.tensor([chr(point).isspace() for point in points], dtype=torch.bool)
    first, last = some.codes[some.starts], some.codes[some.starts + some.lengths - 1]
    count = int((space[first.long()] | space[last.long()]).sum())
    told = "texts begin or end with white space, which is modelled like any other character"
    return f"{count} of {len(x)} {told}" if count else ""


def _repeated(data: Sources, x: Ragged) -> str:
    same = data.same
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
    same, out = data.same, []
    for what, poor in (
        ("fewer than {} different texts in", lambda rows: len(same[rows].unique()) < min_rows),
        ("no characters at all in", lambda rows: not int(x.lengths[rows].sum())),
    ):
        tested = [k for k in range(data.K) if int(data.counts[k]) >= min_rows]
        found = [repr(data.names[k]) for k in tested if poor((data.y == k).nonzero().squeeze(1))]
        if found:
            out.append(f"{what.format(min_rows)} {listing(found, 5)}")
    return out
