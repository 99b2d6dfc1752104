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
    """One strategy in one cell; lists have a value per seed."""

    tv: list[float]  # average TV
    # twice the log-likelihood of the training rows, fit minus truth, of all blocks
    gained: list[float]
    blocks: int  # fitted in all seeds
    below: int  # how many of them are less likely than the truth
    starts_below: int  # how many of all starts are
    information: list[float]  # n^(1/2) times average TV by the law of the information matrix
    rank: list[int]  # of that matrix
    normaliser: float  # largest error of log Z by the rule of training, among fits
    quadrature: float  # largest error of `tv`, by half the nodes
    updates: int  # gradient steps per start


@dataclass(frozen=True)
class Errors:
    """What was found in one cell."""

    separate: Measured  # one model for each source
    pooled: Measured  # one for all
    apart: list[float]  # average TV between a source and the mean of all sources, per seed

    def __getitem__(self, strategy: Strategy) -> Measured:
        return self.separate if strategy == "separate" else self.pooled


@dataclass(frozen=True)
class EnergyPoint(Point):
    """A point with what it is compared with."""

    sweep: Sweep
    D: int  # coordinates
    d_e: int  # numbers per embedding
    near: float  # average TV of fits that start at the truth, mean over seeds
    near_per_seed: tuple[float, ...]  # of each seed
    bound: float  # the refined bound, with probability `1 - delta`; 1 says nothing
    law: float  # `sqrt(p / (2 pi n))`; may be above 1
    parameters: int  # p, of the class
    information: float  # the law of the information matrix of each truth, mean over seeds
    rank: float  # of that matrix, mean over seeds
    effective: float  # `2 pi n R^2` of each seed's error R, mean
    beta_information: float | None  # `beta_hat` of the two laws of the information matrix
    apart: float  # average TV between a source and the mean of all sources, mean over seeds
    gained: float  # twice the log-likelihood of the fits above the truth's, mean over seeds
    near_gained: float  # the same of fits that start at the truth
    blocks: int  # models fitted, each the likeliest of its starts
    below: int  # how many of them stay below the truth's likelihood
    starts: int  # trained in all
    starts_below: int  # how many of them stay below it
    normaliser: float  # largest error of log Z in training
    quadrature: float  # largest error of the measured TV of a seed


def point(
    settings: EnergyStudySettings, cell: Cell, strategy: Strategy, errors: Errors, near: Errors
) -> EnergyPoint:
    """The point of a strategy in a cell, from fits with random starts, and at the truth."""
    D, K, n, d_e = cell.D, cell.K, cell.n, cell.d_e
    found, at_truth = errors[strategy], near[strategy]
    sizes, J = settings.sizes(D, d_e), 1 if strategy == "pooled" else K
    p, by_law = int(theory.m(sizes, K, J)), None
    if strategy == "pooled" and K > 1:
        ratio = mean(errors.pooled.information) / mean(errors.separate.information)
        by_law = empirical_beta(ratio, K)
    return EnergyPoint(
        **{name: size for name, size in cell._asdict().items() if name != "near"},
        **compared(errors.separate.tv, errors.pooled.tv, strategy, K)._asdict(),
        strategy=strategy,
        blocks=found.blocks,
        below=found.below,
        starts_below=found.starts_below,
        normaliser=found.normaliser,
        quadrature=found.quadrature,
        updates=found.updates,
        near=mean(at_truth.tv),
        near_per_seed=tuple(at_truth.tv),
        bound=float(refined(theory.bracketing(sizes, K, J), n, settings.delta).value),
        law=asymptotic_bound(p, n),
        parameters=p,
        information=mean(found.information) / n**0.5,
        rank=mean(found.rank),
        effective=mean(effective_parameters(value, n) for value in found.tv),
        beta=sizes.beta,
        beta_information=by_law,
        apart=mean(errors.apart),
        gained=mean(found.gained),
        near_gained=mean(at_truth.gained),
        starts=settings.starts * found.blocks,
        reason=reason(strategy, K),
    )
