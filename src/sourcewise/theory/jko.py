"""How near the scheme of Jordan, Kinderlehrer and Otto (JKO) comes to its target: bounds.

The scheme leads the law of the data, p_0, to a target `q ∝ exp(-V)` by steps of size gamma,

    p_{n+1} ≈ argmin_p KL(p||q) + W2^2(p_n, p) / (2 gamma),

and draws come from q by the inverses of the maps between the laws. `KL(.||q)` is lam-convex along
generalised geodesics, as it is where `V - lam |x|^2 / 2` is convex: lam = 1 for q = N(0, I). The
step is inexact by its first-order residual

    xi_{n+1}(x) = grad V(x) + grad log p_{n+1}(x) - (T(x) - x) / gamma,    T from p_{n+1} to p_n,

of length at most eps in L2(p_{n+1}). With W_n = W2(p_n, q), the evolution variational inequality
(EVI) is

    (1 + gamma lam/2) W_{n+1}^2 + 2 gamma KL(p_{n+1}||q) <= W_n^2 + 2 gamma eps^2/lam.

It is derived here, from convexity and `eps |v| <= eps^2/lam + lam |v|^2/4`, and all bounds follow
from it with their constants. The paper (arXiv 2310.17582) states `KL = O(eps^2)` after
`O(log(1/eps))` steps; we could not read its constants. A value beyond floats is inf.

| function | of what |
|---|---|
| `w2_bound`, `kl_bound` | the law after n steps |
| `fewest_steps`, `steps_by_rule` | how many steps it takes |
| `kl_by_rule` | the law one step after those of the rule |
| `smoothing` | data without a density, led a little way to q before the first step |
| `inversion` | inverses of the maps that are not exact |
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.errors import InputError
from sourcewise.theory import sampling
from sourcewise.theory.checks import above, numbers, plain, positive, wholes

__all__ = [
    "fewest_steps",
    "inversion",
    "kl_bound",
    "kl_by_rule",
    "smoothing",
    "steps_by_rule",
    "w2_bound",
]

_MOST = 1e15  # steps


def w2_bound(W2: ArrayLike, gamma: ArrayLike, lam: ArrayLike, eps: ArrayLike, n: ArrayLike) -> Any:
    """`W2^2(p_n, q) <= (1 + gamma lam/2)^-n W2^2(p_0, q) + 4 eps^2/lam^2`; its square root.

    Derived here: the EVI without its KL, step by step (arXiv 2310.17582 has its form).

    >>> round(w2_bound(3.0, gamma=0.5, lam=1, eps=0.01, n=40), 4)
    0.04

    Args:
        W2: `W2(p_0, q)`, >= 0.
        gamma: size of the steps, > 0.
        lam: convexity, lam > 0.
        eps: residual, eps >= 0.
        n: number of steps, n >= 0.
    """
    convexity = above("lam", lam)
    rate = np.log1p(above("gamma", gamma) * convexity / 2) / 2
    left = numbers("W2", W2, 0) * np.exp(-wholes("n", n, 0) * rate)
    with np.errstate(over="ignore"):
        return plain(np.hypot(left, 2 * numbers("eps", eps, 0) / convexity))


def kl_bound(W2: ArrayLike, gamma: ArrayLike, lam: ArrayLike, eps: ArrayLike, n: ArrayLike) -> Any:
    """`KL(p_n||q) <= B^2/(2 gamma) + eps^2/lam`, with B the `w2_bound` one step before.

    Derived here: the EVI of the last step without its W2. It is that of the draws as well,
    `KL(p_0||q_0) = KL(p_n||q)`, where inverses are exact: no map that can be inverted changes a
    KL (arXiv 2310.17582). Other arguments as for `w2_bound`.

    >>> round(kl_bound(3.0, gamma=0.5, lam=1, eps=0.01, n=40), 6)
    0.001995

    Args:
        n: number of steps, n >= 1.
    """
    before = w2_bound(W2, gamma, lam, eps, wholes("n", n, 1) - 1)
    with np.errstate(over="ignore"):
        last = numbers("eps", eps, 0) / above("lam", lam) * numbers("eps", eps, 0)
        return plain(np.square(before) / (2 * above("gamma", gamma)) + last)


def fewest_steps(W2: float, gamma: float, lam: float, eps: float, target: float) -> int | None:
    """The smallest n whose `w2_bound` is at most a target, for any gamma.

    `n >= log(W2^2/(target^2 - 4 eps^2/lam^2)) / log(1 + gamma lam/2)`. None where `2 eps/lam` is
    not below the target, and where it takes more than 10^15 steps. Derived here, by solving the
    bound for n (arXiv 2310.17582).

    >>> fewest_steps(3.0, gamma=0.5, lam=1, eps=0.01, target=0.1)
    31

    Args:
        W2: `W2(p_0, q)`, >= 0.
        gamma: size of the steps, > 0.
        lam: convexity, lam > 0.
        eps: residual, eps >= 0.
        target: largest distance, > 0.
    """

    def bound(n: ArrayLike) -> Any:
        return w2_bound(W2, gamma, lam, eps, n)

    places = (0, 1, sampling.fewest_steps(bound, target))
    return next((n for n in places if n is None or bound(n) <= target), None)


def steps_by_rule(W2: float, gamma: float, lam: float, eps: float) -> int | None:
    """`N >= (8/(gamma lam)) (log W2(p_0, q) + log(lam/eps))`, the smallest such N >= 0.

    Then `W2(p_N, q) <= sqrt(5) eps/lam`. For `gamma lam <= 2`, where
    `log(1 + gamma lam/2) >= gamma lam/4`. Derived here, in the form of arXiv 2310.17582;
    `fewest_steps` needs no more for the same distance. None where it takes more than 10^15 steps.

    >>> steps_by_rule(3.0, gamma=0.5, lam=1, eps=0.01)
    92
    >>> fewest_steps(3.0, gamma=0.5, lam=1, eps=0.01, target=5**0.5 * 0.01)
    52

    Args:
        W2: `W2(p_0, q)`, > 0.
        gamma: size of the steps, > 0, `gamma lam <= 2`.
        lam: convexity, lam > 0.
        eps: residual, eps > 0.
    """
    product = positive("gamma", gamma) * positive("lam", lam)
    if product > 2:
        raise InputError(f"gamma lam must be at most 2, got {product:g}")
    logs = math.log(positive("W2", W2)) + math.log(lam) - math.log(positive("eps", eps))
    return max(0, math.ceil(8 * logs / product)) if 8 * logs <= _MOST * product else None


def kl_by_rule(gamma: ArrayLike, lam: ArrayLike, eps: ArrayLike) -> Any:
    """`KL(p_{N+1}||q) <= (5/(2 gamma lam^2) + 1/lam) eps^2`, N by `steps_by_rule` or more.

    Derived here: `kl_bound` where `W2(p_N, q) <= sqrt(5) eps/lam`. The paper states it as
    `O(eps^2)` (arXiv 2310.17582). Arguments as for `w2_bound`.

    >>> round(kl_by_rule(gamma=0.5, lam=1, eps=0.01), 6)
    0.0006
    """
    error = numbers("eps", eps, 0)
    with np.errstate(over="ignore"):
        ratio = error / above("lam", lam)
        return plain(2.5 * np.square(ratio) / above("gamma", gamma) + ratio * error)


def smoothing(delta: ArrayLike, M2: ArrayLike, d: ArrayLike) -> Any:
    """`W2^2(P, rho_delta) <= (1 - e^-delta)^2 M2 + (1 - e^-2delta) d`; its square root.

    Where data P have no density the scheme starts from rho_delta, the law of
    `e^-delta X + sqrt(1 - e^-2delta) Z` with Z of N(0, I): the Ornstein-Uhlenbeck flow after time
    delta. Derived here, from the pairs (X, that); for a single point it is an equality (arXiv
    2310.17582 starts so too).

    >>> round(smoothing(0.01, M2=4.0, d=2), 4)
    0.2

    Args:
        delta: time, delta >= 0.
        M2: `E|X|^2`, >= 0.
        d: dimension, d >= 1.
    """
    time = numbers("delta", delta, 0)
    moved = np.square(np.expm1(-time)) * numbers("M2", M2, 0)
    return plain(np.sqrt(moved - np.expm1(-2 * time) * numbers("d", d, 1)))


def inversion(eps_inv: ArrayLike, gamma: ArrayLike, K: ArrayLike, N: ArrayLike) -> Any:
    """`W2(q~_0, q_0) <= eps_inv (e^{gamma K N} - 1) / (e^{gamma K} - 1)`.

    q_0 is the law of draws by the exact inverses of N maps, q~_0 that of the inverses at hand.
    Each of these is off by eps_inv in L2 of the law that it is given, and the exact ones are
    Lipschitz by `e^{gamma K}`. Derived here, step by step; the paper (arXiv 2310.17582) proves
    such a bound, but we could not read its constants.

    >>> round(inversion(0.001, gamma=0.5, K=0.2, N=40), 4)
    0.5096
    >>> inversion(0.001, gamma=0.5, K=0, N=40)
    0.04

    Args:
        eps_inv: error of each inverse, >= 0.
        gamma: size of the steps, > 0.
        K: growth, K >= 0.
        N: number of steps, N >= 1.
    """
    growth, steps = above("gamma", gamma) * numbers("K", K, 0), wholes("N", N, 1)
    growth, steps = np.broadcast_arrays(growth, steps)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # both expm1 by e^growth, so that only the result can overflow
        large = np.expm1(-growth * steps) / np.expm1(-growth) * np.exp(growth * (steps - 1))
    factor = np.where(growth > 0, large, steps)
    error = numbers("eps_inv", eps_inv, 0)
    return plain(np.where(error == 0, 0.0, np.where(error > 0, error, 1.0) * factor))
