"""Copies of texts and images: what is to be said of those that are exact, and of near ones."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import counted, phrases
from sourcewise.forms import Whole
from sourcewise.sources import Sources

__all__ = ["SHARE", "NearCopies", "copies", "near_copies"]

SHARE = 1e-3  # of a source's rows
_SHOWN = 3
_MOST_SOURCES = 100
_EXAMPLES = 1 << 12  # at once


@dataclass(frozen=True)
class NearCopies:
    """How many rows, texts or images have a near copy, and in words."""

    rows: int
    text: str


def copies(data: Sources, x: Whole) -> str | None:
    """How many different examples stand in more than one source, and what was made of copies.

    Copies within a source are told of images alone: that a word occurs again says nothing.
    """
    same = data.same
    apart = "" if torch.equal(data.units, same) else "not "
    many = f"copies of {'an' if x.what[0] in 'aeiou' else 'a'} {x.what} are {apart}kept together"
    per_pair, shared = _in_several(data.y, same)
    repeated = len(same) - len(same.unique())
    if not len(shared) and not (x.rarely_twice and repeated):
        return None
    told = []
    if x.rarely_twice:
        told.append(f"{counted(repeated, x.what)} repeat another exactly")
    if len(shared):
        pairs = [f"{data.names[a]} and {data.names[b]}: {n}" for n, a, b in per_pair]
        shown = f" ({phrases(pairs, _SHOWN)})" if pairs else ""
        such = f", such as {_places(data, same, shared)}" if x.rarely_twice else ""
        told.append(
            f"{len(shared)} different {x.what}s stand in more than one source{shown}{such}"
        )
    return f"{'; '.join(told)}; {many} in splits"


def _in_several(y: Tensor, same: Tensor) -> tuple[list[tuple[int, int, int]], Tensor]:
    """How many different examples a and b share (n, a, b), most first, and all that are shared.

    Of more than a hundred sources no pairs are told.
    """
    K = int(y.max()) + 1
    stands = (same * K + y).unique()
    number, source = stands // K, stands % K
    several = torch.bincount(number)[number] > 1
    shared, where = number[several].unique_consecutive(return_inverse=True)
    if K > _MOST_SOURCES:
        return [], shared
    together, source = torch.zeros(K, K, dtype=torch.float64), source[several]
    ends = torch.bincount(where, minlength=len(shared)).cumsum(0).tolist()
    for first in range(0, len(shared), _EXAMPLES):
        last = min(first + _EXAMPLES, len(shared))
        rows = slice(ends[first - 1] if first else 0, ends[last - 1])
        inside = torch.zeros(last - first, K, dtype=torch.float64)
        inside[where[rows] - first, source[rows]] = 1
        together += inside.T @ inside
    pairs = together.triu(1).nonzero().tolist()
    return sorted(((int(together[a, b]), a, b) for a, b in pairs), key=lambda p: -p[0]), shared


def _places(data: Sources, same: Tensor, shared: Tensor) -> str:
    """Where the first example that stands in several sources does."""
    rows = (same == shared[0]).nonzero()[:, 0]
    other = rows[data.y[rows] != data.y[rows[0]]][0]
    return f"{data.places(int(rows[0]))} and {data.places(int(other))}"


def near_copies(data: Sources, x: Whole) -> NearCopies | None:
    """How many examples have a near copy, not exact, in another unit; None if there are few.

    Few: less than one in a thousand of the rows of every source, too few to move a score.
    """
    once = torch.from_numpy(np.unique(data.same.numpy(), return_index=True)[1])
    pairs = once[x.take(once).near_copies()]
    pairs = pairs[data.units[pairs[:, 0]] != data.units[pairs[:, 1]]]
    rows = pairs.unique()
    if not len(rows):
        return None
    copied = torch.bincount(data.y[rows], minlength=data.K)
    if bool((copied < SHARE * data.counts.clip(1)).all()):
        return None
    first, second = pairs[0].tolist()
    across = pairs[data.y[pairs[:, 0]] != data.y[pairs[:, 1]]].unique()
    return NearCopies(
        len(rows),
        f"{len(rows)} {x.what}s have a near copy (one picture but for noise, brightness or "
        f"compression) among other rows, {len(across)} of them in another source, such as "
        f"{data.places(first)} and {data.places(second)}: splits may tear them apart; keep one",
    )
