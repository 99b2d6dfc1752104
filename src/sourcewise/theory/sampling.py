"""How near the draws of a diffusion sampler come to the data: rates of convergence.

A sampler takes T steps from noise to data, with scores whose root mean square error over steps and
data is eps, and whose Jacobians are off by eps_J on average. For chains the error compares X_1,
data with the least noise, with Y_1, what the sampler makes.

The theorems do not state their constants, or not where we could read them. So C stands for all
that is unknown and multiplies the whole rate: a value is known *up to constants*. Where powers of
log T are unknown too, the formula here has none, and a value is known *up to constants and log
powers*. These are rates: they say what more steps or fewer dimensions are worth, not how large an
error is.

| function | of what | source |
|---|---|---|
| `ddpm` | DDPM | arXiv 2409.18959, Theorem 1 |
| `ddpm_intrinsic` | DDPM with adapted coefficients | arXiv 2409.18959 |
| `probability_flow` | the probability flow | arXiv 2408.02320 |
| `probability_flow_intrinsic` | the same | arXiv 2501.18863 |
| `known_power` | only the power of T is known | arXiv 2306.09251, 2403.03852, 2502.04849 |
| `accelerated_stochastic` | an accelerated stochastic sampler | arXiv 2410.23285 |
| `higher_order` | a deterministic sampler of order K | arXiv 2506.24042 |
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory.checks import Floats, above, numbers, plain, positive, whole

__all__ = [
    "FALLS",
    "accelerated_stochastic",
    "ddpm",
    "ddpm_intrinsic",
    "fewest_steps",
    "higher_order",
    "known_power",
    "probability_flow",
    "probability_flow_intrinsic",
]

FALLS = math.ceil(math.e**3)  # the steps from which `log^3 T / T` falls
_MOST = 10**15  # steps that are searched


def ddpm(d: ArrayLike, T: ArrayLike, eps: ArrayLike = 0.0, C: ArrayLike = 1.0) -> Any:
    """`TV <= C (d log^3 T / T + eps sqrt(log T))` (arXiv 2409.18959, Theorem 1).

    >>> round(ddpm(10, T=1000, eps=0.01), 4)
    3.3225

    Args:
        d: dimension, d >= 1.
        T: steps, T >= 2.
        eps: error of the scores, eps >= 0.
        C: the unknown constant, C > 0.
    """
    steps, log = _steps(T)
    rate = numbers("d", d, 1) * log**3 / steps + numbers("eps", eps, 0) * np.sqrt(log)
    return plain(above("C", C) * rate)


def ddpm_intrinsic(k: ArrayLike, T: ArrayLike, eps: ArrayLike = 0.0, C: ArrayLike = 1.0) -> Any:
    """`TV <= C (k / T + eps)`, log powers unknown (arXiv 2409.18959).

    The steps draw noise of variance `(1 - alpha_t)(alpha_t - abar_t)/(1 - abar_t)`. Other
    arguments as for `ddpm`.

    >>> ddpm_intrinsic(4, T=1000, eps=0.01)
    0.014

    Args:
        k: intrinsic dimension of the data, k >= 1.
    """
    rate = numbers("k", k, 1) / _steps(T)[0] + numbers("eps", eps, 0)
    return plain(above("C", C) * rate)


def probability_flow(
    d: ArrayLike,
    T: ArrayLike,
    eps: ArrayLike = 0.0,
    eps_J: ArrayLike = 0.0,
    C: ArrayLike = 1.0,
) -> Any:
    """`TV <= C (d / T + sqrt(d) eps + d eps_J)`, log powers unknown (arXiv 2408.02320).

    For data in a bounded region, and `T >= d^2` up to constants and log powers. Other arguments as
    for `ddpm`.

    >>> round(probability_flow(10, T=1000, eps=0.01), 4)
    0.0416

    Args:
        eps_J: error of the Jacobians of the scores, eps_J >= 0.
    """
    dim = numbers("d", d, 1)
    errors = np.sqrt(dim) * numbers("eps", eps, 0) + dim * numbers("eps_J", eps_J, 0)
    return plain(above("C", C) * (dim / _steps(T)[0] + errors))


def probability_flow_intrinsic(
    k: ArrayLike,
    d: ArrayLike,
    T: ArrayLike,
    eps: ArrayLike = 0.0,
    eps_J: ArrayLike = 0.0,
    C: ArrayLike = 1.0,
) -> Any:
    """`TV <= C ((k + log d) log^3 T / T + (eps + eps_J) log T)` (arXiv 2501.18863).

    Arguments as for `ddpm_intrinsic`, `probability_flow` and `ddpm`.

    >>> round(probability_flow_intrinsic(4, 10, T=1000, eps=0.01), 4)
    2.1465

    Args:
        k: intrinsic dimension of the data, k >= 1.
        eps_J: error of the Jacobians of the scores, eps_J >= 0.
    """
    steps, log = _steps(T)
    errors = numbers("eps", eps, 0) + numbers("eps_J", eps_J, 0)
    dims = numbers("k", k, 1) + np.log(numbers("d", d, 1))
    return plain(above("C", C) * (dims * log**3 / steps + errors * log))


def known_power(T: ArrayLike, power: ArrayLike, C: ArrayLike = 1.0) -> Any:
    """`C T^-power`: the rate where no more than the power of T is known.

    | sampler | distance | power | source |
    |---|---|---|---|
    | probability flow, DDPM | TV | 1, 1/2 | arXiv 2306.09251 |
    | accelerated flow, accelerated DDPM | TV | 2, 1 | arXiv 2403.03852 |
    | first order, second order | W2 | 1/2, 1 | arXiv 2502.04849 |

    The last are stated as the steps for an error, eps^-2 and eps^-1. Other arguments as for
    `ddpm`.

    >>> known_power(1000, 2), known_power(100, 0.5)
    (1e-06, 0.1)

    Args:
        power: of T, power > 0.
    """
    return plain(above("C", C) * _steps(T)[0] ** -above("power", power))


def accelerated_stochastic(d: ArrayLike, T: ArrayLike, C: ArrayLike = 1.0) -> Any:
    """`TV <= C d^(5/2) / T^2`, log powers unknown: `T = d^(5/4) / sqrt(TV)` (arXiv 2410.23285).

    Arguments as for `ddpm`.

    >>> round(accelerated_stochastic(10, T=1000), 6)
    0.000316
    """
    return plain(above("C", C) * numbers("d", d, 1) ** 2.5 / _steps(T)[0] ** 2)


def higher_order(d: ArrayLike, N: ArrayLike, K: ArrayLike, C: ArrayLike = 1.0) -> Any:
    """`TV <= C d^(K+2) / N^K`, log powers unknown: `N = d^(1+2/K) TV^(-1/K)` (arXiv 2506.24042).

    Of order K with exact scores; inf where it is beyond floats. Other arguments as for `ddpm`.

    >>> round(higher_order(10, N=1000, K=2), 9), round(higher_order(10, N=1000, K=4), 9)
    (0.01, 1e-06)

    Args:
        N: evaluations of the score in all, N >= 2.
        K: order of the sampler, K >= 1.
    """
    evaluations, order = numbers("N", N, 2), numbers("K", K, 1)
    log = (order + 2) * np.log(numbers("d", d, 1)) - order * np.log(evaluations)
    with np.errstate(over="ignore"):
        return plain(above("C", C) * np.exp(log))


def fewest_steps(bound: Callable[[ArrayLike], Any], target: float, first: int = 2) -> int | None:
    """The smallest `T >= first` with `bound(T) <= target`; None if there is none up to 10^15.

    For rates that fall from `first` on, and may rise again once errors of the scores prevail, as
    those of arXiv 2409.18959 do.

    >>> fewest_steps(lambda T: probability_flow(10, T), target=0.1)
    100

    Args:
        bound: of T, also of many at once.
        target: largest error, target > 0.
        first: the first T to look at, first >= 2.
    """
    least = positive("target", target)
    places = np.unique(np.geomspace(whole("first", first, 2), _MOST, 4000).round())
    values = bound(places)
    if values.min() > least:  # or only between two places, around the lowest
        at = int(values.argmin())
        low, high = (int(places[i]) for i in (max(at - 1, 0), min(at + 1, len(places) - 1)))
        reached = _lowest(bound, low, high)
        if bound(reached) > least:
            return None
    else:
        at = int(np.argmax(values <= least))
        low, reached = int(places[max(at - 1, 0)]), int(places[at])
    while low < reached:
        middle = (low + reached) // 2
        if bound(middle) <= least:
            reached = middle
        else:
            low = middle + 1
    return reached


def _lowest(bound: Callable[[ArrayLike], Any], low: int, high: int) -> int:
    """Where it is lowest between two numbers, if it falls and then rises."""
    while high - low > 2:
        third = (high - low) // 3
        if bound(low + third) <= bound(high - third):
            high -= third
        else:
            low += third
    return min(range(low, high + 1), key=bound)


def _steps(T: ArrayLike) -> tuple[Floats, Floats]:
    """T and log T."""
    steps = numbers("T", T, 2)
    return steps, np.log(steps)
