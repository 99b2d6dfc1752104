"""One number of the energy study: what stands beside the measured error, and how it is found."""

from dataclasses import dataclass
from statistics import mean

from sourcewise.studies.curves import Point, Strategy, compared, reason
from sourcewise.studies.energy.settings import Cell, EnergyStudySettings, Sweep
from sourcewise.theory import energy as theory
from sourcewise.theory.asymptotic import asymptotic_bound, effective_parameters
from sourcewise.theory.general import refined
from sourcewise.theory.sharing import empirical_beta

__all__ = ["EnergyPoint", "Errors", "Measured", "point"]


@dataclass(frozen=True)
class Measured:
    """One strategy in one cell; lists have a value per seed.

    Args:
        tv: average TV.
        gained: twice the log-likelihood of the training rows, fit minus truth, of all blocks.
        blocks: fitted in all seeds.
        below: how many of them are less likely than the truth.
        starts_below: how many of all starts are.
        information: n^(1/2) times average TV by the law of the information matrix.
        rank: of that matrix.
        normaliser: largest error of log Z by the rule of training, among fits.
        quadrature: largest error of `tv`, by half the nodes.
        updates: gradient steps per start.
    """

    tv: list[float]
    gained: list[float]
    blocks: int
    below: int
    starts_below: int
    information: list[float]
    rank: list[int]
    normaliser: float
    quadrature: float
    updates: int


@dataclass(frozen=True)
class Errors:
    """What was found in one cell.

    Args:
        separate: one model for each source.
        pooled: one for all.
        apart: average TV between a source and the mean of all sources, per seed.
    """

    separate: Measured
    pooled: Measured
    apart: list[float]

    def __getitem__(self, strategy: Strategy) -> Measured:
        return self.separate if strategy == "separate" else self.pooled


@dataclass(frozen=True)
class EnergyPoint(Point):
    """A point with what it is compared with.

    Args:
        D: coordinates.
        d_e: numbers per embedding.
        near: average TV of fits that start at the truth, mean over seeds.
        near_per_seed: of each seed.
        bound: the refined bound, with probability `1 - delta`; 1 says nothing.
        law: `sqrt(p / (2 pi n))`; may be above 1.
        parameters: p, of the class.
        information: the law of the information matrix of each truth, mean over seeds.
        rank: of that matrix, mean over seeds.
        effective: `2 pi n R^2` of each seed's error R, mean.
        beta_information: `beta_hat` of the two laws of the information matrix.
        apart: average TV between a source and the mean of all sources, mean over seeds.
        gained: twice the log-likelihood of the fits above the truth's, mean over seeds.
        near_gained: the same of fits that start at the truth.
        blocks: models fitted, each the likeliest of its starts.
        below: how many of them stay below the truth's likelihood.
        starts: trained in all.
        starts_below: how many of them stay below it.
        normaliser: largest error of log Z in training.
        quadrature: largest error of the measured TV of a seed.
    """

    sweep: Sweep
    D: int
    d_e: int
    near: float
    near_per_seed: tuple[float, ...]
    bound: float
    law: float
    parameters: int
    information: float
    rank: float
    effective: float
    beta_information: float | None
    apart: float
    gained: float
    near_gained: float
    blocks: int
    below: int
    starts: int
    starts_below: int
    normaliser: float
    quadrature: float


def point(
    settings: EnergyStudySettings, cell: Cell, strategy: Strategy, errors: Errors, near: Errors
) -> EnergyPoint:
    """The point of a strategy in a cell, from fits with random starts, and at the truth."""
    D, K, n, d_e = cell.D, cell.K, cell.n, cell.d_e
    found, at_truth = errors[strategy], near[strategy]
    sizes, J = settings.sizes(D, d_e), 1 if strategy == "pooled" else K
    p = int(theory.m(sizes, K, J))
    return EnergyPoint(
        **{name: size for name, size in cell._asdict().items() if name != "near"},
        **compared(errors.separate.tv, errors.pooled.tv, strategy, K)._asdict(),
        **{name: getattr(found, name) for name in _COUNTS},
        strategy=strategy,
        near=mean(at_truth.tv),
        near_per_seed=tuple(at_truth.tv),
        bound=float(refined(theory.bracketing(sizes, K, J), n, settings.delta).value),
        law=asymptotic_bound(p, n),
        parameters=p,
        information=mean(found.information) / n**0.5,
        rank=mean(found.rank),
        effective=mean(effective_parameters(value, n) for value in found.tv),
        beta=sizes.beta,
        beta_information=_law_similarity(errors, K) if strategy == "pooled" and K > 1 else None,
        apart=mean(errors.apart),
        gained=mean(found.gained),
        near_gained=mean(at_truth.gained),
        starts=settings.starts * found.blocks,
        reason=reason(strategy, K),
    )


_COUNTS = ("blocks", "below", "starts_below", "normaliser", "quadrature", "updates")


def _law_similarity(errors: Errors, K: int) -> float:
    """The similarity that the ratio of the two laws stands for."""
    return empirical_beta(mean(errors.pooled.information) / mean(errors.separate.information), K)
