"""Known distributions on the square [0,1]^2 whose sources share a shape that is moved for each.

Source k of K is displaced from the centre in its own direction,

    d_k = shift (cos(2 pi k / K), sin(2 pi k / K)),

so that `shift` says how far sources differ: 0 makes them identical.

| kind | shape | per source | density |
|---|---|---|---|
| rings | two circles around one centre | displaced | normals along the curves |
| moons | two half circles, interlocked | displaced and turned | normals along the curves |
| checkerboard | every other of n x n cells | displaced, torus | 1 + a g(x_1) g(x_2) |

Curves are sums of normals at equal distances of at most one standard deviation, which ripples by
`2 exp(-2 pi^2) = 5e-9` of the density, each truncated to the square: log_prob is exact. So is the
checkerboard's: g is a square wave of period two cells, or a sine (`smooth`), a the contrast.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.theory.checks import number, whole
from sourcewise.truths.box import BoxMixture

__all__ = ["SQUARES", "Checkerboard", "checkerboard", "moons", "rings"]

RADIUS = 0.32  # of the circle around the centre that holds the curves
FARTHEST = 0.15  # shift: curves stay inside
NARROWEST = 1e-3


def rings(K: int, shift: float = 0.1, width: float = 0.03) -> BoxMixture:
    """Circles of radius .32 and .16 around `(1/2, 1/2) + d_k`, in proportion to their lengths.

    >>> truth = rings(K=3)
    >>> y = torch.tensor([0, 1, 2])
    >>> x = truth.sample(y, noise=Noise(0))
    >>> x.shape, truth.log_prob(x, y).shape
    (torch.Size([3, 2]), torch.Size([3]))

    Args:
        K: sources.
        shift: length of d_k, in [0, .15].
        width: standard deviation across the curves, in [.001, .15].
    """
    circles = [
        radius * _direction(2 * math.pi * torch.arange(n, dtype=torch.float64) / n)
        for radius in (RADIUS, RADIUS / 2)
        if (n := math.ceil(2 * math.pi * radius / _narrow(width)))
    ]
    turns = torch.zeros(whole("K", K, 1), dtype=torch.float64)
    return _along(torch.cat(circles), turns, shift, width)


def moons(K: int, shift: float = 0.1, width: float = 0.03) -> BoxMixture:
    """Two half circles that reach into each other, displaced by d_k and turned.

    The angles of the sources are equally spaced from `-shift / .32` to `shift / .32`: no point is
    moved farther by its turn than by d_k. One source alone is not turned.

    Arguments as for `rings`.

    >>> truth = moons(K=2, shift=0.0)  # identical sources
    >>> x = truth.sample(torch.zeros(4).long(), noise=Noise(0))
    >>> torch.equal(truth.log_prob(x, torch.tensor(0)), truth.log_prob(x, torch.tensor(1)))
    True
    """
    unit = RADIUS / math.hypot(1.5, 0.25)  # radius of a half circle
    points = math.ceil(math.pi * unit / _narrow(width)) + 1
    t = torch.linspace(0, math.pi, points, dtype=torch.float64)
    upper = _direction(t) - torch.tensor([0.5, 0.25])
    curve = unit * torch.cat([upper, -upper])
    most = shift / RADIUS if whole("K", K, 1) > 1 else 0.0
    return _along(curve, torch.linspace(-most, most, K, dtype=torch.float64), shift, width)


def checkerboard(
    K: int, shift: float = 0.1, cells: int = 4, contrast: float = 1.0, smooth: bool = False
) -> "Checkerboard":
    """Every other of `cells x cells` squares, displaced by d_k; what leaves comes in opposite.

    >>> truth = checkerboard(K=1, shift=0.0)
    >>> x = torch.tensor([[0.1, 0.1], [0.1, 0.4]])
    >>> truth.log_prob(x, torch.tensor(0)).exp().tolist()
    [2.0, 0.0]

    Args:
        K: sources.
        shift: length of d_k, in [0, .15].
        cells: n per side, even.
        contrast: a, in [0, 1]; 1: no density at all in the other squares.
        smooth: a sine in place of a square wave.
    """
    if whole("cells", cells, 2) % 2:
        raise InputError(f"cells must be an even number, got {cells}")
    offset = _displacements(whole("K", K, 1), shift)
    return Checkerboard(offset, cells, number("contrast", contrast, 0, 1), smooth)


@dataclass(frozen=True)
class Checkerboard:
    """`p(x|k) = 1 + a g(n (x_1 - d_k1)) g(n (x_2 - d_k2))`, g(t) = sin(pi t) or its sign.

    With whole periods on each side the second term integrates to 0, and it changes sign where x_1
    is displaced by one cell: a uniform point that stays with probability p(x)/2, and is displaced
    (on the torus) otherwise, follows p.

    Args:
        offset: d, (K, 2).
        cells: n, even.
        contrast: a, in [0, 1].
        smooth: whether g is the sine.
    """

    offset: Tensor
    cells: int
    contrast: float
    smooth: bool

    @property
    def K(self) -> int:
        """Sources."""
        return len(self.offset)

    @property
    def D(self) -> int:
        """Coordinates."""
        return 2

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """(...) natural log of the density at x (..., 2) under sources y; -inf where it is 0."""
        inside = ((x >= 0) & (x <= 1)).all(-1)
        return torch.where(inside, torch.log1p(self._wave(x.to(self.offset), y)), -torch.inf)

    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """(B, 2) one point per entry of y (B,)."""
        u = noise.each(y).uniform(3).to(self.offset)
        x, stays = u[:, :2], 2 * u[:, 2] < 1 + self._wave(u[:, :2], y)
        moved = torch.stack([(x[:, 0] + 1 / self.cells) % 1, x[:, 1]], 1)
        return torch.where(stays[:, None], x, moved)

    def _wave(self, x: Tensor, y: Tensor) -> Tensor:
        """(...) `a g g`."""
        t = self.cells * (x - self.offset[y])
        if self.smooth:
            return self.contrast * torch.sin(math.pi * t).prod(-1)
        return self.contrast * (1 - 2 * (t.floor().sum(-1) % 2))


SQUARES: dict[str, Callable[..., BoxMixture | Checkerboard]] = {
    "rings": rings,
    "moons": moons,
    "checkerboard": checkerboard,
}


def _narrow(width: float) -> float:
    return number("width", width, NARROWEST, FARTHEST)


def _direction(angle: Tensor) -> Tensor:
    """(..., 2) unit vectors."""
    return torch.stack([angle.cos(), angle.sin()], -1)


def _displacements(K: int, shift: float) -> Tensor:
    """(K, 2) d."""
    angle = 2 * math.pi * torch.arange(K, dtype=torch.float64) / K
    return number("shift", shift, 0, FARTHEST) * _direction(angle)


def _along(curve: Tensor, turn: Tensor, shift: float, width: float) -> BoxMixture:
    """Normals at the points of a curve (C, 2) around 0, turned by angles (K,) and displaced."""
    K, C = len(turn), len(curve)
    a, b = _direction(turn).unbind(-1)
    rotation = torch.stack([torch.stack([a, b], -1), torch.stack([-b, a], -1)], -2)  # (K, 2, 2)
    mean = 0.5 + _displacements(K, shift)[:, None] + curve @ rotation  # (K, C, 2)
    weight = torch.full((K, C), 1 / C, dtype=torch.float64)
    return BoxMixture(weight, mean, torch.full_like(mean, width))
