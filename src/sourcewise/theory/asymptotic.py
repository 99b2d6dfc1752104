"""The sharp law for large n, and what it is good for: sample sizes, learning curves, takeover.

For a regular parametric class that holds the truth (smooth, identifiable), with p free parameters
and n examples, the maximum-likelihood estimate has (theory, section 3; not in the paper)

    average TV ~ (2 pi n)^(-1/2) sum_k p_k E[sqrt(s' I^-1 s) | k]
              <= (2 pi n)^(-1/2) sum_k p_k sqrt(v_k)  <=  sqrt(p / (2 pi n)),
    average KL ~ p / (2n),                          v_k = E[s' I^-1 s | k],

s the score and I the information of a pair (x, y). No confidence level and no worst case: where
the assumptions hold this is what to expect, an order of magnitude below the bounds.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from sourcewise.errors import InputError
from sourcewise.theory.checks import above, number, numbers, plain

__all__ = [
    "LearningCurve",
    "asymptotic_bound",
    "effective_parameters",
    "fit_learning_curve",
    "rate",
    "sample_size_for_kl",
    "sample_size_for_tv",
    "takeover",
]


def rate(m: ArrayLike, n: ArrayLike) -> Any:
    """The paper's rate `sqrt(m/n)`, without its constant and logarithms (Theorem 4.1).

    >>> rate(30, n=3000)
    0.1

    Args:
        m: parameters, m >= 0.
        n: examples, n > 0.
    """
    return plain(np.sqrt(numbers("m", m, 0) / above("n", n)))


def asymptotic_bound(p: ArrayLike, n: ArrayLike) -> Any:
    """`sqrt(p / (2 pi n))`: limit of average TV for p parameters, from above (theory, section 3).

    Holds for any regular parametric class; Gaussians reach .97 of it at d = 10, .80 at d = 1.

    >>> round(asymptotic_bound(30, n=500), 4)
    0.0977

    Args:
        p: all free parameters, p >= 0.
        n: examples, n > 0.
    """
    return plain(np.sqrt(numbers("p", p, 0) / (2 * math.pi * above("n", n))))


def sample_size_for_tv(p: ArrayLike, target: ArrayLike) -> Any:
    """`n = p / (2 pi target^2)`: examples at which `asymptotic_bound` is target.

    inf where n is beyond floats.

    >>> round(sample_size_for_tv(30, target=0.01))
    47746

    Args:
        p: all free parameters, p >= 0.
        target: average TV, in (0, 1].
    """
    error = above("target", numbers("target", target, 0, 1))
    with np.errstate(over="ignore"):
        return plain(numbers("p", p, 0) / (2 * math.pi) / error / error)


def sample_size_for_kl(p: ArrayLike, target: ArrayLike) -> Any:
    """`n = p / (2 target)`: likewise for an average KL; arguments as for `sample_size_for_tv`.

    >>> round(sample_size_for_kl(30, target=0.01))
    1500

    Args:
        target: average KL in nats, > 0.
    """
    with np.errstate(over="ignore"):
        return plain(numbers("p", p, 0) / (2 * above("target", target)))


def effective_parameters(tv: ArrayLike, n: ArrayLike) -> Any:
    """`2 pi n R^2`: how many parameters a measured average TV R is worth (theory, section 3).

    Biased low, as R is below its bound: by .95 for Gaussians of d = 10, by 2/pi for d = 1.
    Arguments as for `asymptotic_bound`.

    >>> round(effective_parameters(0.0944, n=500), 1)
    28.0

    Args:
        tv: average TV, in [0, 1].
    """
    return plain(2 * math.pi * above("n", n) * numbers("tv", tv, 0, 1) ** 2)


@dataclass(frozen=True)
class LearningCurve:
    """`loss(n) = H + c/(2n)`, fitted; an interval for each of H and c."""

    H: float  # loss with unlimited data
    H_low: float  # its interval
    H_high: float
    c: float  # effective parameters, `tr(H^-1 J)` if the model is misspecified
    c_low: float  # its interval
    c_high: float
    level: float  # share of data sets whose intervals hold the truth, one at a time

    def loss(self, n: ArrayLike) -> Any:
        """Predicted loss at n > 0 examples."""
        return plain(self.H + self.c / (2 * above("n", n)))


def fit_learning_curve(
    n: ArrayLike, loss: ArrayLike, standard_error: ArrayLike | None = None, level: float = 0.95
) -> LearningCurve:
    """Least squares of `loss = H + c/(2n)`: c is the effective parameter count.

    With standard errors, each loss weighs one over its variance and intervals are normal ones.
    Without, losses are taken to scatter alike and intervals are t with (points - 2) degrees of
    freedom, of three points at least. If the scatter shrinks with n, that of c covers less often
    than level says: give standard errors.

    >>> curve = fit_learning_curve([100, 200, 400, 800], [2.15, 2.075, 2.0375, 2.01875])
    >>> round(curve.H, 6), round(curve.c, 6)
    (2.0, 30.0)

    Args:
        n: (points,) examples, > 0, two different ones at least.
        loss: (points,) held-out loss in nats.
        standard_error: (points,) of the losses, > 0.
        level: of the intervals, in (0, 1).
    """
    x, y = 1 / (2 * above("n", n)), numbers("loss", loss, -math.inf)
    error = np.ones_like(x) if standard_error is None else above("standard_error", standard_error)
    least = 3 if standard_error is None else 2
    if not x.shape == y.shape == error.shape or x.ndim != 1 or len(x) < least:
        raise InputError(f"n and loss must be lists of one length, at least {least} points")
    if np.ptp(x) == 0:
        raise InputError("n must hold two different sample sizes")
    design = np.stack([np.ones_like(x), x], 1) / error[:, None]
    # Columns of one size: c counts parameters, H is about 1, and x may be 1e-9.
    size = np.sqrt(np.sum(design**2, axis=0))
    gram = np.linalg.inv((design / size).T @ (design / size))
    estimate = gram @ (design / size).T @ (y / error) / size
    spread = np.sqrt(np.diag(gram)) / size
    freedom = math.inf
    if standard_error is None:
        freedom = len(x) - 2
        spread = spread * math.sqrt(np.sum((y - design @ estimate) ** 2) / freedom)
    within = number("level", level, 1e-9, 1 - 1e-9)
    reach = float(stdtrit(min(freedom, 1e9), (1 + within) / 2)) * spread
    (H, c), (dH, dc) = estimate.tolist(), reach.tolist()
    return LearningCurve(H, H - dH, H + dH, c, c - dc, c + dc, level)


def takeover(
    p_separate: ArrayLike, cost_pooled: ArrayLike, H_pooled: ArrayLike, H_separate: ArrayLike
) -> Any:
    """The n at which separate training overtakes pooled: pooling wins below it.

    `n = (p_separate - tr(H^-1 J)) / (2 (H_pooled - H_separate))`: a pooled model that cannot hold
    the truth pays `tr(H^-1 J) / (2n)` and stops at a higher loss. It is inf where pooled always
    leads (it pays no more and stops no higher, one of them less), 0 where it never does (it pays
    no less and stops no lower), and nan where it pays more but stops lower: separate leads first,
    and pooled overtakes it at `takeover(cost_pooled, p_separate, H_separate, H_pooled)`.

    >>> takeover(p_separate=50, cost_pooled=30, H_pooled=1.01, H_separate=1.0).__round__()
    1000
    >>> takeover(50, 30, 1.0, 1.0), takeover(30, 30, 1.1, 1.0), takeover(30, 50, 1.0, 1.1)
    (inf, 0.0, nan)

    Args:
        p_separate: parameters of the separate models, or c of their learning curve; >= 0.
        cost_pooled: `tr(H^-1 J)` of the pooled model, or c of its learning curve; >= 0.
        H_pooled: pooled loss with unlimited data, finite.
        H_separate: separate loss with unlimited data, finite.
    """
    saved = numbers("p_separate", p_separate, 0) - numbers("cost_pooled", cost_pooled, 0)
    lost = numbers("H_pooled", H_pooled, -math.inf) - numbers("H_separate", H_separate, -math.inf)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        n = np.where(lost > 0, saved / (2 * lost), math.inf)
    # Neither saves nor loses, or pays more at every n: no lead to be overtaken.
    n = np.where((saved <= 0) & (lost >= 0), 0.0, n)
    return plain(np.where((saved < 0) & (lost < 0), math.nan, n))
