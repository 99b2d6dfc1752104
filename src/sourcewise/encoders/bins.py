"""A numeric column <-> codes: a monotone map whose integer part is the bin.

    z = G(v) in (0, B),   code = floor(z),   log p(v) = log P(code) + log G'(v)

Given its code, the rest of z is uniform on [0, 1). So G is piecewise linear (the density inside a
bin is uniform), with an exponential tail at either end: every real value has a positive density,
and it integrates to one whatever the probabilities of the bins.

- A column without ties is cut at its quantiles; its outermost bins are the tails, whose scale is
  the mean excess, the maximum-likelihood one.
- A column on a lattice is cut between recorded values, never inside a value's own cell
  `[x, x + r)`. Few values: a bin each. Many: a value alone in a bin if it holds at least a bin's
  worth of rows, or if that raises the training likelihood by more than BIC charges for it; the
  others in groups of about equal mass. Cells that no training row fell into, between two bins or
  beyond the last, share `1/2 / (m + 1)` of the bin before them, m its training rows.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sourcewise.documents import Positive, Real, Size, typed
from sourcewise.encoders.base import Document

__all__ = ["Bins", "cut_cells", "cut_values", "usual_bins"]


@dataclass(frozen=True)
class Bins:
    """The map G and its inverse."""

    knots: Tensor  # (P,) increasing values
    heights: Tensor  # (P,) G there, increasing, inside (0, count)
    count: int  # B, the number of bins
    lower: float  # scale of the tail below the first knot
    upper: float  # scale of the tail above the last
    single: Tensor  # (P,) whether the piece from a knot is the cell of one recorded value
    counts: tuple[int, ...] = ()  # (B,) weight of each bin: 1 and twice its training rows

    @property
    def alone(self) -> tuple[int, ...]:
        """The bins of one recorded value."""
        return tuple(self.heights[self.single].long().tolist())

    def weighed(self, v: Tensor) -> "Bins":
        """With the weights of bins by training values v (n,): no bin is without."""
        rows = torch.bincount(self.codes(v)[0], minlength=self.count)
        return replace(self, counts=tuple((2 * rows + 1).tolist()))

    def codes(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) int64 codes of values, and (n,) `log G'(v)`."""
        piece = torch.searchsorted(self.knots, v, right=True)  # 0: the lower tail
        below = (piece - 1).clamp(min=0)
        code = torch.where(piece > 0, self.heights[below].long(), 0)
        widths, rises = self.knots.diff(), self.heights.diff()
        slopes = torch.cat([(rises / widths).log(), self.knots.new_zeros(1)])
        last = float(self.count - self.heights[-1])
        low = math.log(float(self.heights[0]) / self.lower) + (v - self.knots[0]) / self.lower
        high = math.log(last / self.upper) - (v - self.knots[-1]) / self.upper
        out = torch.where(piece == 0, low, slopes[below])
        return code, torch.where(piece == len(self.knots), high, out)

    def place(self, v: Tensor) -> Tensor:
        """(n,) z = G(v), float64: the code and where inside the bin."""
        B, h = self.count, self.heights
        z = _linear(v, self.knots, h)
        low = h[0] * ((v - self.knots[0]) / self.lower).exp()
        high = B - (B - h[-1]) * ((self.knots[-1] - v) / self.upper).exp()
        z = torch.where(v < self.knots[0], low, torch.where(v < self.knots[-1], z, high))
        code = self.codes(v)[0].double()  # rounding must not leave the bin
        return torch.minimum(torch.maximum(z, code), torch.nextafter(code + 1, code))

    def values(self, z: Tensor) -> Tensor:
        """(n,) the inverse of `place`; a single recorded value's cell gives that value."""
        h = self.heights
        start = self.knots[(torch.searchsorted(h, z, right=True) - 1).clamp(min=0)]
        v = torch.where(self.recorded(z), start, _linear(z, h, self.knots))
        low = self.knots[0] + self.lower * _log(z / h[0])
        high = self.knots[-1] - self.upper * _log((self.count - z) / (self.count - h[-1]))
        return torch.where(z < h[0], low, torch.where(z < h[-1], v, high))

    def recorded(self, z: Tensor) -> Tensor:
        """(n,) whether z lies in the cell of a single recorded value."""
        piece = torch.searchsorted(self.heights, z, right=True)
        return (piece > 0) & self.single[(piece - 1).clamp(min=0)]

    def to_json(self) -> Document:
        """Plain values; floats survive exactly."""
        tensors = {name: getattr(self, name).tolist() for name in ("knots", "heights", "single")}
        tensors["counts"] = list(self.counts)
        return {"count": self.count, "lower": self.lower, "upper": self.upper, **tensors}

    @classmethod
    def from_json(cls, document: Document) -> "Bins":
        """The inverse of `to_json`."""
        found = typed(_Written, document)
        knots, heights = (
            torch.tensor(v, dtype=torch.float64) for v in (found.knots, found.heights)
        )
        if not 0 < len(knots) == len(heights) == len(found.single):
            raise ValueError("bins have other numbers of knots, heights and pieces")
        ends = torch.tensor([0.0, found.count], dtype=torch.float64)
        ordered = torch.cat([ends[:1], heights, ends[1:]]).diff() > 0
        if not bool((knots.diff() > 0).all() & ordered.all()):
            raise ValueError("bins are not in order")
        single = torch.tensor(found.single)
        return cls(knots, heights, found.count, found.lower, found.upper, single, found.counts)


