"""The localized bound for conditional Gaussians: a union bound weighed by closeness to the truth.

The general bound counts every bracket element alike; most are so far from the truth that they
could not be confused with it. For 0 < s <= 1, conditionally on the labels, with probability at
least `1 - delta`, the element above the estimate has

    sum_k (n_k/n) log(1/BC_k) <= a_s = (log Z_s + log(1/delta)) / (s n),
    Z_s >= sum over elements of prod_k BC_k^((1-s) n_k),

because `sum over {prod BC^(s n_k) < delta/Z_s} of prod BC^(n_k) <= delta` (theory, section 2).
For Gaussian brackets Z_s is a product over coordinates: see `theory.gaussian.tilt`.
A shared coordinate is counted once per block and a specific one once per source, but both widen
the bracket of each source alike: the best cells of shared coordinates are finer, by J/K for J
blocks. eps and s are optimised; s = 1 with the envelope bracket, which is `refined`, is admitted.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sourcewise.theory import checks
from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_eta
from sourcewise.theory.gaussian.tilt import Groups, log_z, make_cells
from sourcewise.theory.general import Bound, refined, worst_case

__all__ = ["localized", "localized_for_counts", "localized_for_sizes"]

Floats = NDArray[np.float64]

_CHUNK = 1 << 16
_BOTH = np.array([False, True])
_COARSE = (36, 14)  # first grid of log eta and log t, s = 1 - exp(-t)
_ZOOMS, _FINE = 4, 7  # each zoom looks one step to either side, in thirds


def localized(
    K: ArrayLike,
    n: ArrayLike,
    d: int,
    d1: ArrayLike,
    B: ArrayLike,
    delta: ArrayLike = 0.05,
    J: ArrayLike = 1,
) -> Bound:
    """The bound given balanced labels, `n_k = n/K`, in J blocks of equal size; all broadcast.

    It holds conditionally on these counts (theory, section 2). For labels that are drawn see
    `drawn.localized_drawn`, larger by little.

    Never above `refined`, which is among the candidates.

    >>> found = localized(K=5, n=5000, d=10, d1=5, B=5.0)
    >>> round(found.value, 4), 0 < found.s < 1
    (0.2849, True)

    Args:
        K: sources, whole, >= 1.
        n: examples in all, > 0.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
        B: bound on the means, > 0.
        delta: error probability, in (0, 1).
        J: blocks, in 1..K: 1 is pooled, K is separate. Blocks are equal, so J must divide K to
            speak of a partition that exists; otherwise the value interpolates, slightly below
            that of any real partition: use `localized_for_sizes`.
    """
    K, n, B, delta = checks.wholes("K", K, 1), checks.above("n", n), B, checks.confidence(delta)
    d1 = checks.wholes("d1", d1, 0, checks.whole("d", d, 1))
    J = checks.wholes("J", J, 1, K)
    given = np.broadcast_arrays(K, n, d1, checks.above("B", B), delta, J)
    shape = given[0].shape
    K, n, d1, B, delta, J = (values.ravel() for values in given)
    count, examples = np.stack([K * d1, J * (d - d1)], 1), np.stack([n / K, n / J], 1)
    groups = Groups(count, examples, _BOTH, d1[:, None], (J / K)[:, None])
    return _balanced(groups, n, d, B, delta, shape)


def localized_for_sizes(
    sizes: ArrayLike, n: ArrayLike, d: int, d1: int, B: float, delta: float = 0.05
) -> Bound:
    """The bound given balanced labels, `n_k = n/K`, in blocks of these sizes (theory, section 2).

    A block of size J_b has `n_b = n J_b/K` examples; equal sizes are `localized`.

    >>> round(localized_for_sizes([3, 2], n=5000, d=10, d1=5, B=5.0).value, 4)
    0.307

    Args:
        sizes: (J,) sources of each block, each >= 1.
        n: examples in all, > 0; broadcasts.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
        B: bound on the means, > 0.
        delta: error probability, in (0, 1).
    """
    size, times = np.unique(checks.counts(sizes, least=1), return_counts=True)
    K, J, examples = float(times @ size), float(times.sum()), checks.above("n", n)
    checks.dimensions(d, d1)
    count, share = np.append(K * d1, times * float(d - d1)), np.append(1, size) / K
    shape, n = examples.shape, examples.ravel()
    wide = np.full(len(n), checks.positive("B", B))
    level = np.full(len(n), checks.confidence(delta))
    groups = Groups(
        np.tile(count, (len(n), 1)),
        n[:, None] * share,
        np.arange(len(share)) > 0,
        np.full((len(n), 1), float(d1)),
        np.full((len(n), 1), J / K),
    )
    return _balanced(groups, n, d, wide, level, shape)


def _balanced(
    groups: Groups, n: Floats, d: int, B: Floats, delta: Floats, shape: tuple[int, ...]
) -> Bound:
    """The smaller of the tilted bound and the one of s = 1, `refined`."""
    tilted = _in_chunks(groups, n, d, B, delta)
    whole = refined(envelope_bracketing(groups.count.sum(1), d, B), n, delta)
    untilted = np.stack([whole.value, whole.epsilon, np.ones(len(n)), whole.log_number])
    best = np.where(tilted[0] < untilted[0], tilted, untilted)
    return _bound(best, n, delta, shape)


def localized_for_counts(
    counts: ArrayLike,
    d: int,
    d1: int,
    B: float,
    delta: float = 0.05,
    p: ArrayLike | None = None,
    blocks: Sequence[Sequence[int]] | None = None,
) -> Bound:
    """The bound given the counts n_k, for sources weighed by p in the average.

    With `p_k = n_k/n` it bounds by `T(eps, a_s)`. For other weights it takes the smaller of
    `max_k (p_k n/n_k) T(eps, a_s)` and, by Cauchy's inequality,
    `eps/2 + sqrt(sum_k p_k^2 n/n_k) sqrt(eps + eps^2/4 + 2 a_s)`, at most 1.

    >>> value = localized_for_counts([1000] * 5, d=10, d1=5, B=5.0).value
    >>> round(value, 4)
    0.2849

    Args:
        counts: (K,) examples per source, each >= 1.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
        B: bound on the means, > 0.
        delta: error probability, in (0, 1).
        p: (K,) weights of the sources in the average; n_k/n if None.
        blocks: sources of each block, every source once; one block of all (pooled) if None.
    """
    n_k = checks.counts(counts, least=1)
    checks.dimensions(d, d1)
    n, size = np.array([n_k.sum()]), np.array([checks.positive("B", B)])
    level = np.atleast_1d(checks.confidence(delta))
    n_b = np.array([n_k[block].sum() for block in checks.blocks(blocks, len(n_k))])
    shares = n_k / n if p is None else checks.weights(p, len(n_k))
    value_of = _weighted(shares, n_k / n)
    own, own_times = np.unique(n_k, return_counts=True)
    rest, rest_times = np.unique(n_b, return_counts=True)
    count = np.concatenate([own_times * d1, rest_times * (d - d1)])[None].astype(np.float64)
    shared = np.arange(len(own) + len(rest)) >= len(own)
    finer = np.array([[len(n_b) / len(n_k)]])
    groups = Groups(
        count, np.concatenate([own, rest])[None], shared, np.full((1, 1), float(d1)), finer
    )
    tilted = _optimise(groups, n, d, size, level, value_of)
    whole = refined(envelope_bracketing(float(count.sum()), d, B), float(n[0]), delta)
    a = np.array([whole.complexity + whole.confidence])
    value = value_of(np.array([whole.epsilon]), a)
    untilted = np.stack([value, [whole.epsilon], [1.0], [whole.log_number]])
    return _bound(np.where(tilted[0] < value, tilted, untilted), n, level, ())


def _weighted(p: Floats, share: Floats) -> Callable[[Floats, Floats], Floats]:
    """The bound for weights p from eps and a, where share is n_k/n."""
    most, spread = float(np.max(p / share)), math.sqrt(float(np.sum(p * p / share)))

    def value(eps: Floats, a: Floats) -> Floats:
        cauchy = eps / 2 + spread * np.sqrt(eps + eps * eps / 4 + 2 * a)
        return np.minimum(np.minimum(most * worst_case(eps, a), cauchy), 1.0)

    return value


def _in_chunks(groups: Groups, n: Floats, d: int, B: Floats, delta: Floats) -> Floats:
    step = max(1, _CHUNK // math.prod(_COARSE))
    parts = []
    for low in range(0, len(n), step):
        at = slice(low, low + step)
        parts.append(_optimise(groups.at(at), n[at], d, B[at], delta[at], worst_case))
    return np.concatenate(parts, axis=1)


def _optimise(
    groups: Groups,
    n: Floats,
    d: int,
    B: Floats,
    delta: Floats,
    value_of: Callable[[Floats, Floats], Floats],
) -> Floats:
    """Value, eps, s, log Z_s at the best of a grid, looked at ever closer: (4, points).

    Any point of the grid is a valid bound, so a coarse search costs sharpness, never truth.
    """
    high, low = np.log(gaussian_eta(1.0, d)), np.log(gaussian_eta(np.minimum(0.05 / n, 0.5), d))
    eta_step, t_step = (high - low) / (_COARSE[0] - 1), np.full(len(n), math.log(200) / 13)
    log_eta = low[:, None] + eta_step[:, None] * np.arange(_COARSE[0])
    log_t = math.log(0.05) + t_step[:, None] * np.arange(float(_COARSE[1]))
    best = None
    for _ in range(_ZOOMS + 1):
        found = _best_of(groups, n, d, B, delta, value_of, log_eta, log_t)
        best = found if best is None else np.where(found[0] < best[0], found, best)
        near = np.asarray(np.linspace(-1, 1, _FINE), dtype=np.float64)
        log_eta = best[4][:, None] + eta_step[:, None] * near
        log_t = best[5][:, None] + t_step[:, None] * near
        eta_step, t_step = eta_step / 3, t_step / 3
    assert best is not None
    return best[:4]


def _best_of(
    groups: Groups,
    n: Floats,
    d: int,
    B: Floats,
    delta: Floats,
    value_of: Callable[[Floats, Floats], Floats],
    log_eta: Floats,
    log_t: Floats,
) -> Floats:
    """Value, eps, s, log Z_s, log eta, log t of the best pair: (6, points)."""
    own, rest, eps = make_cells(groups, np.exp(log_eta), d, B)
    tilt = np.exp(-np.exp(log_t))[:, None, :]  # 1 - s
    log_number = log_z(groups, own, rest, tilt)
    doubt = -np.log(delta)[:, None, None]
    # Z_s >= 1, as the element above the truth has BC >= 1; rounding may say otherwise.
    a = np.maximum(log_number + doubt, 0) / ((1 - tilt) * n[:, None, None])
    value = value_of(eps, a)
    at = np.argmin(value.reshape(len(n), -1), axis=1)
    full = (value, eps, 1 - tilt, log_number, log_eta[:, :, None], log_t[:, None, :])
    rows = np.arange(len(n))
    return np.stack([np.broadcast_to(v, value.shape).reshape(len(n), -1)[rows, at] for v in full])


def _bound(best: Floats, n: Floats, delta: Floats, shape: tuple[int, ...]) -> Bound:
    value, eps, s, log_number = best
    parts = (value, eps, s, log_number, log_number / (s * n), -np.log(delta) / (s * n))
    if shape == ():
        return Bound("localized", *(float(part[0]) for part in parts))
    return Bound("localized", *(part.reshape(shape) for part in parts))
