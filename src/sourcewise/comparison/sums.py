"""Sums over the rows of a repetition, by parts: what an exact fit asks of them, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sourcewise.encoders.base import Coding, MomentCoding, Rows
from sourcewise.moments import MomentParts

__all__ = ["Sums"]

ROOM, TIMES = 1 << 22, 4  # numbers that sums may take: ROOM, and TIMES those of the rows


@dataclass(frozen=True)
class Sums:
    """By fold, jackknife group and source."""

    own: MomentParts  # by the rows' sources
    shuffled: MomentParts | None  # by permuted labels, if a strategy trains on such

    @classmethod
    def of(
        cls, coding: Coding, rows: Rows, labels: Sequence[Tensor], part: Tensor, P: int, K: int
    ) -> "Sums | None":
        """Add prepared rows up.

        Args:
            coding: theirs.
            rows: n of them.
            labels: (n,) sources of the rows, and permuted ones if these are wanted.
            part: (n,) the part of each row, of P parts.
            P: number of parts.
            K: number of sources.

        Returns:
            None where the coding or gaps need more than sums, or where rows are so few and wide
            that their sums would be larger than they are.
        """
        n, d = len(rows), coding.variables
        if not isinstance(coding, MomentCoding):
            return None
        if 3 * d * d * min(n, P * K) > ROOM + TIMES * n * d:
            return None
        own, *others = (coding.moment_parts(rows, y, part, K) for y in labels)
        return None if own is None else cls(own, others[0] if others else None)
