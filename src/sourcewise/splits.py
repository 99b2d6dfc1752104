"""Folds that are stratified by source and never tear apart rows that belong together.

A *unit* is what stays together: rows of one group if there are groups; otherwise identical rows,
unless so many are identical by chance (see `repeats_by_chance`). Units of several rows are dealt
first, largest first, each to the fold that lacks its sources most; then the single rows level out
every source's folds exactly. Folds of one source differ by one row at most when all its units are
single rows.
"""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from sourcewise.forms import Whole
from sourcewise.randomness import Noise

__all__ = ["deal", "held_in_turn", "identical", "repeats_by_chance"]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # any odd number spreads the bits of what it multiplies


def identical(x: Tensor | Whole) -> Tensor:
    """Number the different rows, in order of first appearance: (n,) for x (n, d), NaN equals NaN.

    >>> identical(torch.tensor([[3.0], [1.0], [3.0]])).tolist()
    [0, 1, 0]
    """
    if isinstance(x, Whole):
        return x.same()
    import pandas as pd

    values = (x.double() + 0.0).numpy()  # -0 is 0
    # One number for each row sorts many times faster than its cells do; rows may share one.
    same = pd.factorize(_mixed(values))[0]
    first = np.unique(same, return_index=True)[1]
    if not all(_equal(column, first[same]) for column in values.T):
        frame = pd.DataFrame(values)
        same = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()
    return torch.from_numpy(same.astype(np.int64))


def _mixed(values: np.ndarray) -> np.ndarray:
    """(n,) a number of each row (n, d): the same for rows of equal cells."""
    out = np.zeros(len(values), np.uint64)
    for column in values.T:
        bits = np.where(np.isnan(column), np.nan, column).view(np.uint64)
        out = (out ^ bits) * _ODD
        out ^= out >> np.uint64(29)
    return out


def _equal(values: np.ndarray, other: np.ndarray) -> bool:
    """Whether values (n,) equal those at other places (n,), NaN included."""
    return np.array_equal(values, values[other], equal_nan=True)


def repeats_by_chance(x: Tensor | Whole, same: Tensor) -> bool:
    """Whether as few values as these columns have would make as many rows identical by chance.

    Were the columns independent, two rows would be identical with probability
    `prod_j sum_v p_jv^2` (p_jv the share of value v in column j). Not more than twice as many
    pairs as that are no sign of copied records: keeping them together would hold whole values
    out of training.

    Texts of one length are rows of symbols, small images are rows of pixels. Other texts and
    images never repeat by chance: a word of two languages is one unit.

    Args:
        x: (n, d) rows, or n texts or images.
        same: (n,) from `identical`.
    """
    n, pairs = len(x), _pairs(torch.bincount(same))
    if not pairs:
        return True
    columns = x.counts_by_place() if isinstance(x, Whole) else _column_counts(x)
    if columns is None:
        return False
    chance = 1.0
    for counts in columns:
        chance *= _pairs(counts) / max(_pairs(torch.tensor([n])), 1)
    return pairs <= 2 * chance * _pairs(torch.tensor([n]))


def _column_counts(x: Tensor) -> Iterator[Tensor]:
    """How often each value stands in each column."""
    for column in x.T:
        yield column.nan_to_num(torch.inf).unique(return_counts=True)[1]


def _pairs(counts: Tensor) -> float:
    counts = counts.double()
    return float((counts * (counts - 1)).sum() / 2)


def deal(unit: Tensor, y: Tensor, parts: int, noise: Noise) -> Tensor:
    """Deal the units into parts of equal size, source by source.

    Args:
        unit: (n,) unit of each row.
        y: (n,) source of each row.
        parts: number of parts (folds or jackknife groups).
        noise: which of the random ways to deal.

    Returns:
        (n,) part of each row in {0, ..., parts - 1}.
    """
    sizes = torch.bincount(unit)
    single = (sizes[unit] == 1).numpy()
    sources = int(y.max()) + 1
    part = np.empty(len(y), np.int64)
    load = np.zeros((sources, parts))
    _deal_units(unit.numpy(), y.numpy(), single, part, load, noise)
    of_source, alone = y.numpy()[single], np.flatnonzero(single)
    alone = alone[np.argsort(of_source, kind="stable")]
    ends = np.cumsum(np.bincount(of_source, minlength=sources))
    for k, rows in enumerate(np.split(alone, ends[:-1])):
        part[rows] = _level(load[k], len(rows), noise.of("single", k))
    return torch.from_numpy(part)


