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
blocks. eps and s are optimised; `refined`, with s = 1 and the envelope bracket, is a candidate.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sourcewise.theory import checks
from sourcewise.theory.checks import Floats
from sourcewise.theory.gaussian.brackets import envelope_bracketing, gaussian_eta
from sourcewise.theory.gaussian.tilt import Groups, log_z, make_cells
from sourcewise.theory.general import Bound, least, refined, worst_case

__all__ = ["Counts", "localized"]

Value = Callable[[Floats, Floats], Floats]  # eps, a -> the bound

_CHUNK = 1 << 16
_COARSE = (36, 14)  # first grid of log eta and log t, s = 1 - exp(-t)
_ZOOMS, _FINE = 4, 7  # each zoom looks one step to either side, in thirds


@dataclass(frozen=True)
class Counts:
    """How many examples the sources and the blocks of a partition have; made by its methods.

    Sources, and blocks, that have equally many examples are one kind. Each array may have leading
    axes, as n has.
    """

    n: Floats  # (...) examples in all, > 0
    sources: Floats  # (..., kinds) how many sources are of a kind, >= 1
    n_k: Floats  # (..., kinds) examples of each of these, > 0
    blocks: Floats  # (..., kinds) how many blocks are of a kind, >= 1
    n_b: Floats  # (..., kinds) examples of each of these, > 0
    # eps and a -> the bound; `T(eps, a)` if source k weighs `n_k/n` in the average
    value_of: Value = worst_case

    @classmethod
    def equal(cls, K: ArrayLike, n: ArrayLike, J: ArrayLike = 1) -> "Counts":
        """Balanced labels, `n_k = n/K`, in J blocks of equal size; all broadcast.

        Args:
            K: sources, whole, >= 1.
            n: examples in all, > 0.
            J: blocks, in 1..K: 1 is pooled, K is separate. Blocks are equal, so J must divide K
                to speak of a partition that exists; otherwise the bound interpolates, slightly
                below that of any real partition: use `of_sizes`.
        """
        K, n = checks.wholes("K", K, 1), checks.above("n", n)
        K, n, J = np.broadcast_arrays(K, n, checks.wholes("J", J, 1, K))
        return cls(n, K[..., None], (n / K)[..., None], J[..., None], (n / J)[..., None])

    @classmethod
    def of_sizes(cls, sizes: ArrayLike, n: ArrayLike) -> "Counts":
        """Balanced labels, `n_k = n/K`, in blocks of these sizes: `n_b = n J_b/K`.

        Args:
            sizes: (J,) sources J_b of each block, each >= 1.
            n: (...) examples in all, > 0.
        """
        size, times = _alike(checks.counts(sizes, least=1))
        K, n = float(times @ size), checks.above("n", n)
        each = n[..., None]
        return cls(n, np.array([K]), each * (1 / K), times, each * (size / K))

    @classmethod
    def of_sources(
        cls,
        counts: ArrayLike,
        blocks: Sequence[Sequence[int]] | None = None,
        p: ArrayLike | None = None,
    ) -> "Counts":
        """These counts n_k, for sources weighed by p in the average.

        With `p_k = n_k/n` the bound is `T(eps, a_s)`. For other weights it is the smaller of
        `max_k (p_k n/n_k) T(eps, a_s)` and, by Cauchy's inequality,
        `eps/2 + sqrt(sum_k p_k^2 n/n_k) sqrt(eps + eps^2/4 + 2 a_s)`, at most 1.

        Args:
            counts: (K,) examples per source, each >= 1.
            blocks: sources of each block, every source once; one block of all (pooled) if None.
            p: (K,) weights of the sources in the average; n_k/n if None.
        """
        n_k = checks.counts(counts, least=1)
        n_b = np.array([n_k[block].sum() for block in checks.blocks(blocks, len(n_k))])
        (n_k_alike, sources), (n_b_alike, alike) = _alike(n_k), _alike(n_b)
        n = n_k.sum()
        value_of = worst_case if p is None else _weighted(checks.weights(p, len(n_k)), n_k / n)
        return cls(n, sources, n_k_alike, alike, n_b_alike, value_of)


def _alike(values: Floats) -> tuple[Floats, Floats]:
    """Different values, and how often each occurs."""
    value, times = np.unique(values, return_counts=True)
    return value, times.astype(np.float64)


@dataclass(frozen=True)
class _Points:
    """What is asked, a row per point."""

    groups: Groups
    n: Floats
    d: int
    B: Floats
    delta: Floats
    value_of: Value

    def at(self, rows: slice) -> "_Points":
        parts = self.n[rows], self.d, self.B[rows], self.delta[rows]
        return _Points(self.groups.at(rows), *parts, self.value_of)


