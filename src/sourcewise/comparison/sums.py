"""Sums over the rows of a repetition, by parts: what an exact fit asks of them, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.comparison.scores import FOLDS
from sourcewise.encoders.base import Coding, MomentCoding, Rows
from sourcewise.moments import MomentParts

__all__ = ["Sums"]

ROOM, TIMES = 1 << 22, 4  # numbers that sums may take: ROOM, and TIMES those of the rows


@dataclass(frozen=True)
class Sums:
    """By fold, jackknife group and source."""

    own: MomentParts  # by the rows' sources
    shuffled: MomentParts | None  # by permuted labels, if a strategy trains on such
    groups: int  # G, of the jackknife

    @staticmethod
    def part(fold: Tensor, group: Tensor, groups: int) -> Tensor:
        """The number of a fold and jackknife group, among all pairs."""
        return fold * groups + group

    @property
    def fold_and_group(self) -> tuple[Tensor, Tensor]:
        """(P,) each: of every part."""
        part = torch.arange(FOLDS * self.groups)
        return part // self.groups, part % self.groups

    @classmethod
    def of(
        cls,
        coding: Coding,
        rows: Rows,
        labels: Sequence[Tensor],
        fold: Tensor,
        group: Tensor,
        groups: int,
        K: int,
    ) -> "Sums | None":
        """Add prepared rows up.

        Args:
            coding: theirs.
            rows: n of them.
            labels: (n,) sources of the rows, and permuted ones if these are wanted.
            fold: (n,) of each row.
            group: (n,) of each row, of the jackknife.
            groups: G, their number.
            K: number of sources.

        Returns:
            None where the coding or gaps need more than sums, or where rows are so few and wide
            that their sums would be larger than they are.
        """
        n, d = len(rows), coding.variables
        if not isinstance(coding, MomentCoding):
            return None
        if 3 * d * d * min(n, FOLDS * groups * K) > ROOM + TIMES * n * d:
            return None
        part = cls.part(fold, group, groups)
        own, *others = (coding.moment_parts(rows, y, part, K) for y in labels)
        return None if own is None else cls(own, others[0] if others else None, groups)
