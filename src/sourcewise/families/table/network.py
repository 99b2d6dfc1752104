"""A network that reads every column of a row given the columns before it.

    h_j = label + G c + position_j + sum_{i < j} (embedding_i(z_i) + A_i phi(t_i))    (width w)
    h <- h + down(gelu(up(norm(h))))                             (L times, for all columns alike)
    scores_j = heads_j norm(h_j),   mixture_j = B_j norm(h_j)

c are given columns, if there are such. A number speaks by its place t on the scale of its column
(`layout`), through features phi that are smooth; categories, missing values and values that are
alone in a code have embeddings of their own. All columns are done at once; of h_j, nothing depends
on the places from j on.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sourcewise.families.table.layout import Layout, Placed, TableColumn
from sourcewise.families.table.mixture import LogisticMixture
from sourcewise.networks.given import given_layer, with_given
from sourcewise.networks.layers import Embedding, LayerNorm, Linear, per_member
from sourcewise.networks.transformer import Drop
from sourcewise.randomness import Noise

__all__ = ["ColumnNetwork", "features"]

WAVES = 4  # of the rank, among the features of a number


def features(t: Tensor) -> Tensor:
    """(..., 1 + WAVES) of places t (...) on a scale: `t / 2` and `cos(pi k F)`, F the rank."""
    k = torch.arange(1, WAVES + 1, dtype=t.dtype, device=t.device)
    waves = (math.pi * k * t.sigmoid()[..., None]).cos()
    return torch.cat([t[..., None] / 2, waves], -1)


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
    """Scores of each column's slots, which need not be equally many.

    Args:
        columns: D of them. The slot that is all of a scale has the score 0.
        width: of the states.
    """

    def __init__(self, columns: Sequence[TableColumn], width: int):
        super().__init__()
        self.bound = 0.2 / math.sqrt(width)
        counts = torch.tensor([len(column.scored) for column in columns])
        slots = torch.tensor([column.slots for column in columns])
        total, at = sum(len(column.scored) for column in columns), torch.arange(_most(columns))
        self.weight = nn.Parameter(torch.empty(total, width)) if total else None
        self.bias = nn.Parameter(torch.empty(total)) if total else None
        learned, ends = at < counts[:, None], counts.cumsum(0)  # (D, S)
        rows = torch.where(learned, (ends - counts)[:, None] + at, 0)
        fixed = torch.where(at < slots[:, None], 0.0, -torch.inf)
        tables = {"learned": learned, "rows": rows, "fixed": fixed, "last": slots - 1}
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    learned: Tensor
    rows: Tensor
    fixed: Tensor
    last: Tensor

    def forward(self, h: Tensor, first: int = 0) -> Tensor:
        """(..., B, D, S) scores of h (..., B, D, width), -inf beyond a column's slots.

        Args:
            h: states of the columns first, first + 1, ...
            first: the number of the first of them.
        """
        columns = slice(first, first + h.shape[-2])
        rows, fixed = self.rows[columns], self.fixed[columns]
        if self.weight is None or self.bias is None:
            return fixed.expand(*h.shape[:-1], -1)
        weight = self.weight.index_select(-2, rows.flatten()).unflatten(-2, rows.shape)
        bias = self.bias.index_select(-1, rows.flatten()).unflatten(-1, rows.shape)
        scores = h.transpose(-2, -3) @ weight.mT + bias[..., None, :]  # (..., D, B, S)
        return torch.where(self.learned[columns], scores.transpose(-2, -3), fixed)

    def reset(self, noise: Noise) -> None:
        """Draw the weights; all slots of a column start about equally likely."""
        if self.weight is None or self.bias is None:
            return
        draws = noise.of("weight").uniform(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_((2 * draws - 1) * self.bound)
        self.bias.data.zero_()


def _most(columns: Sequence[TableColumn]) -> int:
    return max(column.slots for column in columns)


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


class ColumnLinear(nn.Module):
    """A linear map for each of N columns: `W_n x_n (+ b_n)`.

    Args:
        columns: N.
        inputs: size of the last axis of x.
        outputs: size of the last axis of the result.
        scale: entries of W start uniform within `scale / sqrt(inputs)`.
        start: (outputs,) where b starts; None: there is no b.
    """

    def __init__(
        self, columns: int, inputs: int, outputs: int, scale: float, start: Tensor | None = None
    ):
        super().__init__()
        self.bound, self.start = scale / math.sqrt(inputs), start
        self.weight = nn.Parameter(torch.empty(columns, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(columns, outputs)) if start is not None else None

    def forward(self, x: Tensor, at: slice = slice(None)) -> Tensor:
        """(..., B, N, outputs) of x (..., B, N, inputs), of the columns `at`."""
        out = x.transpose(-2, -3) @ self.weight[..., at, :, :].mT  # (..., N, B, outputs)
        if self.bias is not None:
            out = out + self.bias[..., at, None, :]
        return out.transpose(-2, -3)

    def reset(self, noise: Noise) -> None:
        """Draw W."""
        draws = noise.uniform(*self.weight.shape, dtype=self.weight.dtype)
        self.weight.data.copy_((2 * draws - 1) * self.bound)
        if self.bias is not None and self.start is not None:
            self.bias.data.copy_(self.start.to(self.bias))


class Cells(nn.Module):
    """What the place of a column adds to the states of later ones.

    Args:
        layout: of the columns.
        width: of the states.
        scale: of what it adds, at the start.
    """

    def __init__(self, layout: Layout, width: int, scale: float):
        super().__init__()
        last = len(layout.columns) - 1  # nothing comes after the last column
        rows, total = torch.full((last, layout.slot.shape[1]), -1), 0
        for j, column in enumerate(layout.columns[:last]):
            rows[j, column.own] = torch.arange(total, total + len(column.own))
            total += len(column.own)
        self.numbers = [j for j in layout.numbers if j < last]
        self.own = Embedding(total, width, scale) if total else None
        count = len(self.numbers)
        self.smooth = ColumnLinear(count, 1 + WAVES, width, 3 * scale) if count else None
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("at", torch.tensor(self.numbers, dtype=torch.int64), persistent=False)

    rows: Tensor
    at: Tensor

    def forward(self, placed: Placed, like: Tensor) -> Tensor:
        """(..., B, D - 1, w) of all columns but the last, in the precision of `like`."""
        last, w = len(self.rows), like.shape[-1]
        code, t, ordered = (v[..., :last] for v in (placed.code, placed.t, placed.ordered))
        row = self.rows[torch.arange(last, device=code.device), code]
        out = like.new_zeros(*code.shape, w)
        if self.own is not None:
            out = self.own(row.clamp(min=0)) * (row >= 0)[..., None]
        if self.smooth is not None:
            t, ordered = (v.index_select(-1, self.at) for v in (t.to(like), ordered))
            added = self.smooth(features(t) * ordered[..., None])
            out = out.index_add(-2, self.at, added.to(out))  # autocast has it in lower precision
        return out

    def one(self, placed: Placed, column: int, like: Tensor) -> Tensor:
        """(B, w) of one column, its places (B, 1)."""
        row = self.rows[column, placed.code[:, 0]]
        out = like.new_zeros(len(row), like.shape[-1])
        if self.own is not None:
            out = self.own(row.clamp(min=0)) * (row >= 0)[..., None]
        if self.smooth is not None and column in self.numbers:
            n = self.numbers.index(column)
            phi = features(placed.t.to(like)) * placed.ordered[..., None]
            out = out + self.smooth(phi, slice(n, n + 1))[:, 0]
        return out


class ColumnNetwork(nn.Module):
    """See the module.

    Args:
        layout: of D columns.
        K: number of labels.
        width: w.
        layers: L.
        hidden: width of the perceptrons.
        components: of the mixtures.
        C: number of given columns.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        K: int,
        width: int,
        layers: int,
        hidden: int,
        components: int,
        C: int = 0,
    ):
        super().__init__()
        # Cells and heads start small: marginals are learned first, dependence where it pays. On
        # tables of a few hundred rows that is worth more than any size or dropout.
        scale, gain = 0.3, 1 / math.sqrt(max(1, layers))
        D = len(layout.columns)
        self.numbers = layout.numbers
        self.labels = Embedding(K, width, scale)
        self.given = given_layer(C, width, scale)
        self.positions = Positions(D, width, scale)
        self.cells = Cells(layout, width, scale / 3) if D > 1 else None
        self.blocks = nn.ModuleList(Block(width, hidden, gain) for _ in range(layers))
        self.last = LayerNorm(width)
        self.heads = Heads(layout.columns, width)
        start, count = LogisticMixture.start(components), len(self.numbers)
        size = 3 * components
        self.mixtures = ColumnLinear(count, width, size, 0.2, start) if count else None
        at = torch.tensor(self.numbers, dtype=torch.int64)
        self.register_buffer("at", at, persistent=False)

    at: Tensor

    def forward(
        self, placed: Placed, y: Tensor, c: Tensor | None = None, drop: Drop | None = None
    ) -> tuple[Tensor, LogisticMixture | None]:
        """(..., B, D, S) scores of each column's slots, and (..., B, N) mixtures of the N numbers.

        Args:
            placed: (..., B, D); the last column does not matter.
            y: (..., B) labels.
            c: (..., B, C) given columns.
            drop: what training does to the n-th update.
        """
        start = self.start(y, c)[..., None, :]  # (..., B, 1, w)
        h = start
        if self.cells is not None:
            h = torch.cat([h, h + self.cells(placed, h).cumsum(-2)], -2)
        h = self._states(h, 0, drop)
        if self.mixtures is None:
            return self.heads(h), None
        raw = self.mixtures(h.index_select(-2, self.at)).to(start)
        return self.heads(h), LogisticMixture.of(raw)

    def start(self, y: Tensor, c: Tensor | None) -> Tensor:
        """(..., B, w) what labels (..., B) and given columns (..., B, C) make of the states."""
        return with_given(self.labels(y), c, self.given)

    def next(self, total: Tensor, j: int) -> tuple[Tensor, LogisticMixture | None]:
        """Scores (B, S) and mixtures (B,) of column j after `start` + earlier cells (B, w)."""
        h = self._states(total[:, None], j, None)
        scores = self.heads(h, j)[:, 0]
        if self.mixtures is None or j not in self.numbers:
            return scores, None
        n = self.numbers.index(j)
        return scores, LogisticMixture.of(self.mixtures(h, slice(n, n + 1))[:, 0])

    def cell(self, placed: Placed, column: int, like: Tensor) -> Tensor:
        """(B, w) what places (B, 1) of a column add to the states of later ones."""
        assert self.cells is not None
        return self.cells.one(placed, column, like)

    def _states(self, h: Tensor, first: int, drop: Drop | None) -> Tensor:
        h = self.positions(h, first)
        for number, block in enumerate(self.blocks):
            update = block(h)
            h = h + (update if drop is None else drop(update, number))
        return self.last(h)
