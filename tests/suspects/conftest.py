import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sourcewise.randomness import Noise
from sourcewise.sources import Sources


def redrawn(y: Tensor, share: Tensor, rate: float, noise: Noise) -> Tensor:
    """Labels, each drawn anew with a probability."""
    anew = noise.of("anew").uniform(len(y)) < rate
    edges = share.cumsum(0)
    other = torch.searchsorted(edges / edges[-1], noise.of("label").uniform(len(y)))
    return torch.where(anew, other.clamp(max=len(share) - 1), y)


class Normals:
    """Sources that are normal with unit covariance about their means, mixed by their shares."""

    def __init__(self, means, share):
        self.means = torch.tensor(means, dtype=torch.float64)
        self.share = torch.tensor(share, dtype=torch.float64)

    def draw(self, n: int, noise: Noise) -> tuple[Tensor, Tensor]:
        """(n, d) rows and (n,) their sources."""
        edges = self.share.cumsum(0)
        y = torch.searchsorted(edges, noise.of("y").uniform(n)).clamp(max=len(edges) - 1)
        return self.means[y] + noise.of("x").normal(n, self.means.shape[1]), y

    def log_density(self, x: Tensor) -> Tensor:
        """(n, J)."""
        d = x.shape[1]
        square = (x[:, None] - self.means).square().sum(2)
        return -(square + d * math.log(2 * math.pi)) / 2

    def sample(self, n: int, rate: float, noise: Noise) -> tuple[Sources, Tensor]:
        """A sample with labels some of which are wrong, and which are."""
        x, y = self.draw(n, noise)
        seen = redrawn(y, self.share, rate, noise)
        names = [f"s{k}" for k in range(len(self.share))]
        return Sources(x, seen, names, name="normals"), seen != y


@pytest.fixture
def normals() -> Normals:
    """Three sources, two of them near each other, of unequal shares."""
    return Normals([[0.0, 0.0], [2.5, 0.0], [-1.0, 5.0]], [0.5, 0.3, 0.2])


def as_numpy(*tensors: Tensor) -> list[np.ndarray]:
    """As they are."""
    return [tensor.numpy() for tensor in tensors]