def held_in_turn(unit: Tensor, y: Tensor, share: float, noise: Noise) -> Tensor:
    """Deal about a share of every source to each of several turns of being held out, units whole.

    In turn 0, a source of two units or more has at least one of them held out, and every source
    keeps one. A source of which nothing is held out then has no later turn either, so that later
    turns, one or several together, leave something of every source too.

    Args:
        unit: (n,) unit of each row.
        y: (n,) source of each row.
        share: in [0, .5]; 0: nothing is ever held out.
        noise: which of the random ways to deal.

    Returns:
        (n,) the turn of each row; -1: it is never held out.
    """
    if share == 0:
        return torch.full((len(y),), -1)
    ratio = Fraction(share).limit_denominator(200) or Fraction(1, round(1 / share))
    part = deal(unit, y, ratio.denominator, noise)
    held, turn = _first(unit, y, part < ratio.numerator, noise), part // ratio.numerator
    turn[turn == 0] = -1
    kept = ~torch.isin(y, y[held])
    turn[torch.isin(unit, unit[kept])] = -1
    turn[held] = 0
    return turn


def _first(unit: Tensor, y: Tensor, held: Tensor, noise: Noise) -> Tensor:
    """(n,) what is held out first: of every source something, if it has two units, and not all."""
    for k in y.unique().tolist():
        rows = (y == k).nonzero().squeeze(1)
        if not bool(held[rows].any()) and len(unit[rows].unique()) > 1:
            chosen = unit[rows[int(noise.of("one", k).integers(len(rows), 1))]]
            held |= unit == chosen
    for k in y.unique().tolist():  # a unit of several sources may have taken the last of one
        rows = (y == k).nonzero().squeeze(1)
        if bool(held[rows].all()):
            kept = unit[rows[int(noise.of("kept", k).integers(len(rows), 1))]]
            held &= unit != kept
    return held


def _deal_units(
    unit: np.ndarray,
    y: np.ndarray,
    single: np.ndarray,
    part: np.ndarray,
    load: np.ndarray,
    noise: Noise,
) -> None:
    """Deal the units of several rows, largest first; fills `part` and `load` (sources, parts)."""
    rows = np.flatnonzero(~single)
    if not len(rows):
        return
    rows = rows[np.argsort(unit[rows], kind="stable")]
    members = np.split(rows, np.flatnonzero(np.diff(unit[rows])) + 1)
    shuffled = [members[i] for i in noise.of("units").permutation(len(members)).tolist()]
    totals = np.bincount(y)
    ties = noise.of("ties").uniform(len(members), load.shape[1]).numpy()
    for i, unit_rows in enumerate(sorted(shuffled, key=len, reverse=True)):
        sources, counts = np.unique(y[unit_rows], return_counts=True)
        fullness = (load[sources] / totals[sources, None]).sum(0)
        chosen = np.lexsort((ties[i], fullness))[0]
        part[unit_rows] = chosen
        load[sources, chosen] += counts


def _level(load: np.ndarray, m: int, noise: Noise) -> np.ndarray:
    """Deal m single rows at random so that the loads (parts,) end as level as they can."""
    parts = len(load)
    height = int(load.max()) + m // parts + 1
    level = load[:, None] + np.arange(height + 1)[None, :]  # each part's slots, by their level
    ties = noise.of("ties").uniform(parts).numpy()[:, None]
    slots = np.argsort((level + ties).ravel(), kind="stable")[:m] // (height + 1)
    return slots[noise.of("order").permutation(m).numpy()]
