"""What the study's flows are trained on: two normal laws, and two mixtures, on the plane."""

import math
from typing import Protocol

import torch
from torch import Tensor

from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.truths.gaussian import GaussianTruth
from sourcewise.truths.normal_mixture import NormalMixture

__all__ = ["NAMES", "Known", "Normal", "rows", "truth_named"]

NAMES = ("normal", "mixture")
TURNED = (math.pi / 4, -math.pi / 6)  # axes of the covariances
MEANS = ((2.0, -1.0), (-1.0, 1.0))  # in these axes
SPREADS = ((0.5, 2.0), (1.5, 0.4))


class Known(Protocol):
    """A law by source with a density."""

    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise) -> Tensor:
        """(B, 2) draws."""
        ...

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """(B,) log densities."""
        ...


class Normal(GaussianTruth):
    """Two normal laws, whose samples have their means and covariances exactly.

    So a flow's moments differ from those of the scheme by its own errors alone.
    """

    @classmethod
    def usual(cls) -> "Normal":
        """Those of the study."""
        mean, spread = _double(MEANS), _double(SPREADS)
        axes = torch.stack([_turn(angle) for angle in TURNED])
        covariance = axes @ torch.diag_embed(spread.square()) @ axes.mT
        return cls((axes @ mean[..., None])[..., 0], torch.linalg.cholesky(covariance))

    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """(B, 2) draws, three of a source at least."""
        z = noise.each(y).normal(2)
        for k in y.unique().tolist():
            z[y == k] = _standard(z[y == k])
        return self.mean[y] + (self.scale_tril[y] @ z[..., None])[..., 0]

    def in_axes(self, x: Tensor, k: int) -> Tensor:
        """(B, 2) rows in the axes of the covariance of source k."""
        return x @ _turn(TURNED[k])


def truth_named(name: str) -> Known:
    """One of `NAMES`."""
    if name == "normal":
        return Normal.usual()
    angle = 2 * math.pi * torch.arange(4, dtype=torch.float64) / 4
    cross = 1.4 * torch.stack([angle.cos(), angle.sin()], 1)
    row = _double(((-1.6, -0.8), (-0.5, 0.9), (0.6, -0.8), (1.7, 0.9)))
    quarter = torch.full((2, 4), 0.25, dtype=torch.float64)
    return NormalMixture(quarter, torch.stack([cross, row]), torch.full_like(quarter, 0.4))


def rows(truth: Known, n: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Draws (n, 2) and their sources (n,), in turns."""
    y = torch.arange(n) % 2
    return truth.sample(y, noise=noise), y


def _standard(z: Tensor) -> Tensor:
    """Rows of mean 0 and covariance I."""
    z = z - z.mean(0)
    L = torch.linalg.cholesky(z.T @ z / len(z))
    return torch.linalg.solve_triangular(L, z.T, upper=False).T


def _turn(angle: float) -> Tensor:
    cos, sin = math.cos(angle), math.sin(angle)
    return _double(((cos, -sin), (sin, cos)))


def _double(values: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
