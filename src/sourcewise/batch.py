"""What models see: encoded examples with their sources, given columns and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.forms import Ragged, take

__all__ = ["Batch", "chunks", "joined", "needed"]


@dataclass(frozen=True)
class Batch:
    """Encoded examples; with S models at once, every tensor has a leading axis S.

    Args:
        x: B encoded examples.
        y: (B,) their sources.
        c: (B, C) given columns, encoded; None: there are none.
        size: (B,) float64 units that an example's score is divided by: 1, or its symbols.
    """

    x: Tensor | Ragged
    y: Tensor
    c: Tensor | None
    size: Tensor

    @classmethod
    def of(
        cls, x: Tensor | Ragged, y: Tensor, c: Tensor | None = None, size: Tensor | None = None
    ) -> "Batch":
        """Every example is one unit if size is None."""
        return cls(x, y, c, torch.ones(y.shape, dtype=torch.float64) if size is None else size)

    def __len__(self) -> int:
        return self.y.shape[-1]

    @property
    def device(self) -> torch.device:
        """Where x is."""
        return self.x.device

    @property
    def tensor(self) -> Tensor:
        """x of examples that are no sequences, or that are padded."""
        assert isinstance(self.x, Tensor)
        return self.x

    def take(self, index: Tensor) -> "Batch":
        """The examples at `index`, (B',) integers or a mask."""
        c = None if self.c is None else take(self.c, index)
        return Batch(take(self.x, index), self.y[index], c, self.size[index])

    def at(self, index: Tensor) -> "Batch":
        """(*index.shape) examples where x is; sequences padded with -1: what losses take."""
        x, device = self.x, self.device
        found = x.padded(index) if isinstance(x, Ragged) else x[index.to(device)]
        c = None if self.c is None else self.c[index.to(self.c.device)]
        return Batch(found, self.y[index].to(device), c, self.size[index].to(device))

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> "Batch":
        """On a device; numbers of x and c that are not whole in a precision, if one is given."""
        x = self.x
        x = _to(x, device, dtype) if isinstance(x, Tensor) else x.to(device)
        c = None if self.c is None else _to(self.c, device, dtype)
        return Batch(x, self.y.to(device), c, self.size.to(device))


def _to(x: Tensor, device: str | torch.device, dtype: torch.dtype | None) -> Tensor:
    return x.to(device, dtype if x.is_floating_point() else None)


def needed(c: Tensor | None) -> Tensor:
    """Given columns, for a model that is conditioned on some.

    Raises:
        InputError: there are none.
    """
    if c is None:
        raise InputError("this model is conditioned on given columns, and was given none")
    return c


def joined(parts: Sequence[Batch]) -> Batch:
    """The examples of several batches, one after another."""
    if len(parts) == 1:
        return parts[0]
    given = [part.c for part in parts if part.c is not None]
    return Batch(
        _joined([part.x for part in parts]),
        torch.cat([part.y for part in parts]),
        torch.cat(given) if given else None,
        torch.cat([part.size for part in parts]),
    )


def _joined(parts: Sequence[Tensor | Ragged]) -> Tensor | Ragged:
    if isinstance(parts[0], Ragged):
        return Ragged.joined([part for part in parts if isinstance(part, Ragged)])
    return torch.cat([part for part in parts if isinstance(part, Tensor)])


def chunks(x: Tensor | Ragged, most: int = 1 << 15) -> list[Tensor]:
    """Indices of all examples, cut so that a chunk holds at most about `most` symbols (or rows).

    Sequences come shortest first, so that little is padding.
    """
    if not isinstance(x, Ragged):
        return list(torch.arange(len(x)).split(max(1, most // 8)))
    lengths = x.lengths + 1
    order = torch.argsort(lengths, stable=True)
    parts, start = [], 0
    sorted_lengths = lengths[order].tolist()
    for i, longest in enumerate(sorted_lengths):
        if i > start and (i - start + 1) * longest > most:
            parts.append(order[start:i])
            start = i
    return [*parts, order[start:]] if len(x) else []
