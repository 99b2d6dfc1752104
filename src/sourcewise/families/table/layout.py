"""What a table's columns are to the network: which codes have a score, and where numbers lie.

A column of numbers has a scale: `t = log(F / (1 - F))`, F the share of training rows below a
value, linear within a code. Codes of a single recorded value are *alone*; the others are *dense*:
inside them lies a density. A column is one draw of a *slot*: the slots are its categories, the
values that are alone, missing, and, of numbers, the last one: a draw from all of the scale.
A missing code that is *unscored* has no slot: it is never drawn, and says nothing of a row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from sourcewise.encoders.places import code_of, within
from sourcewise.families.table.mixture import END

__all__ = ["Layout", "Placed", "TableColumn"]


@dataclass(frozen=True)
class TableColumn:
    """A column of codes.

    Args:
        codes: how many.
        counts: of numbers: the weight, at least 1, of each code but that of missing values.
        alone: of numbers: the codes of a single recorded value.
        unscored: the code that has no probability, if there is one.
    """

    codes: int
    counts: tuple[int, ...] = ()
    alone: frozenset[int] = frozenset()
    unscored: int | None = None

    @property
    def dense(self) -> list[int]:
        """The codes with a density inside."""
        return [code for code in range(len(self.counts)) if code not in self.alone]

    @property
    def own(self) -> list[int]:
        """The codes with an embedding of their own."""
        dense = set(self.dense)
        return [code for code in range(self.codes) if code not in dense]

    @property
    def scored(self) -> list[int]:
        """The codes with a slot of their own, in order."""
        return [code for code in self.own if code != self.unscored]

    @property
    def slots(self) -> int:
        """How many: of numbers, one more for all of the scale."""
        return len(self.scored) + bool(self.counts)


@dataclass(frozen=True)
class Placed:
    """Rows of places on their columns' scales, (..., D) each; t is 0 where there is no scale."""

    code: Tensor  # int64
    slot: Tensor  # int64, of the code; the last one of the column where dense
    t: Tensor  # float64, log-odds of the rank; in the middle of codes that are alone
    log_slope: Tensor  # float64, log dt/du
    low: Tensor  # float64, where the code begins on the scale
    width: Tensor  # float64, how long it is there, above 0
    dense: Tensor  # whether a density is inside
    ordered: Tensor  # whether it lies on a scale
    unscored: Tensor  # whether it has no probability

    def of(self, columns: Tensor, dtype: torch.dtype) -> "Placed":
        """Some columns (N,), in the precision of a model."""
        every = (getattr(self, item.name).index_select(-1, columns) for item in fields(self))
        return Placed(*(v.to(dtype) if v.is_floating_point() else v for v in every))


class Layout(nn.Module):
    """Tables of D columns with up to M codes; whole numbers, exact in any precision of a model."""

    def __init__(self, columns: Iterable[TableColumn]):
        super().__init__()
        self.columns = tuple(columns)
        self.numbers = [j for j, column in enumerate(self.columns) if column.counts]
        D, M = len(self.columns), max(column.codes for column in self.columns)
        slot, weight, code = (torch.zeros(D, M, dtype=torch.int64) for _ in range(3))
        dense, unscored = (torch.zeros(D, M, dtype=torch.bool) for _ in range(2))
        code = code.new_full((D, M + 1), -1)
        for j, column in enumerate(self.columns):
            weight[j, : len(column.counts)] = torch.tensor(column.counts, dtype=torch.int64)
            dense[j, column.dense] = True
            slot[j, column.dense] = len(column.scored)
            slot[j, column.scored] = torch.arange(len(column.scored))
            code[j, : len(column.scored)] = torch.tensor(column.scored, dtype=torch.int64)
            if column.unscored is not None:
                unscored[j, column.unscored] = True
        below = weight.cumsum(1) - weight
        tables = {"slot": slot, "code": code, "weight": weight, "below": below}
        tables |= {"total": weight.sum(1), "dense": dense, "unscored": unscored}
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    slot: Tensor  # (D, M) of each code
    code: Tensor  # (D, M + 1) of each slot; -1: anywhere on the scale
    weight: Tensor  # (D, M) of codes on a scale, otherwise 0
    below: Tensor  # (D, M) weight of the codes before it
    total: Tensor  # (D,) of all codes of a scale
    dense: Tensor  # (D, M)
    unscored: Tensor  # (D, M)

    def placed(self, z: Tensor, first: int = 0) -> Placed:
        """Rows (..., D') of places in the columns first, first + 1, ..."""
        code, D = code_of(z), z.shape[-1]
        column = torch.arange(first, first + D, device=z.device)
        dense, weight = self.dense[column, code], self.weight[column, code]
        below, total = self.below[column, code], self.total[column]
        after, ordered = total - below - weight, weight > 0
        u = torch.where(dense, within(z), 0.5)
        under, over = below + weight * u, after + weight * (1 - u)  # 1 - u is exact
        slope = (weight.double() * total).log() - under.log() - over.log()
        low, high = _log_odds(below, weight + after), _log_odds(below + weight, after)
        return Placed(
            code,
            self.slot[column, code],
            torch.where(ordered, under.log() - over.log(), 0.0),
            torch.where(dense, slope, 0.0),
            torch.where(ordered, low, -END),
            torch.where(ordered, high - low, 2 * END),
            dense,
            ordered,
            self.unscored[column, code],
        )

    def at(self, t: Tensor, column: int) -> tuple[Tensor, Tensor]:
        """(B,) codes and u in [0, 1] of places t (B,) float64 on the scale of a column."""
        count, total = len(self.columns[column].counts), self.total[column]
        below, weight = self.below[column, :count], self.weight[column, :count]
        rank, above = t.sigmoid() * total, (-t).sigmoid() * total
        code = (torch.searchsorted(below.double(), rank, right=True) - 1).clamp(0, count - 1)
        below, weight = below[code], weight[code]
        # From the end of the scale that is nearer: what is small there is exact.
        after = total - below - weight
        u = torch.where(t < 0, (rank - below) / weight, 1 - (above - after) / weight)
        return code, u.clamp(0, 1)


def _log_odds(below: Tensor, above: Tensor) -> Tensor:
    return (below.double().log() - above.double().log()).clamp(-END, END)
