"""How near the draws of a rectified flow come to the data: bounds on Euler's steps.

A rectified flow draws by `dZ_t = v(Z_t, t) dt` from noise at t = 0 to data at t = 1, where v is
the mean of X_1 - X_0 given `X_t = (1-t) X_0 + t X_1` (arXiv 2209.03003). Euler's scheme takes T
equal steps with a learned field, which is Lipschitz in x by L and off by eps at each of its times,
in L2 along the exact path. How far paths are from straight ones is

    gamma_{2,T} = max_j T ∫_{I_j} E|dv/dt|^2 dt,    dv/dt = v_t + (v . grad) v,

along the path, with I_j the T intervals. Within a step of length h = 1/T the exact field turns
away by at most `h^2 sqrt(gamma_{2,T}/3)` in all, and a step stretches errors by at most 1 + L h.
The bounds sum that: they are derived here, with the structure of arXiv 2410.14949 (we could not
read its constants).

No theorem claims that two rectifications always suffice: versions 1 to 5 of arXiv 2410.14949 did,
and its later versions withdraw their proof. `theory.rectified_mixture` has gamma_{2,T} and L of
mixtures, `theory.rectified_normal` the normal laws whose map is optimal after one rectification.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory import sampling
from sourcewise.theory.checks import Floats, numbers, plain, positive, wholes

__all__ = ["fewest_steps", "stretch", "w2_bound", "w2_of_steps"]


def stretch(L: ArrayLike) -> Any:
    """`(e^L - 1)/L`, 1 at L = 0: what errors along the way become at its end.

    The sum of Gronwall's inequality (see arXiv 2410.14949). inf where it is beyond floats.

    >>> round(stretch(4.0), 4), stretch(0)
    (13.3995, 1.0)

    Args:
        L: Lipschitz constant of the field, L >= 0.
    """
    rate = numbers("L", L, 0)
    with np.errstate(over="ignore"):
        return plain(np.where(rate > 0, np.expm1(rate) / np.where(rate > 0, rate, 1.0), 1.0))


def w2_bound(L: ArrayLike, eps: ArrayLike, gamma2: ArrayLike, T: ArrayLike) -> Any:
    """`W2 <= ((e^L - 1)/L) (eps + sqrt(gamma_{2,T}/3)/T)`.

    Between the data and what T steps of Euler's scheme draw. So straight paths, where gamma_{2,T}
    is 0, need one step. Derived here, with the structure of arXiv 2410.14949. inf where it is
    beyond floats.

    >>> round(w2_bound(1.0, eps=0.01, gamma2=3.0, T=100), 4)
    0.0344

    Args:
        L: Lipschitz constant of the field, L >= 0.
        eps: error of the field, eps >= 0.
        gamma2: gamma_{2,T}, >= 0.
        T: number of steps, T >= 1.
    """
    return plain(_product(np.asarray(stretch(L)), _local(eps, gamma2, T)))


def w2_of_steps(L: ArrayLike, eps: ArrayLike, gamma2: ArrayLike, T: ArrayLike) -> Any:
    """`W2 <= (((1 + L/T)^T - 1)/L) (eps + sqrt(gamma_{2,T}/3)/T)`: the steps counted one by one.

    Never above `w2_bound`, and far below it where L is large and T small: one step stretches
    nothing, whatever L is. Derived here (see arXiv 2410.14949). Arguments as for `w2_bound`.

    >>> round(w2_of_steps(4.0, eps=0.1, gamma2=3.0, T=1), 4)
    1.1
    >>> round(w2_bound(4.0, eps=0.1, gamma2=3.0, T=1), 4)
    14.7395
    """
    return plain(_product(_stretch_of_steps(L, T), _local(eps, gamma2, T)))


def fewest_steps(L: float, eps: float, gamma2: float, target: float) -> int | None:
    """`T >= sqrt(gamma_{2,T}/3) / (target L/(e^L - 1) - eps)`: the smallest, by `w2_bound`.

    With one gamma_{2,T} for all T: the largest, `max_t E|dv/dt|^2`. None where the error of the
    field alone comes to the target, and where it takes more than 10^15 steps. Derived here (see
    arXiv 2410.14949).

    >>> fewest_steps(1.0, eps=0.01, gamma2=3.0, target=0.1)
    21

    Args:
        L: Lipschitz constant of the field, L >= 0.
        eps: error of the field, eps >= 0.
        gamma2: gamma_{2,T}, >= 0.
        target: largest distance, > 0.
    """

    def bound(T: ArrayLike) -> Any:
        return w2_bound(L, eps, gamma2, T)

    return 1 if bound(1) <= positive("target", target) else sampling.fewest_steps(bound, target)


def _local(eps: ArrayLike, gamma2: ArrayLike, T: ArrayLike) -> Floats:
    bend = np.sqrt(numbers("gamma2", gamma2, 0) / 3)
    return numbers("eps", eps, 0) + bend / wholes("T", T, 1)


def _stretch_of_steps(L: ArrayLike, T: ArrayLike) -> Floats:
    """`((1 + L/T)^T - 1)/L`, 1 at L = 0."""
    rate, steps = np.broadcast_arrays(numbers("L", L, 0), wholes("T", T, 1))
    grown = np.where(rate > 0, rate, 1.0)
    with np.errstate(over="ignore"):
        return np.where(rate > 0, np.expm1(steps * np.log1p(grown / steps)) / grown, 1.0)


def _product(factor: Floats, error: Floats) -> Floats:
    """Their product: 0 where there is no error, even beyond floats."""
    with np.errstate(over="ignore"):
        return np.where(error > 0, factor * np.where(error > 0, error, 1.0), 0.0)
