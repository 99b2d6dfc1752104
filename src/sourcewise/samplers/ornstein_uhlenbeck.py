"""From noise to data backwards through an Ornstein-Uhlenbeck process, by stochastic steps.

Forwards `dX = -X/2 dt + dB` from data at t = 0; backwards, with s(x, t) the score of X_t,

    dY = (Y/2 + s(Y, t)) dtau + dB,    t = T - tau.

A step of size h goes from t to t - h. Its result has the law of Y up to an error of the given
order in h over a fixed time (for smooth targets; the worst case loses half an order):

| function | order | evaluations | |
|---|---|---|---|
| `euler_maruyama` | 1 | 1 | |
| `exponential_integrator` | 1 | 1 | exact in what is linear |
| `randomised_midpoint` | 2 in the mean | 2 | |
| `randomised_exponential` | 2 in the mean | 2 | exact in what is linear |
| `local_linearisation` | 2 | score and Hessian | |

(Yu and Yu, "Advancing Wasserstein convergence analysis of score-based models: insights from
discretization and second-order acceleration", 2025.) A step draws nothing itself: normal draws z
of the shape of x, and the uniform one of the midpoint, are handed to it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "Hessian",
    "Score",
    "euler_maruyama",
    "exponential_integrator",
    "local_linearisation",
    "randomised_exponential",
    "randomised_midpoint",
]

Score = Callable[[Tensor, float], Tensor]  # x (..., d) and t to s (..., d)
Hessian = Callable[[Tensor, float], Tensor]  # likewise to (..., d, d)


def euler_maruyama(score: Score, x: Tensor, t: float, h: float, z: Tensor) -> Tensor:
    """`x + h (x/2 + s) + sqrt(h) z`."""
    return x + h * (x / 2 + score(x, t)) + math.sqrt(h) * z


def exponential_integrator(score: Score, x: Tensor, t: float, h: float, z: Tensor) -> Tensor:
    """`e^(h/2) x + 2 (e^(h/2) - 1) s + sqrt(e^h - 1) z`."""
    s = score(x, t)
    return math.exp(h / 2) * x + 2 * math.expm1(h / 2) * s + math.sqrt(math.expm1(h)) * z


def randomised_midpoint(
    score: Score, x: Tensor, t: float, h: float, z: tuple[Tensor, Tensor], u: float
) -> Tensor:
    """Euler-Maruyama to a random time in between, whose drift is that of the whole step.

        m = x + u h (x/2 + s(x, t)) + sqrt(u h) z1
        x + h (m/2 + s(m, t - u h)) + sqrt(u h) z1 + sqrt((1 - u) h) z2

    The noise up to that time is the same in both lines.

    Args:
        score: s.
        x: (..., d).
        t: where it is.
        h: step size.
        z: two standard normal draws.
        u: in [0, 1], uniform.
    """
    first, second = math.sqrt(u * h) * z[0], math.sqrt((1 - u) * h) * z[1]
    middle = x + u * h * (x / 2 + score(x, t)) + first
    return x + h * (middle / 2 + score(middle, t - u * h)) + first + second


def randomised_exponential(
    score: Score, x: Tensor, t: float, h: float, z: tuple[Tensor, Tensor], u: float
) -> Tensor:
    """The exponential integrator to a random time in between, whose score serves the whole step.

        m = e^(u h/2) x + 2 (e^(u h/2) - 1) s(x, t) + sqrt(e^(u h) - 1) z1
        e^(h/2) x + h e^((1 - u) h/2) s(m, t - u h)
            + e^((1 - u) h/2) sqrt(e^(u h) - 1) z1 + sqrt(e^((1 - u) h) - 1) z2

    Args:
        score: s.
        x: (..., d).
        t: where it is.
        h: step size.
        z: two standard normal draws.
        u: in [0, 1], uniform.
    """
    a, rest = u * h, (1 - u) * h
    first = math.sqrt(math.expm1(a)) * z[0]
    middle = math.exp(a / 2) * x + 2 * math.expm1(a / 2) * score(x, t) + first
    grown = math.exp(rest / 2)
    drift = h * grown * score(middle, t - a)
    return math.exp(h / 2) * x + drift + grown * first + math.sqrt(math.expm1(rest)) * z[1]


def local_linearisation(
    score: Score, hessian: Hessian, x: Tensor, t: float, h: float, z: Tensor
) -> Tensor:
    """The drift b is taken as linear, and solved exactly (Ozaki; Shoji).

        J = I/2 + H,   b = x/2 + s,   M = -(s/2 + H b),
        x + J^-1 (e^(Jh) - I) b + J^-2 (e^(Jh) - I - Jh) M + Q^(1/2) z,
        Q = (2J)^-1 (e^(2Jh) - I)

    M is how b moves beside what J says, `d_tau b + Laplacian b / 2`; by the Fokker-Planck equation
    its third derivatives cancel. Without M the order is 1.

    Args:
        score: s.
        hessian: H, of the log density.
        x: (..., d).
        t: where it is.
        h: step size.
        z: a standard normal draw.
    """
    s, H = score(x, t), hessian(x, t)
    values, vectors = torch.linalg.eigh(H)
    j = values + 0.5

    def turned(v: Tensor) -> Tensor:
        return (vectors.mT @ v[..., None]).squeeze(-1)

    b = x / 2 + s
    M = -(s / 2 + (H @ b[..., None]).squeeze(-1))
    change = h * _phi1(j * h) * turned(b) + h * h * _phi2(j * h) * turned(M)
    noise = (h * _phi1(2 * j * h)).sqrt() * turned(z)
    return x + (vectors @ (change + noise)[..., None]).squeeze(-1)


def _phi1(v: Tensor) -> Tensor:
    """`(e^v - 1) / v`, 1 at 0."""
    small = v.abs() < 1e-5
    safe = torch.where(small, 1.0, v)
    return torch.where(small, 1 + v / 2, safe.expm1() / safe)


def _phi2(v: Tensor) -> Tensor:
    """`(e^v - 1 - v) / v^2`, 1/2 at 0."""
    small = v.abs() < 1e-3
    safe = torch.where(small, 1.0, v)
    series = 0.5 + v / 6 + v.square() / 24 + v**3 / 120
    return torch.where(small, series, (safe.expm1() - safe) / safe.square())