@dataclass(frozen=True)
class _Written:
    """The document of `Bins`."""

    knots: tuple[Real, ...]
    heights: tuple[Real, ...]
    count: Size
    lower: Positive
    upper: Positive
    single: tuple[bool, ...]
    counts: tuple[Size, ...]


def _linear(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """(n,) the piecewise linear function with values b (P,) at a (P,), between its ends."""
    if len(a) == 1:
        return b.expand(len(x))
    i = (torch.searchsorted(a, x, right=True) - 1).clamp(0, len(a) - 2)
    return b[i] + (x - a[i]) / (a[i + 1] - a[i]) * (b[i + 1] - b[i])


def _log(share: Tensor) -> Tensor:
    """Of the part of a tail that lies further out; finite even where none does."""
    return share.clamp(min=2.0**-60).log()


def usual_bins(n: int) -> int:
    """`2 n^(1/3)`, the rate at which a histogram is best, within 8..64.

    >>> usual_bins(30), usual_bins(1000), usual_bins(10**6)
    (8, 20, 64)
    """
    return min(64, max(8, round(2 * n ** (1 / 3))))


def cut_values(v: Tensor, bins: int) -> Bins:
    """Bins of a column without ties.

    Args:
        v: (n,) training values; none: one bin around 0.
        bins: how many, at least 2.
    """
    if len(v) == 0:
        return _around(0.0, 1.0)
    shares = torch.arange(1, bins, dtype=torch.float64) / bins
    if len(v) < 10**7:
        knots = torch.quantile(v, shares).unique()
    else:  # which `torch.quantile` refuses
        knots = v.sort().values[(shares * len(v)).long()].unique()
    spread = float(v.std(correction=0)) or abs(float(v[0])) or 1.0
    lower, upper = knots[0] - v[v < knots[0]], v[v >= knots[-1]] - knots[-1]
    heights = torch.arange(1.0, len(knots) + 1, dtype=torch.float64)
    single = torch.zeros(len(knots), dtype=torch.bool)
    scales = _scale(lower, spread), _scale(upper, spread)
    return Bins(knots, heights, len(knots) + 1, *scales, single)


def _scale(excess: Tensor, spread: float) -> float:
    mean = float(excess.mean()) if len(excess) else 0.0
    return mean if mean > 0 else spread


def _around(centre: float, scale: float) -> Bins:
    """One bin for all, with the density of Laplace: nothing is known."""
    half = torch.tensor([0.5], dtype=torch.float64)
    return Bins(half - 0.5 + centre, half, 1, scale, scale, torch.zeros(1, dtype=torch.bool))


def cut_cells(starts: Tensor, stops: Tensor, bins: int, K: int) -> Bins:
    """Bins of a column on a lattice.

    Args:
        starts: (n,) where each training row's cell begins; none: one bin around 0.
        stops: (n,) where it ends.
        bins: about how many.
        K: number of sources, for what BIC charges.
    """
    if len(starts) == 0:
        return _around(0.0, 1.0)
    first, last, counts = _cells(starts, stops)
    group = _groups(first, last, counts, bins, K)
    begin, end, rows = _spans(first, last, counts, group)
    middles, B = (first + last) / 2, len(rows)
    sums = torch.zeros(B, dtype=torch.float64).index_add_(0, group, counts * middles)
    centre = float(sums.sum() / rows.sum())
    spread = float((counts * (middles - centre) ** 2).sum() / rows.sum()) ** 0.5
    spread += float((last - first).max())
    means, lone = sums / rows, torch.bincount(group) == 1
    # An outermost bin of several values is all tail; one of a single value has a small tail.
    low, high = B > 1 and not lone[0], B > 1 and not lone[-1]
    points: list[tuple[float, float, bool]] = []
    for g in range(int(low), B - int(high)):
        following = None if g == B - 1 else float(begin[g + 1])
        a, c, m = float(begin[g]), float(end[g]), float(rows[g])
        points += _core(g, a, c, following, m, bool(lone[g]))
    if high:
        points.append((float(begin[-1]), B - 1.0, False))
    knots, heights, single = zip(*points, strict=True)
    return Bins(
        torch.tensor(knots, dtype=torch.float64),
        torch.tensor(heights, dtype=torch.float64),
        B,
        float(begin[1] - means[0]) if low else spread,
        float(means[-1] - begin[-1]) if high else spread,
        torch.tensor(single),
    )


def _spans(
    first: Tensor, last: Tensor, counts: Tensor, group: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) where each bin's cells begin and end, and its rows."""
    B = int(group[-1]) + 1
    infinite = torch.full((B,), torch.inf, dtype=torch.float64)
    begin = infinite.scatter_reduce(0, group, first, "amin")
    end = (-infinite).scatter_reduce(0, group, last, "amax")
    return begin, end, torch.zeros(B, dtype=torch.float64).index_add_(0, group, counts)


def _core(
    g: int, a: float, c: float, following: float | None, m: float, lone: bool
) -> list[tuple[float, float, bool]]:
    """Knots of bin g: uniform on [a, c), a small share below the first and in the gap after."""
    rest = 0.5 / (m + 1)
    points = [(a, g + (rest if g == 0 else 0.0), lone)]
    if following is None or following - c > 1e-6 * (c - a):
        points.append((c, g + 1 - rest, False))
    return points


def _cells(starts: Tensor, stops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Different cells in order, and their rows; starts that differ by rounding are one."""
    values, which = starts.unique(return_inverse=True)
    ends = torch.full_like(values, torch.inf).scatter_reduce(0, which, stops, "amin")
    fresh = torch.ones(len(values), dtype=torch.bool)
    fresh[1:] = values.diff() > 0.5 * (ends - values)[:-1]
    cell = fresh.cumsum(0) - 1
    first, last = values[fresh], ends[fresh]
    last[:-1] = torch.minimum(last[:-1], first[1:])
    counts = torch.bincount(cell[which], minlength=len(first)).double()
    return first, last, counts


def _groups(first: Tensor, last: Tensor, counts: Tensor, bins: int, K: int) -> Tensor:
    """(V,) the bin of each of V cells, increasing."""
    if len(counts) <= bins:
        return torch.arange(len(counts))
    alone = counts >= counts.sum() / bins
    group = _runs(counts, alone, bins)
    gains = _gains(first, last, counts, group)
    charge = K * math.log(float(counts.sum()))  # K/2 log n for each of the two bins it adds
    best = gains.argsort(descending=True)[:bins]
    alone[best[gains[best] > charge]] = True
    return _runs(counts, alone, bins)


def _runs(counts: Tensor, alone: Tensor, bins: int) -> Tensor:
    """Bins of one cell where `alone`; between these, groups of about n / bins rows."""
    n, group, at = float(counts.sum()), torch.empty(len(counts), dtype=torch.int64), 0
    lengths = torch.unique_consecutive(
        alone.long() * (1 + torch.arange(len(alone))), return_counts=True
    )[1]
    start = 0
    for length in lengths.tolist():
        mine = counts[start : start + length]
        mass = float(mine.sum())
        parts = max(1, round(mass * bins / n))
        middles = mine.cumsum(0) - mine / 2
        local = (middles * parts / mass).long().unique(return_inverse=True)[1]
        group[start : start + length] = at + local
        at += int(local[-1]) + 1
        start += length
    return group


def _gains(first: Tensor, last: Tensor, counts: Tensor, group: Tensor) -> Tensor:
    """(V,) rise of the log likelihood when a cell denser than its bin gets a bin of its own."""
    begin, end, rows = (values[group] for values in _spans(first, last, counts, group))
    own, all_ = last - first, end - begin
    rest = torch.where(rows > counts, rows - counts, 1.0)
    beside = torch.where(all_ > own * (1 + 1e-9), all_ - own, 1.0)
    split = counts * (counts / own).log() + (rows - counts) * (rest / beside).log()
    dense = (counts / own > rows / all_) & (rows > counts)
    return torch.where(dense, split - rows * (rows / all_).log(), 0.0)