def localized(
    counts: Counts, d: int, d1: ArrayLike, B: ArrayLike, delta: ArrayLike = 0.05
) -> Bound:
    """The bound given the labels, that is, conditional on the counts (theory, section 2).

    Never above `refined`. For labels that are drawn see `drawn.localized_drawn`, which is a little
    larger. All arguments broadcast.

    >>> found = localized(Counts.equal(K=5, n=5000), d=10, d1=5, B=5.0)
    >>> round(found.value, 4), 0 < found.s < 1
    (0.2849, True)
    >>> round(localized(Counts.of_sizes([3, 2], n=5000), d=10, d1=5, B=5.0).value, 4)
    0.307
    >>> round(localized(Counts.of_sources([1000] * 5), d=10, d1=5, B=5.0).value, 4)
    0.2849

    Args:
        counts: examples of the sources and the blocks.
        d: coordinates, d >= 1.
        d1: source-specific coordinates, in 0..d.
        B: bound on the means, > 0.
        delta: error probability, in (0, 1).
    """
    own = checks.wholes("d1", d1, 0, checks.whole("d", d, 1))
    given = np.broadcast_arrays(counts.n, own, checks.above("B", B), checks.confidence(delta))
    shape, size = given[0].shape, given[0].size
    n, d1, B, delta = (values.ravel() for values in given)
    sources, n_k, blocks, n_b = (
        np.broadcast_to(part, (*shape, part.shape[-1])).reshape(size, -1)
        for part in (counts.sources, counts.n_k, counts.blocks, counts.n_b)
    )
    count = np.concatenate([sources * d1[:, None], blocks * (d - d1)[:, None]], 1)
    shared = np.arange(count.shape[1]) >= sources.shape[1]
    finer = blocks.sum(1, keepdims=True) / sources.sum(1, keepdims=True)
    groups = Groups(count, np.concatenate([n_k, n_b], 1), shared, d1[:, None], finer)
    tilted = _in_chunks(_Points(groups, n, d, B, delta, counts.value_of))
    whole = refined(envelope_bracketing(count.sum(1), d, B), n, delta)
    value = counts.value_of(whole.epsilon, whole.complexity + whole.confidence)
    return best_of("localized", tilted, value, whole, n, delta, shape)


def best_of(
    form: str,
    tilted: Floats,
    value: Floats,
    whole: Bound,
    n: Floats,
    delta: Floats,
    shape: tuple[int, ...],
) -> Bound:
    """The smaller of a tilted bound (value, eps, s, log Z_s) and an untilted one, s = 1."""
    untilted = np.stack([value, whole.epsilon, np.ones(len(n)), whole.log_number])
    value, eps, s, log_number = np.where(tilted[0] < value, tilted, untilted)
    parts = (value, eps, s, log_number, log_number / (s * n), -np.log(delta) / (s * n))
    return Bound.of(form, *(part.reshape(shape) for part in parts))


def _weighted(p: Floats, share: Floats) -> Callable[[Floats, Floats], Floats]:
    """The bound for weights p from eps and a, where share is n_k/n."""
    most, spread = float(np.max(p / share)), math.sqrt(float(np.sum(p * p / share)))

    def value(eps: Floats, a: Floats) -> Floats:
        cauchy = eps / 2 + spread * np.sqrt(eps + eps * eps / 4 + 2 * a)
        return np.minimum(np.minimum(most * worst_case(eps, a), cauchy), 1.0)

    return value


def _in_chunks(points: _Points) -> Floats:
    step = max(1, _CHUNK // math.prod(_COARSE))
    starts = range(0, len(points.n), step)
    return np.concatenate([_optimise(points.at(slice(low, low + step))) for low in starts], axis=1)


def _optimise(points: _Points) -> Floats:
    """Value, eps, s, log Z_s at the best of a grid, looked at ever closer: (4, points).

    Any point of the grid is a valid bound, so a coarse search costs sharpness, never truth.
    """
    n, d = points.n, points.d
    high, low = np.log(gaussian_eta(1.0, d)), np.log(gaussian_eta(np.minimum(0.05 / n, 0.5), d))
    eta_step, t_step = (high - low) / (_COARSE[0] - 1), np.full(len(n), math.log(200) / 13)
    log_eta = low[:, None] + eta_step[:, None] * np.arange(_COARSE[0])
    log_t = math.log(0.05) + t_step[:, None] * np.arange(float(_COARSE[1]))
    best = None
    for _ in range(_ZOOMS + 1):
        found = _best_of(points, log_eta, log_t)
        best = found if best is None else np.where(found[0] < best[0], found, best)
        near = np.asarray(np.linspace(-1, 1, _FINE), dtype=np.float64)
        log_eta = best[4][:, None] + eta_step[:, None] * near
        log_t = best[5][:, None] + t_step[:, None] * near
        eta_step, t_step = eta_step / 3, t_step / 3
    assert best is not None
    return best[:4]


def _best_of(points: _Points, log_eta: Floats, log_t: Floats) -> Floats:
    """Value, eps, s, log Z_s, log eta, log t of the best pair: (6, points)."""
    own, rest, eps = make_cells(points.groups, np.exp(log_eta), points.d, points.B)
    tilt = np.exp(-np.exp(log_t))[:, None, :]  # 1 - s
    log_number = log_z(points.groups, own, rest, tilt)
    doubt = -np.log(points.delta)[:, None, None]
    # Z_s >= 1, as the element above the truth has BC >= 1; rounding may say otherwise.
    a = np.maximum(log_number + doubt, 0) / ((1 - tilt) * points.n[:, None, None])
    value = points.value_of(eps, a)
    return least(value, eps, 1 - tilt, log_number, log_eta[:, :, None], log_t[:, None, :])
