"""Means and covariances of points that come in blocks.

Each block is summed about its own mean, and sums are joined (Chan, Golub and LeVeque, "Algorithms
for computing the sample variance", 1983), so that the size of blocks makes no difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.files import read_tensors, write_tensors

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """Mean and covariance of a sample.

    Args:
        mean: m, (d,) float64.
        covariance: S, (d, d) with divisor n - 1.
        n: rows.
    """

    mean: Tensor
    covariance: Tensor
    n: int

    @classmethod
    def of(cls, blocks: Iterable[Tensor]) -> "Summary":
        """Of points (b, d) that come in blocks.

        >>> summary = Summary.of([torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]])])
        >>> summary.mean.tolist(), summary.covariance.tolist(), summary.n
        ([3.0], [[4.0]], 3)

        Raises:
            InputError: fewer than two rows.
        """
        n, mean, scatter = 0, torch.zeros(()), torch.zeros(())
        for block in blocks:
            if not (b := len(block)):
                continue
            points = block.double()
            own = points.mean(0)
            gap, total = own - mean, n + b
            scatter = scatter + (points - own).T @ (points - own)
            scatter = scatter + torch.outer(gap, gap) * (n * b / total)
            mean, n = mean + gap * (b / total), total
        if n < 2:
            raise InputError(f"a covariance needs 2 rows, and there are {n}")
        return cls(mean, scatter / (n - 1), n)

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        rows = torch.tensor(self.n)
        write_tensors(path, {"mean": self.mean, "covariance": self.covariance, "n": rows})

    @classmethod
    def load(cls, path: Path) -> "Summary":
        """The inverse of `save`.

        Raises:
            InputError: the file is damaged, or holds something else.
        """
        found = read_tensors(path)
        if found.keys() != {"mean", "covariance", "n"}:
            raise InputError(f"{path} holds no mean, covariance and number of rows")
        return cls(found["mean"], found["covariance"], int(found["n"]))
