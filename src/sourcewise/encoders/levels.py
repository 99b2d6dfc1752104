"""A column of categories <-> codes; the rare ones of very many share a code."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.encoders.base import Document

__all__ = ["LEVELS", "Levels"]

LEVELS = 200  # codes of a column at most; a code needs rows to be learned from


@dataclass(frozen=True)
class Levels:
    """The code of each category.

    Args:
        own: categories with a code of their own: `own[code]` is the category.
        shared: categories that share the last code, in equal parts.
    """

    own: tuple[int, ...]
    shared: tuple[int, ...] = ()

    @classmethod
    def of(cls, v: Tensor, categories: int) -> "Levels":
        """All categories, or the most frequent of them, have a code of their own.

        Args:
            v: (n,) int64 categories of training rows.
            categories: how many there are; one without training rows counts too.
        """
        if categories <= LEVELS:
            return cls(tuple(range(categories)))
        counts = torch.bincount(v, minlength=categories)
        ranked = counts.argsort(descending=True, stable=True).tolist()
        return cls(tuple(sorted(ranked[: LEVELS - 1])), tuple(sorted(ranked[LEVELS - 1 :])))

    @property
    def count(self) -> int:
        """The number of codes."""
        return len(self.own) + bool(self.shared)

    def place(self, v: Tensor) -> Tensor:
        """(n,) code + u for categories v: in the middle of a category's part of its code."""
        table = torch.empty(len(self.own) + len(self.shared), dtype=torch.float64)
        parts = (torch.arange(len(self.shared), dtype=torch.float64) + 0.5) / max(
            1, len(self.shared)
        )
        table[list(self.own)] = torch.arange(len(self.own), dtype=torch.float64) + 0.5
        table[list(self.shared)] = len(self.own) + parts
        return table[v.long()] if len(table) else torch.zeros_like(v)

    def codes(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) int64 codes of categories, and (n,) the log probability given the code."""
        code = self.place(v).long()
        among = torch.tensor(float(max(1, len(self.shared))), dtype=torch.float64).log()
        return code, torch.where(code == len(self.own), -among, 0.0)

    def values(self, z: Tensor) -> Tensor:
        """(n,) the categories at code + u."""
        code = z.long()
        part = ((z - code) * len(self.shared)).long()
        table = torch.tensor([*self.own, *self.shared, 0])
        return table[torch.where(code == len(self.own), code + part, code)].double()

    def to_json(self) -> Document:
        """Plain values."""
        return {"own": list(self.own), "shared": list(self.shared)}

    @classmethod
    def from_json(cls, document: Document) -> "Levels":
        """The inverse of `to_json`."""
        return cls(tuple(document["own"]), tuple(document["shared"]))
