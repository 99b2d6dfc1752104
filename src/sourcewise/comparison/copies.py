"""Copies of texts and images: what is to be said of those that are exact, and of near ones."""

from collections import Counter
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from sourcewise.errors import counted, phrases
from sourcewise.forms import Whole
from sourcewise.sources import Sources

__all__ = ["copies", "near_copies"]

SHARE = 1e-3  # of a source's rows
_SHOWN = 3


def copies(data: Sources, x: Whole) -> str | None:
    """How many different examples stand in more than one source, and what was made of copies.

    Copies within a source are told of images alone: that a word occurs again says nothing.
    """
    same = data.same
    apart = "" if torch.equal(data.units, same) else "not "
    many = f"copies of {'an' if x.what[0] in 'aeiou' else 'a'} {x.what} are {apart}kept together"
    per_pair, first = _in_several(data.y, same)
    repeated = len(same) - len(same.unique())
    if not per_pair and not (x.rarely_twice and repeated):
        return None
    told = []
    if x.rarely_twice:
        told.append(f"{counted(repeated, x.what)} repeat another exactly")
    if per_pair:
        pairs = [
            f"{data.names[a]} and {data.names[b]}: {n}" for (a, b), n in per_pair.most_common()
        ]
        such = f", such as {_places(data, same, first)}" if x.rarely_twice else ""
        told.append(
            f"{len(first)} different {x.what}s stand in more than one source "
            f"({phrases(pairs, _SHOWN)}){such}"
        )
    return f"{'; '.join(told)}; {many} in splits"


def _in_several(y: Tensor, same: Tensor) -> tuple[Counter[tuple[int, int]], list[int]]:
    """How many different examples each pair of sources shares, and which these are."""
    K = int(y.max()) + 1
    pairs = (same * K + y).unique()
    counts = torch.bincount(pairs // K)
    shared = pairs[counts[pairs // K] > 1].numpy()
    number, sources = shared // K, shared % K
    found = Counter()
    for group in np.split(sources, np.flatnonzero(np.diff(number)) + 1) if len(sources) else ():
        found.update(combinations(group.tolist(), 2))
    return found, np.unique(number).tolist()


def _places(data: Sources, same: Tensor, first: list[int]) -> str:
    """Where the first example that stands in several sources does."""
    rows = (same == first[0]).nonzero()[:, 0]
    other = rows[data.y[rows] != data.y[rows[0]]][0]
    return f"{data.places(int(rows[0]))} and {data.places(int(other))}"


def near_copies(data: Sources, x: Whole) -> str | None:
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
    return (
        f"{len(rows)} {x.what}s have a near copy (one picture but for noise, brightness or "
        f"compression) among other rows, {len(across)} of them in another source, such as "
        f"{data.places(first)} and {data.places(second)}: splits may tear them apart; keep one"
    )
