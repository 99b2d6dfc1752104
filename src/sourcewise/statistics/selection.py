"""The best of many: intervals that hold whichever it is.

The best of P estimates was chosen for its errors too. An interval of its lead holds in spite of
that if it is one of intervals that hold for all pairs of candidates together: with
`T_ij = (d_ij - true d_ij) / SE_ij` and c the quantile of `max_{i,j} |T_ij|`,

    d_ij - c SE_ij <= true d_ij <= d_ij + c SE_ij   for all i, j, at the level asked for.

So the lead of the best over *all* others is at least `min_j (d_ij - c SE_ij)` (multiple
comparisons with the best). c comes from draws with the correlations of the candidates' scores.

Choosing on all folds of the rows but one and confirming on that one, each fold in turn, looks like
an alternative and is none: the folds pull against each other, and among equal candidates the
95 % interval of such a confirmation covers less than 90 % of the time (a test holds both to it).

Reference:
    Hsu, "Simultaneous confidence intervals for all distances from the 'best'", 1981, Annals of
    Statistics 9. Tukey's all pairs, with correlations as they are.
"""

from dataclasses import dataclass

import numpy as np

from sourcewise.statistics.interval import LEVEL

__all__ = ["Familywise", "Ranked", "ranked"]

DRAWS = 40_000


@dataclass(frozen=True)
class Ranked:
    """P candidates in the order of their mean scores.

    Args:
        order: (P,) the best first.
        again: (V,) the best without each fold of the rows.
    """

    order: np.ndarray
    again: np.ndarray

    @property
    def steady(self) -> int:
        """Of how many folds the choice is independent: without them it is the same."""
        return int((self.again == self.order[0]).sum())


def ranked(
    scores: np.ndarray,
    fold: np.ndarray,
    stratum: np.ndarray,
    weight: np.ndarray,
    sizes: np.ndarray | None = None,
) -> Ranked:
    """Candidates ranked by their weighted mean of strata, of all rows and without each fold.

    >>> scores = np.array([[1.0, 1, 1, 1], [0, 0, 0, 0], [5, 0, 0, 0]])
    >>> found = ranked(scores, np.arange(4), np.zeros(4, int), np.ones(1))
    >>> found.order.tolist(), found.steady  # the first row alone speaks for the third candidate
    ([2, 0, 1], 3)

    Args:
        scores: (P, n) of P candidates; higher is better.
        fold: (n,) in {0, ..., V - 1}; units are whole.
        stratum: (n,) in {0, ..., K - 1}.
        weight: (K,) of each stratum's mean; where a choice has no row of one, it does without.
        sizes: (n,) units of each row, above 0; None: each row is one.
    """
    s = np.ones(len(fold)) if sizes is None else sizes
    V, K = int(fold.max()) + 1, len(weight)
    cell = fold * K + stratum
    sums = np.stack([np.bincount(cell, weights=row, minlength=V * K) for row in scores])
    sums, size = sums.reshape(-1, V, K), np.bincount(cell, weights=s, minlength=V * K)
    size = size.reshape(V, K)
    whole, total = sums.sum(1), size.sum(0)
    every = _means(whole[:, None], total[None], weight)[:, 0]
    without = _means(whole[:, None] - sums, total - size, weight)  # (P, V)
    return Ranked(np.argsort(-every, kind="stable"), without.argmax(0))


def _means(sums: np.ndarray, size: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(P, V) weighted means over the strata that have rows, of sums (P, V, K)."""
    there = np.where(size > 1e-9, weight, 0.0)
    return (sums / np.where(size > 1e-9, size, 1.0) * there).sum(-1) / there.sum(-1)


@dataclass(frozen=True)
class Familywise:
    """How tests and intervals of all pairs of P candidates hold together.

    Args:
        largest: draws of the largest |T| of all pairs, sorted.
        df: degrees of freedom of T.
    """

    largest: np.ndarray
    df: float

    @classmethod
    def of(cls, covariance: np.ndarray, df: float, seed: int = 0) -> "Familywise":
        """Of estimates with a covariance (P, P), up to a factor; `seed` is of the draws."""
        P = len(covariance)
        i, j = np.triu_indices(P, 1)
        own, variance = covariance[i, i] + covariance[j, j], np.diag(covariance)
        apart = own - 2 * covariance[i, j] > 1e-12 * own  # the others are one candidate
        i, j = i[apart], j[apart]
        if not len(i):
            i, j, covariance = np.array([0]), np.array([P - 1]), np.eye(P)
            variance = np.ones(P)
        spread = np.sqrt(variance[i] + variance[j] - 2 * covariance[i, j])
        values, vectors = np.linalg.eigh(covariance)
        rng = np.random.default_rng(seed)
        draws = rng.standard_normal((DRAWS, P)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
        largest = (np.abs(draws[:, i] - draws[:, j]) / spread).max(1)
        return cls(np.sort(largest / np.sqrt(rng.chisquare(df, DRAWS) / df)), df)

    def level(self, together: float = LEVEL) -> float:
        """The level of each interval for which all hold together.

        >>> round(Familywise.of(np.eye(2), 1e6).level(), 2)  # one pair: nothing to adjust
        0.95
        >>> round(Familywise.of(np.eye(5), 1e6).level(), 3)  # Tukey's range, q / sqrt(2) = 2.728
        0.994
        """
        from scipy.special import stdtr

        c = float(np.quantile(self.largest, together))
        return max(together, 1 - 2 * float(stdtr(self.df, -c)))

    def adjusted(self, p: float) -> float:
        """The chance that the largest |T| of all pairs is as large as one whose p-value is p."""
        from scipy.special import stdtrit

        c = -float(stdtrit(self.df, p / 2)) if p > 0 else np.inf
        return max(p, 1 - np.searchsorted(self.largest, c) / len(self.largest))
