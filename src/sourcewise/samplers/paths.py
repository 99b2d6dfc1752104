"""Conditional paths from noise to data, and the four ways to say what is known at a point of one.

    x_t = a(t) x + b(t) n,   n standard normal,   t in [0, 1],   data at t = 1.

A flow follows the velocity `v(x_t, t) = E[a' x + b' n | x_t]`, whose solutions have at each time
the law of x_t (Lipman et al., "Flow matching for generative modeling", 2023, theorem 1; Albergo
and Vanden-Eijnden, "Building normalizing flows with stochastic interpolants", 2023).

| path | a | b | source |
|---|---|---|---|
| `linear` | t | 1 - t | Liu, Gong and Liu, "Flow straight and fast", 2023 |
| `cosine` | sin(pi t / 2) | cos(pi t / 2) | Albergo and Vanden-Eijnden, 2023 |
| `variance-preserving` | exp(-T / 2) | sqrt(1 - exp(-T)) | Lipman et al., 2023, equations 18, 19 |

with `T = .1 s + 9.95 s^2`, s = 1 - t: the integral of the rate .1 + 19.9 s of Song et al.,
"Score-based generative modeling through stochastic differential equations", 2021. There a(0) is
.0066 and not 0, so that x_0 is only nearly normal; and b' is -infinity at t = 1, v is not.

With `W = a' b - a b' > 0`, h = 1 / W, p = -b' h and r = a' h, which are finite at all times,

    x_t = a x + b n,     h v = r x - p n;
    x = p x_t + b h v,   n = r x_t - a h v,     a p + b r = 1.

So v says what E[x | x_t] (the denoiser) and E[n | x_t] (the noise) are, at every t. The score of
x_t is -E[n | x_t] / b. The other way something is divided by: the denoiser says nothing of v at
t = 1, nor do the noise and the score where a = 0.

In terms of noise levels (`levels`) `z = x + sigma n = x_t / a` at sigma = b / a: a velocity is a
denoiser in the sense of `denoising`, and goes through its samplers. As all is linear in v,
`denoising.guided` guides velocities as it does denoisers.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.samplers.denoising import Denoiser
from sourcewise.samplers.levels import ou_time_of, path_time_of
from sourcewise.samplers.odes import Velocity

__all__ = ["PATHS", "Estimate", "Path", "Place", "denoiser_of", "velocity_of"]

LOWEST, HIGHEST = 0.1, 20.0  # rates of noise of the variance-preserving path, at data and at noise


@dataclass(frozen=True)
class Place:
    """A path at a time; see the module. All are finite."""

    a: Tensor
    b: Tensor
    da: Tensor  # a'
    bdb: Tensor  # b b', finite where b' is not
    h: Tensor  # 1 / W
    p: Tensor  # -b' / W

    @property
    def r(self) -> Tensor:
        """`a' / W`."""
        return self.da * self.h

    @property
    def db(self) -> Tensor:
        """b'."""
        return -self.p / self.h

    @property
    def sigma(self) -> Tensor:
        """`b / a`, infinite where a = 0."""
        return self.b / self.a


@dataclass(frozen=True)
class Estimate:
    """What is expected at x_t, each in terms of the others; all of the shape of x_t."""

    place: Place
    denoiser: Tensor  # E[x | x_t]
    noise: Tensor  # E[n | x_t]

    @property
    def velocity(self) -> Tensor:
        """`(r D - p E[n | x_t]) / h`.

        Raises:
            InputError: h = 0, the variance-preserving path at t = 1.
        """
        moved = self.place.r * self.denoiser - self.place.p * self.noise
        return _over(moved, self.place.h, "the velocity")

    @property
    def score(self) -> Tensor:
        """`-E[n | x_t] / b`.

        Raises:
            InputError: t = 1.
        """
        return _over(-self.noise, self.place.b, "the score")


