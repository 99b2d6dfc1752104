"""Mixtures of isotropic normals, of which all that a flow or a diffusion learns has a closed form.

    p(x | y) = sum_c w_yc N(x; m_yc, s_yc^2 I).

On a path `x_t = a x + b n`, n standard normal, the law of x_t is the mixture of means a m and
variances `V = a^2 s^2 + b^2`. With r_c(x) the shares of its components at x, `d_c = x - a m_c`,

    E[x | x_t] = sum_c r_c [m_c + a s_c^2 / V_c d_c],
    v(x, t)    = sum_c r_c [a' m_c + (a a' s_c^2 + b b') / V_c d_c],

v being the velocity `E[a' x + b' n | x_t]`. On the linear path (a = t, b = 1 - t) it is the field
of arXiv 2509.19091; at t = 0 it is E[x] - x.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["Moving", "NormalMixture"]

SLACK = 1e-5  # of the sum of weights


class Moving(Protocol):
    """A path at a time, as `samplers.paths` gives it: numbers, or (B, 1) one for each row."""

    @property
    def a(self) -> Tensor:
        """Share of x."""
        ...

    @property
    def b(self) -> Tensor:
        """Share of noise."""
        ...

    @property
    def da(self) -> Tensor:
        """a'."""
        ...

    @property
    def bdb(self) -> Tensor:
        """b b'."""
        ...


@dataclass(frozen=True)
class NormalMixture:
    """Mixtures of isotropic normals, one per source.

    >>> weight, mean = torch.ones(1, 2).double() / 2, torch.tensor([[[-1.0], [1.0]]]).double()
    >>> truth = NormalMixture(weight, mean, 0.5 * torch.ones(1, 2).double())
    >>> y = torch.zeros(2).long()
    >>> truth.sample(y, noise=Noise(0)).shape
    torch.Size([2, 1])
    >>> truth.denoise(torch.tensor([[0.0], [1.0]]).double(), torch.tensor(0.0), y).tolist()
    [[0.0], [1.0]]

    Args:
        weight: w, (K, C) >= 0, each row summing to 1.
        mean: m, (K, C, D).
        scale: s, (K, C), above 0.

    Raises:
        InputError: shapes or values beyond these.
    """

    weight: Tensor
    mean: Tensor
    scale: Tensor

    def __post_init__(self) -> None:
        shape = self.mean.shape[:2]
        if self.mean.ndim != 3 or not self.weight.shape == shape == self.scale.shape:
            raise InputError("a mixture takes weights and scales (K, C) and means (K, C, D)")
        if not bool((self.scale > 0).all()):
            raise InputError("scales of a mixture must be above 0")
        sums = (self.weight.sum(1) - 1).abs()
        if not bool((self.weight >= 0).all() and (sums < SLACK).all()):
            raise InputError("weights of a mixture must be at least 0 and sum to 1")

    @property
    def K(self) -> int:
        """Sources."""
        return len(self.mean)

    @property
    def D(self) -> int:
        """Coordinates."""
        return self.mean.shape[2]

    def mixed(self, share: Tensor | None = None) -> "NormalMixture":
        """The law without the source: one source (K = 1), of all components.

        Args:
            share: (K,) of each source, summing to 1; equal ones if None.
        """
        if share is None:
            share = torch.full_like(self.weight[:, 0], 1 / self.K)
        weight = (share[:, None] * self.weight).reshape(1, -1)
        return NormalMixture(weight, self.mean.reshape(1, -1, self.D), self.scale.reshape(1, -1))

    def noisy(self, a: Tensor, b: Tensor) -> "NormalMixture":
        """The law of `a x + b n`, for one a and b."""
        variance = a**2 * self.scale.square() + b**2
        return NormalMixture(self.weight, a * self.mean, variance.sqrt())

    def log_prob(self, x: Tensor, y: Tensor, *, c: Tensor | None = None) -> Tensor:
        """(B,) natural log of the density at x (B, D) under sources y (B,)."""
        away = x[:, None] - self.mean[y]
        return self._log_parts(away, self.scale.square()[y], y).logsumexp(-1)

    def sample(self, y: Tensor, *, c: Tensor | None = None, noise: Noise | ExampleNoise) -> Tensor:
        """(B, D) one draw per entry of y (B,)."""
        each = noise.each(y)
        below = self.weight.cumsum(1)[y]
        level = each.of("component").uniform(1).to(below) * below[:, -1:]
        chosen = torch.searchsorted(below, level, right=True)[:, 0].clamp(max=below.shape[1] - 1)
        z = each.of("normal").normal(self.D).to(self.mean)
        return self.mean[y, chosen] + self.scale[y, chosen][:, None] * z

    def denoise(self, z: Tensor, sigma: Tensor, y: Tensor) -> Tensor:
        """(B, D) `E[x | x + sigma n = z]`, for z (B, D), sigma one number and y (B,)."""
        square = self.scale.square()[y]
        variance = square + sigma**2
        away = z[:, None] - self.mean[y]
        own = self.mean[y] + (square / variance)[..., None] * away
        return self._weighted(away, variance, y, own)

    def score(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, D) gradient of the log density."""
        variance = self.scale.square()[y]
        away = x[:, None] - self.mean[y]
        return self._weighted(away, variance, y, -away / variance[..., None])

    def velocity(self, x: Tensor, y: Tensor, at: Moving) -> Tensor:
        """(B, D) v of the module at x = x_t (B, D) under sources y (B,)."""
        square, mean = self.scale.square()[y], self.mean[y]
        variance = at.a**2 * square + at.b**2
        away = x[:, None] - at.a[..., None] * mean
        pull = (at.a * at.da * square + at.bdb) / variance
        own = at.da[..., None] * mean + pull[..., None] * away
        return self._weighted(away, variance, y, own)

    def _weighted(self, away: Tensor, variance: Tensor, y: Tensor, own: Tensor) -> Tensor:
        """(B, D) of (B, C, D), by the shares of components."""
        r = self._log_parts(away, variance, y).softmax(-1)
        return (r[..., None] * own).sum(-2)

    def _log_parts(self, away: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        """(B, C) `log w_c N(x; ., V_c I)` of differences (B, C, D) and variances (B, C)."""
        exponent = away.square().sum(-1) / variance + self.D * (2 * math.pi * variance).log()
        share = self.weight / self.weight.sum(1, keepdim=True)
        return share.log()[y] - exponent / 2
