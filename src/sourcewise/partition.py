"""A partition groups the sources into blocks; one model is trained per block.

One block is pooled training, K blocks is separate training (multi-source and single-source in
arXiv 2502.14583, section 3); anything between is a grouping. Indices only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Partition"]


@dataclass(frozen=True)
class Partition:
    """Disjoint blocks of sources. Sources in no block are not modelled.

    >>> Partition.pooled(3).blocks, Partition.separate(3).blocks
    (((0, 1, 2),), ((0,), (1,), (2,)))
    >>> Partition(((0, 2), (1,))).parameters(shared=10, specific=1)
    23

    Args:
        blocks: each a non-empty tuple of source indices; no source twice.
    """

    blocks: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        members = [source for block in self.blocks for source in block]
        if any(not block for block in self.blocks) or any(source < 0 for source in members):
            raise ValueError("blocks hold one or more source indices, each >= 0")
        if len(set(members)) != len(members):
            raise ValueError("a source stands in one block only")

    @classmethod
    def pooled(cls, K: int) -> "Partition":
        """All K sources in one block."""
        return cls((tuple(range(K)),))

    @classmethod
    def separate(cls, K: int) -> "Partition":
        """Each of K sources in a block of its own."""
        return cls(tuple((k,) for k in range(K)))

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def sources(self) -> tuple[int, ...]:
        """The sources that stand in some block, ascending."""
        return tuple(sorted(source for block in self.blocks for source in block))

    def block_of(self, K: int) -> list[int]:
        """The number of each of K sources' block; -1 for sources in none.

        >>> Partition(((0, 3), (2,))).block_of(4)
        [0, -1, 1, 0]
        """
        blocks = {k: j for j, block in enumerate(self.blocks) for k in block}
        return [blocks.get(k, -1) for k in range(K)]

    def keep(self, present: Iterable[int], needed: Iterable[int] | None = None) -> "Partition":
        """Only the sources `present`, in the blocks that hold one of `needed` (any, if None).

        >>> Partition(((0, 1), (2,))).keep(present=[0, 1, 2], needed=[1]).blocks
        ((0, 1),)
        """
        present = set(present)
        needed = present if needed is None else set(needed) & present
        kept = (tuple(k for k in block if k in present) for block in self.blocks)
        return Partition(tuple(block for block in kept if not needed.isdisjoint(block)))

    def parameters(self, shared: int, specific: int) -> int:
        """Free parameters: `J P_shared + K P_src` for J blocks and K sources."""
        return len(self.blocks) * shared + len(self.sources) * specific