@dataclass(frozen=True)
class Path(ABC):
    """A path. Times t have a shape that begins the shape of x: () is one time for all rows."""

    name: str

    @abstractmethod
    def at(self, t: Tensor) -> Place:
        """The path at times t; all of the shape of t."""

    @abstractmethod
    def _time_of(self, sigma: Tensor) -> Tensor: ...

    def time_of(self, sigma: Tensor) -> Tensor:
        """The time at which `b / a` is sigma >= 0.

        Raises:
            InputError: sigma above that at t = 0.
        """
        t = self._time_of(sigma)
        if not bool((t >= 0).all()):
            highest = float(self.at(t.new_zeros(())).sigma)
            raise InputError(f"the path {self.name} has noise levels from 0 to {highest:.4g}")
        return t

    def place(self, t: Tensor, x: Tensor) -> Place:
        """The path at times t, in a shape that multiplies x."""
        return self.at(t.reshape((*t.shape, *[1] * (x.ndim - t.ndim))))

    def point(self, x: Tensor, n: Tensor, t: Tensor) -> Tensor:
        """`x_t = a x + b n`."""
        at = self.place(t, x)
        return at.a * x + at.b * n

    def velocity(self, x: Tensor, n: Tensor, t: Tensor) -> Tensor:
        """`a' x + b' n`, what a network for v is fitted to."""
        at = self.place(t, x)
        return at.da * x + at.db * n

    def from_velocity(self, v: Tensor, x_t: Tensor, t: Tensor) -> Estimate:
        """What a velocity says, at every t."""
        at = self.place(t, x_t)
        u = at.h * v
        return Estimate(at, at.p * x_t + at.b * u, at.r * x_t - at.a * u)

    def from_denoiser(self, D: Tensor, x_t: Tensor, t: Tensor) -> Estimate:
        """What E[x | x_t] says.

        Raises:
            InputError: t = 1.
        """
        at = self.place(t, x_t)
        return Estimate(at, D, _over(x_t - at.a * D, at.b, "what a denoiser says"))

    def from_noise(self, n: Tensor, x_t: Tensor, t: Tensor) -> Estimate:
        """What E[n | x_t] says.

        Raises:
            InputError: a = 0.
        """
        at = self.place(t, x_t)
        return Estimate(at, _over(x_t - at.b * n, at.a, "what noise says"), n)

    def from_score(self, score: Tensor, x_t: Tensor, t: Tensor) -> Estimate:
        """What the score of x_t says (Tweedie: `D = (x_t + b^2 score) / a`).

        Raises:
            InputError: a = 0.
        """
        return self.from_noise(-self.place(t, x_t).b * score, x_t, t)


class _Linear(Path):
    def at(self, t: Tensor) -> Place:
        one = torch.ones_like(t)
        return Place(a=t, b=1 - t, da=one, bdb=t - 1, h=one, p=one)

    def _time_of(self, sigma: Tensor) -> Tensor:
        return path_time_of(sigma)


class _Cosine(Path):
    def at(self, t: Tensor) -> Place:
        quarter = math.pi / 2
        a, b = (quarter * t).sin(), (quarter * (1 - t)).sin()  # b is 0 at t = 1
        h = torch.full_like(t, 1 / quarter)
        return Place(a=a, b=b, da=quarter * b, bdb=-quarter * a * b, h=h, p=a)

    def _time_of(self, sigma: Tensor) -> Tensor:
        return torch.atan2(torch.ones_like(sigma), sigma) * (2 / math.pi)


class _VariancePreserving(Path):
    def at(self, t: Tensor) -> Place:
        s, rise = 1 - t, HIGHEST - LOWEST
        T, rate = (LOWEST + rise / 2 * s) * s, LOWEST + rise * s
        a, b = (-T / 2).exp(), (-(-T).expm1()).sqrt()
        return Place(a=a, b=b, da=a * rate / 2, bdb=-a * a * rate / 2, h=2 * b / (a * rate), p=a)

    def _time_of(self, sigma: Tensor) -> Tensor:
        T, rise = ou_time_of(sigma), HIGHEST - LOWEST
        return 1 - 2 * T / (LOWEST + (LOWEST**2 + 2 * rise * T).sqrt())


PATHS: dict[str, Path] = {
    path.name: path
    for path in (
        _Linear("linear"),
        _Cosine("cosine"),
        _VariancePreserving("variance-preserving"),
    )
}


def denoiser_of(velocity: Velocity, path: Path) -> Denoiser:
    """The denoiser `D(z; sigma)` of a velocity: `from_velocity` at `x_t = a z`.

    >>> def velocity(x, t):  # of standard normal data, on the linear path
    ...     return (2 * t - 1) / (t**2 + (1 - t) ** 2) * x
    >>> D = denoiser_of(velocity, PATHS["linear"])
    >>> float(D(torch.tensor(5.0), torch.tensor(2.0)))  # z / (1 + sigma^2)
    1.0
    """

    def denoiser(z: Tensor, sigma: Tensor) -> Tensor:
        t = path.time_of(sigma)
        x_t = path.place(t, z).a * z
        return path.from_velocity(velocity(x_t, t), x_t, t).denoiser

    return denoiser


def velocity_of(denoiser: Denoiser, path: Path) -> Velocity:
    """The velocity of a denoiser, for a > 0 and t < 1: the inverse of `denoiser_of`."""

    def velocity(x_t: Tensor, t: Tensor) -> Tensor:
        at = path.place(t, x_t)
        z = _over(x_t, at.a, "the velocity of a denoiser")
        return path.from_denoiser(denoiser(z, path.at(t).sigma), x_t, t).velocity

    return velocity


def _over(value: Tensor, by: Tensor, what: str) -> Tensor:
    if not bool((by != 0).all()):
        raise InputError(f"{what} is not known at an end of the path, where it is divided by 0")
    return value / by
