"""What a model is trained on, and the batches it sees.

Which rows make up batch t of a block follows from (seed, block, t) alone: not from other blocks,
from earlier batches, or from how many processes share the work.

- *union*: all rows in random order, pass after pass; batch t are entries t B to (t+1) B - 1 of
  that endless list, so that progress in examples is exact.
- *weighted*: every entry draws a source by equal weights, then one of its rows, with replacement.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sourcewise.encoders.base import Z
from sourcewise.forms.ragged import Ragged
from sourcewise.forms.x import take
from sourcewise.randomness import Noise

__all__ = ["Batches", "TrainingData", "batch_of", "chunks", "joined"]


@dataclass(frozen=True)
class TrainingData:
    """Encoded rows to train on, and rows that tell when to stop.

    Args:
        z: n encoded training rows.
        y: (n,) their sources.
        sizes: (n,) units that a row's score is divided by: 1, or its symbols.
        valid_z: validation rows, none if empty.
        valid_y: their sources.
        valid_sizes: their units.
    """

    z: Z
    y: Tensor
    sizes: Tensor
    valid_z: Z
    valid_y: Tensor
    valid_sizes: Tensor

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def plain(cls, z: Z, y: Tensor, sizes: Tensor | None = None) -> "TrainingData":
        """Without validation rows; every row is one unit if sizes is None."""
        sizes = torch.ones(len(y), dtype=torch.float64) if sizes is None else sizes
        none = torch.empty(0, dtype=torch.int64)
        return cls(z, y, sizes, take(z, none), y[:0], sizes[:0])

    def of(self, number: Tensor) -> "TrainingData":
        """The rows of some sources, numbered anew.

        Args:
            number: (K,) new number of each source, -1 for those to leave out.
        """
        y, valid_y = number[self.y], number[self.valid_y]
        rows, valid = (v.ge(0).nonzero().squeeze(1) for v in (y, valid_y))
        return TrainingData(
            take(self.z, rows),
            y[rows],
            self.sizes[rows],
            take(self.valid_z, valid),
            valid_y[valid],
            self.valid_sizes[valid],
        )

    def merged(self) -> "TrainingData":
        """Training and validation rows together: what an exact fit takes."""
        if not len(self.valid_y):
            return self
        return TrainingData.plain(
            joined([self.z, self.valid_z]),
            torch.cat([self.y, self.valid_y]),
            torch.cat([self.sizes, self.valid_sizes]),
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> "TrainingData":
        """On a device; numbers that are not whole in the precision of training."""
        z, valid_z = (_to(v, device, dtype) for v in (self.z, self.valid_z))
        return replace(self, z=z, valid_z=valid_z)


def _to(z: Z, device: torch.device, dtype: torch.dtype) -> Z:
    if isinstance(z, Tensor) and z.is_floating_point():
        return z.to(device, dtype)
    return z.to(device)


def joined(parts: Sequence[Z]) -> Z:
    """Rows of several sets, one after another."""
    if isinstance(parts[0], Ragged):
        ragged = [part for part in parts if isinstance(part, Ragged)]
        lengths = torch.cat([part.lengths for part in ragged])
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        return Ragged(torch.cat([part.values for part in ragged]), offsets)
    return torch.cat([part for part in parts if isinstance(part, Tensor)])


def batch_of(z: Z, index: Tensor) -> Tensor:
    """(*index.shape, ...) the rows at `index`; sequences padded with -1."""
    return z.padded(index) if isinstance(z, Ragged) else z[index.to(z.device)]


class Batches:
    """The batches of one block.

    Args:
        y: (n,) the rows' sources within the block.
        size: B, rows in a batch; n at most.
        mixing: "union" or "weighted".
        noise: of the block.
    """

    def __init__(self, y: Tensor, size: int, mixing: Literal["union", "weighted"], noise: Noise):
        self.n, self.size, self.mixing, self.noise = len(y), min(size, len(y)), mixing, noise
        self.rows = [(y == k).nonzero().squeeze(1) for k in y.unique().tolist()]
        self.order: tuple[int, Tensor] | None = None

    def index(self, t: int) -> Tensor:
        """(B,) the rows of batch t = 0, 1, ..."""
        if self.mixing == "weighted":
            return self._weighted(self.noise.of("weighted", t))
        parts, start, end = [], t * self.size, (t + 1) * self.size
        while start < end:
            number, first = divmod(start, self.n)
            last = min(self.n, first + end - start)
            parts.append(self._permutation(number)[first:last])
            start += last - first
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, number: int) -> Tensor:
        if self.order is None or self.order[0] != number:
            self.order = number, self.noise.of("pass", number).permutation(self.n)
        return self.order[1]

    def _weighted(self, noise: Noise) -> Tensor:
        source = noise.of("source").integers(len(self.rows), self.size).tolist()
        u = noise.of("row").uniform(self.size).tolist()
        return torch.stack(
            [self.rows[k][int(v * len(self.rows[k]))] for k, v in zip(source, u, strict=True)]
        )


def chunks(z: Z, most: int = 1 << 15) -> list[Tensor]:
    """Indices of all rows, cut so that a chunk holds at most about `most` symbols (or rows).

    Sequences come shortest first, so that little is padding.
    """
    if not isinstance(z, Ragged):
        return list(torch.arange(len(z)).split(max(1, most // 8)))
    lengths = z.lengths + 1
    order = torch.argsort(lengths, stable=True)
    parts, start = [], 0
    sorted_lengths = lengths[order].tolist()
    for i, longest in enumerate(sorted_lengths):
        if i > start and (i - start + 1) * longest > most:
            parts.append(order[start:i])
            start = i
    return [*parts, order[start:]] if len(z) else []
