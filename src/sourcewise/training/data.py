"""What a model is trained on, and the batches it sees.

Which rows make up batch t of a block follows from (seed, block, t) alone: not from other blocks,
from earlier batches, or from how many processes share the work.

- *union*: all rows in random order, pass after pass; batch t are entries t B to (t+1) B - 1 of
  that endless list, so that progress in examples is exact.
- *weighted*: every entry draws a source by equal weights, then one of its rows, with replacement.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sourcewise.batch import Batch, joined
from sourcewise.forms import Ragged
from sourcewise.randomness import Noise

__all__ = ["ENOUGH", "Batches", "TrainingData", "further_splits"]

ENOUGH = 30  # validation rows: with fewer, further splits help to tell when to stop
SPLITS, LARGEST = 2, 1 / 3  # such splits, and the share of the rows that one holds out, at most


@dataclass(frozen=True)
class TrainingData:
    """Encoded rows to train on, and rows that tell when to stop.

    A handful of validation rows tells that badly. So training rows may have turns to be held out
    in further splits, which train on the validation rows instead.

    Args:
        train: n training rows.
        valid: validation rows, none if empty.
        turn: (n,) the turn 1, 2, ... of each training row, -1: it is never held out; None: there
            are no further splits.
    """

    train: Batch
    valid: Batch
    turn: Tensor | None = None

    def __len__(self) -> int:
        return len(self.train)

    @classmethod
    def plain(
        cls, x: Tensor | Ragged, y: Tensor, size: Tensor | None = None, c: Tensor | None = None
    ) -> "TrainingData":
        """Without validation rows; every row is one unit if size is None."""
        train = Batch.of(x, y, c, size)
        return cls(train, train.take(torch.empty(0, dtype=torch.int64)))

    def of(self, number: Tensor) -> "TrainingData":
        """The rows of some sources, numbered anew.

        Args:
            number: (K,) new number of each source, -1 for those to leave out.
        """
        turn = None if self.turn is None else self.turn[number[self.train.y] >= 0]
        return TrainingData(_of(self.train, number), _of(self.valid, number), turn)

    def further(self) -> list["TrainingData"]:
        """Other splits of the same rows, where validation rows are few."""
        if self.turn is None:
            return []
        train, valid = self.train, self.valid
        return [
            TrainingData(joined([train.take(~out), valid]), train.take(out))
            for out in further_splits(self.turn, len(valid))
        ]

    def merged(self) -> Batch:
        """Training and validation rows together: what an exact fit takes."""
        return joined([self.train, self.valid] if len(self.valid) else [self.train])

    def to(self, device: torch.device, dtype: torch.dtype) -> "TrainingData":
        """x and c on a device; numbers that are not whole in the precision of training."""
        train, valid = (
            replace(part.to(device, dtype), y=part.y, size=part.size)
            for part in (self.train, self.valid)
        )
        return TrainingData(train, valid, self.turn)


def further_splits(turn: Tensor, valid: int) -> list[Tensor]:
    """What further splits hold out, each other rows, so that `ENOUGH` are held out if they can be.

    Args:
        turn: (n,) of the training rows, see `TrainingData`; a split takes whole turns.
        valid: how many validation rows there are; none: nothing is ever held out.

    Returns:
        (n,) masks.
    """
    most, held = LARGEST * (len(turn) + valid), valid
    splits: list[Tensor] = []
    for number in turn[turn > 0].unique().tolist() if valid else []:
        rows = turn == number
        if held >= ENOUGH:
            break
        if splits and int((splits[-1] | rows).sum()) <= most:
            splits[-1] |= rows
        elif len(splits) < SPLITS:
            splits.append(rows)
        else:
            break
        held += int(rows.sum())
    return splits


def _of(batch: Batch, number: Tensor) -> Batch:
    y = number[batch.y]
    rows = y.ge(0).nonzero().squeeze(1)
    return replace(batch.take(rows), y=y[rows])


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
