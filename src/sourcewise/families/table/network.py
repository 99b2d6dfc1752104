"""A network that scores every column of a row of codes given the columns before it.

    h_j = label + G c + position_j + sum_{i < j} embedding_i(z_i)      (width w)
    h <- h + down(gelu(up(norm(h))))                             (L times, for all columns alike)
    scores_j = heads_j norm(h_j)                                 (one per code of column j)

c are given columns, if there are such. All columns are done at once; of h_j, nothing depends on
the codes from j on.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sourcewise.networks.given import given_layer, with_given
from sourcewise.networks.layers import Embedding, LayerNorm, Linear, per_member
from sourcewise.networks.transformer import Drop
from sourcewise.randomness import Noise

__all__ = ["ColumnNetwork"]


class Block(nn.Module):
    """A perceptron of each column's state, added to it."""

    def __init__(self, width: int, hidden: int, gain: float):
        super().__init__()
        self.norm = LayerNorm(width)
        self.up, self.down = Linear(width, hidden), Linear(hidden, width, gain=gain)

    def forward(self, h: Tensor) -> Tensor:
        """(..., width) the update of h (..., width)."""
        return self.down(nn.functional.gelu(self.up(self.norm(h))))


class Heads(nn.Module):
    """Scores of each column's codes, which need not be equally many.

    Args:
        codes: number of codes of each of D columns.
        width: of the states.
    """

    def __init__(self, codes: Sequence[int], width: int):
        super().__init__()
        total, most = sum(codes), max(codes)
        self.bound = 0.2 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(total, width))
        self.bias = nn.Parameter(torch.empty(total))
        counts, at = torch.tensor(codes), torch.arange(most)
        ends = counts.cumsum(0)
        inside = at < counts[:, None]  # (D, M)
        rows = torch.where(inside, (ends - counts)[:, None] + at, 0)
        self.register_buffer("inside", inside, persistent=False)
        self.register_buffer("rows", rows, persistent=False)

    inside: Tensor
    rows: Tensor

    def forward(self, h: Tensor, first: int = 0) -> Tensor:
        """(..., B, D, M) scores of h (..., B, D, width), -inf beyond a column's codes.

        Args:
            h: states of the columns first, first + 1, ...
            first: the number of the first of them.
        """
        columns = slice(first, first + h.shape[-2])
        rows, inside = self.rows[columns], self.inside[columns]
        weight = self.weight.index_select(-2, rows.flatten()).unflatten(-2, rows.shape)
        bias = self.bias.index_select(-1, rows.flatten()).unflatten(-1, rows.shape)
        scores = h.transpose(-2, -3) @ weight.mT + bias[..., None, :]  # (..., D, B, M)
        return scores.transpose(-2, -3).masked_fill(~inside, -torch.inf)

    def reset(self, noise: Noise) -> None:
        """Draw the weights; all codes of a column start about equally likely."""
        draws = noise.of("weight").uniform(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_((2 * draws - 1) * self.bound)
        self.bias.data.zero_()


class Positions(nn.Module):
    """One vector per column."""

    def __init__(self, columns: int, width: int, scale: float):
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(columns, width))

    def forward(self, h: Tensor, first: int = 0) -> Tensor:
        """h (..., B, D, width) with the vectors of the columns first, first + 1, ... added."""
        weight = self.weight[..., first : first + h.shape[-2], :]
        return h + (weight if weight.ndim == 2 else per_member(weight, h))

    def reset(self, noise: Noise) -> None:
        """Draw the vectors."""
        draws = noise.normal(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_(self.scale * draws)


class ColumnNetwork(nn.Module):
    """See the module.

    Args:
        codes: number of codes of each of D columns.
        K: number of labels.
        width: w.
        layers: L.
        hidden: width of the perceptrons.
        C: number of given columns.
    """

    def __init__(
        self, codes: Sequence[int], *, K: int, width: int, layers: int, hidden: int, C: int = 0
    ):
        super().__init__()
        # Cells and heads start small: marginals are learned first, dependence where it pays. On
        # tables of a few hundred rows that is worth more than any size or dropout.
        scale, gain = 0.3, 1 / math.sqrt(max(1, layers))
        before = codes[:-1]  # nothing comes after the last column
        self.labels = Embedding(K, width, scale)
        self.given = given_layer(C, width, scale)
        self.positions = Positions(len(codes), width, scale)
        self.cells = Embedding(sum(before), width, scale / 3) if before else None
        starts = torch.tensor([0, *before], dtype=torch.int64).cumsum(0)[: len(before)]
        self.register_buffer("starts", starts, persistent=False)
        self.blocks = nn.ModuleList(Block(width, hidden, gain) for _ in range(layers))
        self.last = LayerNorm(width)
        self.heads = Heads(codes, width)

    starts: Tensor

    def forward(
        self, z: Tensor, y: Tensor, c: Tensor | None = None, drop: Drop | None = None
    ) -> Tensor:
        """(..., B, D, M) scores of each column's codes, -inf where it has fewer than M.

        Args:
            z: (..., B, D) codes; those of the last column do not matter.
            y: (..., B) labels.
            c: (..., B, C) given columns.
            drop: what training does to the n-th update.
        """
        h = self.start(y, c)[..., None, :]  # (..., B, 1, w)
        if self.cells is not None:
            cells = self.cells(z[..., :-1] + self.starts)
            h = torch.cat([h, h + cells.cumsum(-2)], -2)
        return self._scores(h, 0, drop)

    def start(self, y: Tensor, c: Tensor | None) -> Tensor:
        """(..., B, w) what labels (..., B) and given columns (..., B, C) make of the states."""
        return with_given(self.labels(y), c, self.given)

    def score_next(self, total: Tensor, first: int) -> Tensor:
        """(B, M) scores of column `first` of `start` + earlier codes, the total (B, w)."""
        return self._scores(total[:, None], first, None)[:, 0]

    def cell(self, code: Tensor, column: int) -> Tensor:
        """(B, w) what codes (B,) of a column add to the states of later ones."""
        assert self.cells is not None
        return self.cells(code + self.starts[column])

    def _scores(self, h: Tensor, first: int, drop: Drop | None) -> Tensor:
        h = self.positions(h, first)
        for number, block in enumerate(self.blocks):
            update = block(h)
            h = h + (update if drop is None else drop(update, number))
        return self.heads(self.last(h), first)
