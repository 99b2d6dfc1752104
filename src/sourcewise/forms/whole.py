"""Examples without columns: what texts and images answer, for whoever must tell copies apart."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

__all__ = ["Whole", "numbered"]


class Whole(ABC):
    """A form whose examples are wholes, each one text or one image."""

    what: ClassVar[str]  # one of them is called
    rarely_twice: ClassVar[bool] = False  # whether two that are the same are worth a word

    @abstractmethod
    def take(self, index: Tensor) -> Self:
        """Those at `index` (integers or a mask)."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def same(self) -> Tensor:
        """(n,) the same number for identical examples, in order of first appearance."""

    @abstractmethod
    def keys(self) -> Iterator[str | bytes]:
        """What tells each example from others, in whatever sample they are."""

    @abstractmethod
    def counts_by_place(self) -> Iterator[Tensor] | None:
        """How often each value stands in each place; None: they are never alike by chance."""

    def near_copies(self) -> Tensor:
        """(pairs, 2) examples that are nearly, and not exactly, the same; by default none."""
        return torch.empty((0, 2), dtype=torch.int64)


def numbered(
    hashes: np.ndarray,
    equal: Callable[[Tensor, Tensor], bool],
    raw: Callable[[], Iterable[bytes]],
) -> Tensor:
    """(n,) the number of each different example, in order of first appearance.

    Args:
        hashes: (n,) of each example; different ones may share one.
        equal: whether the examples at some places equal those at others, one by one.
        raw: the bytes of each example, asked for where two share a hash.
    """
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[which] != np.arange(len(hashes)))
    if not equal(torch.from_numpy(copies), torch.from_numpy(first[which[copies]])):
        seen: dict[bytes, int] = {}
        return torch.tensor([seen.setdefault(part, len(seen)) for part in raw()])
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return torch.from_numpy(number[which])
