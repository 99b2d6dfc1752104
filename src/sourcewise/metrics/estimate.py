"""What a metric returns: a number with its standard error and how it was found, per source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sourcewise.errors import InputError

__all__ = ["Estimate", "PerSource"]


@dataclass(frozen=True)
class Estimate:
    """A number, exact or estimated.

    >>> estimate = Estimate(0.5, standard_error=0.01, method="Monte Carlo")
    >>> round(estimate.low, 4), round(estimate.high, 4)
    (0.4804, 0.5196)

    Args:
        value: the number; infinite only where the true value is.
        standard_error: of the value over the simulation's draws; 0 if exact.
        method: the formula or estimator, in words.
        lowest: smallest value the quantity can have; intervals are cut there.
        highest: largest value the quantity can have.
    """

    value: float
    standard_error: float
    method: str
    lowest: float = float("-inf")
    highest: float = float("inf")

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Normal confidence interval at this level, in (0, 1)."""
        if not 0 < level < 1:
            raise InputError(f"level must be above 0 and below 1, got {level!r}")
        from scipy.special import ndtri

        half = float(ndtri((1 + level) / 2)) * self.standard_error
        return max(self.lowest, self.value - half), min(self.highest, self.value + half)

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.interval()[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.interval()[1]

    def __str__(self) -> str:
        if self.standard_error == 0:
            return f"{self.value:.4g} ({self.method})"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] ({self.method})"


@dataclass(frozen=True)
class PerSource:
    """One estimate per source, from draws that are independent between sources.

    >>> exact = [Estimate(v, 0.0, "exact") for v in (0.1, 0.3)]
    >>> result = PerSource(tuple(exact))
    >>> result.average.value, result.worst.value, result.worst_source
    (0.2, 0.3, 1)

    Args:
        estimates: (K,) in the order of the sources.
        higher_is_better: what makes a source the worst.
    """

    estimates: tuple[Estimate, ...]
    higher_is_better: bool = False

    def __len__(self) -> int:
        return len(self.estimates)

    def __getitem__(self, k: int) -> Estimate:
        return self.estimates[k]

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.estimates)

    @property
    def values(self) -> tuple[float, ...]:
        """(K,) the numbers alone."""
        return tuple(estimate.value for estimate in self)

    @property
    def average(self) -> Estimate:
        """Mean over sources, equal weights (macro)."""
        return self.weighted([1 / len(self)] * len(self))

    @property
    def worst_source(self) -> int:
        """The source with the worst value; the first of several."""
        sign = -1 if self.higher_is_better else 1
        return max(range(len(self)), key=lambda k: sign * self[k].value)

    @property
    def worst(self) -> Estimate:
        """The estimate of the worst source. From noisy estimates this extreme is biased."""
        return self[self.worst_source]

    def weighted(self, p: Sequence[float]) -> Estimate:
        """`sum_k p_k value_k` for weights p, (K,), non-negative and summing to 1."""
        if len(p) != len(self) or min(p) < 0 or abs(sum(p) - 1) > 1e-9:
            raise InputError(f"p must be {len(self)} weights >= 0 that sum to 1")
        pairs = [(w, estimate) for w, estimate in zip(p, self, strict=True) if w > 0]
        value = sum(w * estimate.value for w, estimate in pairs)
        error = sum((w * estimate.standard_error) ** 2 for w, estimate in pairs) ** 0.5
        methods = dict.fromkeys(estimate.method for estimate in self)
        first = self[0]
        return Estimate(value, error, "; ".join(methods), first.lowest, first.highest)
