"""Sums over rows that fits ask for: of the rows at hand, or of moments that parts add up to."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sourcewise.moments import Moments

__all__ = ["MomentSums", "RowSums", "Sums"]

ROWS = 1 << 16  # that are looked at together


class Sums(Protocol):
    """What a fit asks of the rows of K sources."""

    @property
    def counts(self) -> Tensor:
        """(K,) numbers of rows."""
        ...

    @property
    def means(self) -> Tensor:
        """(K, d) the sources' own."""
        ...

    def scatter(self, mu: Tensor, group: Tensor, G: int, diagonal: bool) -> tuple[Tensor, Tensor]:
        """Of residuals `r = x - mu_y` in groups of sources.

        Args:
            mu: (K, d).
            group: (K,) of each source; -1 for none.
            G: number of groups.
            diagonal: only diagonal entries count.

        Returns:
            mean r r', (G, d, d), and sum |r r'|^2, (G,).
        """
        ...


@dataclass(frozen=True)
class RowSums:
    """Sums over rows (n, d) of sources y (n,), taken when they are asked for."""

    x: Tensor
    y: Tensor
    K: int

    @property
    def counts(self) -> Tensor:
        """See `Sums`."""
        return torch.bincount(self.y, minlength=self.K)

    @property
    def means(self) -> Tensor:
        """See `Sums`."""
        sums = self.x.new_zeros(self.K, self.x.shape[1]).index_add_(0, self.y, self.x)
        return sums / self.counts[:, None]

    def scatter(self, mu: Tensor, group: Tensor, G: int, diagonal: bool) -> tuple[Tensor, Tensor]:
        """See `Sums`."""
        d = self.x.shape[1]
        S, fourth = self.x.new_zeros(G, d, d), self.x.new_zeros(G)
        for g in range(G):
            whole = bool((group == g).all())
            own = torch.arange(len(self.y)) if whole else (group[self.y] == g).nonzero().squeeze(1)
            for rows in own.split(ROWS):
                r = self.x[rows] - mu.index_select(0, self.y[rows])
                squares = r.square()
                if diagonal:
                    S[g].diagonal().add_(squares.sum(0))
                    fourth[g] += squares.square().sum()
                else:
                    S[g] += r.T @ r
                    fourth[g] += squares.sum(1).square().sum()
            S[g] /= len(own)
        return S, fourth


@dataclass(frozen=True)
class MomentSums:
    """Sums that moments of K sources give."""

    moments: Moments

    @property
    def counts(self) -> Tensor:
        """See `Sums`."""
        return self.moments.count

    @property
    def means(self) -> Tensor:
        """See `Sums`."""
        return self.moments.mean

    def scatter(self, mu: Tensor, group: Tensor, G: int, diagonal: bool) -> tuple[Tensor, Tensor]:
        """See `Sums`."""
        residual, used = self.moments.about(mu), (group >= 0).nonzero().squeeze(1)
        where = group[used]
        n = mu.new_zeros(G).index_add_(0, where, self.counts[used])
        S = mu.new_zeros(G, *residual.second.shape[1:])
        S = S.index_add_(0, where, residual.second[used]) / n[:, None, None]
        S = torch.diag_embed(S.diagonal(dim1=1, dim2=2)) if diagonal else S
        each = residual.fourth
        each = each.diagonal(dim1=1, dim2=2).sum(1) if diagonal else each.sum((1, 2))
        return S, mu.new_zeros(G).index_add_(0, where, each[used])
