"""Sums over rows that say all that an exact fit needs: kept in parts, left out in parts.

A fit that depends on its rows by sums alone needs one pass over the data, whatever the number of
training sets: the sums of every part of the rows are kept, and those of a training set are the
sums of its parts. Sums are taken about a point near their rows, so that differences of large
numbers do not eat their digits (Chan, Golub and LeVeque, "Algorithms for computing the sample
variance", 1983).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MomentParts", "Moments"]


@dataclass(frozen=True)
class Moments:
    """Sums over rows of G groups: of sources, or of parts of them. With u = x - a_g:

    Args:
        center: a, (G, d).
        count: n, (G,) float64 rows.
        first: sum u_i, (G, d).
        second: sum u_i u_j, (G, d, d).
        third: sum u_i^2 u_j, (G, d, d).
        fourth: sum u_i^2 u_j^2, (G, d, d).
    """

    center: Tensor
    count: Tensor
    first: Tensor
    second: Tensor
    third: Tensor
    fourth: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, K: int) -> "Moments":
        """Of rows (n, d) by their groups y (n,), each about its mean; 0 for a group of none."""
        return MomentParts.of(x, y, torch.zeros_like(y), K).where(torch.ones(1, dtype=torch.bool))

    @property
    def mean(self) -> Tensor:
        """(G, d); the center where there are no rows."""
        return self.center + self.first / self.count.clamp(min=1)[:, None]

    def about(self, point: Tensor) -> "Moments":
        """The same rows about other points, (G, d)."""
        n, F, M, T, Q = self.count[:, None], self.first, self.second, self.third, self.fourth
        s = point - self.center
        square, diagonal = s * s, M.diagonal(dim1=1, dim2=2)
        cross = _outer(F, s)
        second = M - cross - cross.mT + _outer(n * s, s)
        third = (
            T
            - _outer(diagonal, s)
            - 2 * s[:, :, None] * M
            + 2 * _outer(s * F, s)
            + _outer(square, F)
            - _outer(n * square, s)
        )
        crossed = 2 * s[:, None, :] * T + 2 * _outer(s * F, square) - _outer(diagonal, square)
        fourth = Q - crossed - crossed.mT + 4 * _outer(s, s) * M + _outer(n * square, square)
        return Moments(point, self.count, F - n * s, second, third, fourth)

    def take(self, columns: Tensor) -> "Moments":
        """Of some columns, in another order."""
        center, count, first, *squares = self._tensors
        chosen = (v[:, columns][:, :, columns] for v in squares)
        return Moments(center[:, columns], count, first[:, columns], *chosen)

    def repeated(self, times: int) -> "Moments":
        """(times * G) groups: all of them, so many times."""
        return Moments(*(torch.cat([v] * times) for v in self._tensors))

    def minus(self, others: "Moments") -> "Moments":
        """Without the rows of `others`, which are among them; about the same points."""
        center, *sums = self._tensors
        _, *less = others._tensors
        return Moments(center, *(a - b for a, b in zip(sums, less, strict=True)))

    def joined(self, K: int) -> "Moments":
        """(K,) groups: p K + k joins k, for every p; about the same points."""
        center, *sums = self._tensors
        return Moments(center[:K], *(v.unflatten(0, (-1, K)).sum(0) for v in sums))

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        return self.center, self.count, self.first, self.second, self.third, self.fourth

    def standardised(self, mean: Tensor, scale: Tensor) -> "Moments":
        """Of `(x - m) / s`, both (d,)."""
        one, two = 1 / scale, 1 / scale.square()
        return Moments(
            (self.center - mean) / scale,
            self.count,
            self.first * one,
            self.second * torch.outer(one, one),
            self.third * torch.outer(two, one),
            self.fourth * torch.outer(two, two),
        )


@dataclass(frozen=True)
class MomentParts:
    """The sums of parts of the rows of every source, as far as a part has such rows.

    Args:
        part: (S,) which part.
        source: (S,) whose rows.
        sums: of these S groups of rows; all of a source are about one point.
        K: number of sources.
    """

    part: Tensor
    source: Tensor
    sums: Moments
    K: int

    @classmethod
    def of(cls, x: Tensor, y: Tensor, part: Tensor, K: int) -> "MomentParts":
        """Of rows (n, d), their sources y (n,) and their parts (n,); about the sources' means."""
        center = _means(x, y, K)
        order = torch.argsort(part * K + y, stable=True)
        keys, sizes = torch.unique_consecutive((part * K + y)[order], return_counts=True)
        d, source = x.shape[1], keys % K
        first, second, third, fourth = (
            x.new_empty(len(keys), *shape) for shape in ((d,), (d, d), (d, d), (d, d))
        )
        starts, lone = sizes.cumsum(0) - sizes, (sizes == 1).nonzero().squeeze(1)
        u = x[order[starts[lone]]] - center[source[lone]]
        square = u * u
        first[lone], second[lone] = u, _outer(u, u)
        third[lone], fourth[lone] = _outer(square, u), _outer(square, square)
        for s in (sizes > 1).nonzero().squeeze(1).tolist():
            u = x[order[starts[s] : starts[s] + sizes[s]]] - center[source[s]]
            square = u * u
            first[s], second[s] = u.sum(0), u.T @ u
            third[s], fourth[s] = square.T @ u, square.T @ square
        sums = Moments(center[source], sizes.to(x.dtype), first, second, third, fourth)
        return cls(keys // K, source, sums, K)

    def where(self, kept: Tensor) -> Moments:
        """The sums (K, ...) of all rows whose part is `kept` (P,)."""
        return self.grouped(torch.where(kept, 0, -1), 1)

    def grouped(self, group: Tensor, G: int) -> Moments:
        """The sums (G * K, ...) of all rows of source k whose part is of group g, at g K + k.

        Args:
            group: (P,) of each part; -1 for none.
            G: number of groups.
        """
        of = group[self.part]
        chosen = (of >= 0).nonzero().squeeze(1)
        where = of[chosen] * self.K + self.source[chosen]

        def total(values: Tensor) -> Tensor:
            out = values.new_zeros(G * self.K, *values.shape[1:])
            return out.index_add_(0, where, values[chosen])

        s = self.sums
        center = s.center.new_zeros(self.K, s.center.shape[1])
        center[self.source] = s.center
        sums = (total(values) for values in (s.count, s.first, s.second, s.third, s.fourth))
        return Moments(center.repeat(G, 1), *sums)


def _means(x: Tensor, y: Tensor, K: int) -> Tensor:
    count = torch.bincount(y, minlength=K).clamp(min=1)
    return x.new_zeros(K, x.shape[1]).index_add_(0, y, x) / count[:, None]


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """(G, d, d) of two (G, d)."""
    return left[:, :, None] * right[:, None, :]
