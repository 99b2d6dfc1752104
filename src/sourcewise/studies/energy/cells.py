"""One number of the energy study: what stands beside the measured error, and how it is found."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from sourcewise.studies.curves import (
    STRATEGIES,
    Fit,
    Point,
    Strategy,
    compared,
    reason,
)
from sourcewise.studies.energy.settings import EnergyStudySettings, Place
from sourcewise.theory import energy as theory
from sourcewise.theory.asymptotic import asymptotic_bound, effective_parameters
from sourcewise.theory.general import refined
from sourcewise.theory.sharing import empirical_beta

__all__ = ["Cell", "Exponent", "cells_of"]


@dataclass(frozen=True)
class Cell(Point):
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


@dataclass(frozen=True)
class Exponent:
    """The fitted power of n or K on one curve of a sweep."""

    D: int
    sweep: str
    fit: Fit


Errors = Mapping[str, Any]  # as plain values, see `energy.simulation.Errors`


def cells_of(
    settings: EnergyStudySettings, place: Place, errors: Errors, near: Errors
) -> list[Cell]:
    """The separate and the pooled cell of a place.

    Args:
        settings: of the study.
        place: in a sweep.
        errors: of fits from random starts.
        near: of fits that start at the truth.
    """
    return [_cell(settings, place, strategy, errors, near) for strategy in STRATEGIES]


def _cell(
    settings: EnergyStudySettings, place: Place, strategy: Strategy, errors: Errors, near: Errors
) -> Cell:
    D, K, n, d_e = place.sizes
    found, at_truth = errors[strategy], near[strategy]
    sizes, J = settings.of_class(D, d_e), 1 if strategy == "pooled" else K
    p = int(theory.m(sizes, K, J))
    return Cell(
        **place._asdict(),
        **compared({name: errors[name]["tv"] for name in STRATEGIES}, strategy, K),
        strategy=strategy,
        near=mean(at_truth["tv"]),
        near_per_seed=tuple(at_truth["tv"]),
        bound=float(refined(theory.bracketing(sizes, K, J), n, settings.delta).value),
        law=asymptotic_bound(p, n),
        parameters=p,
        information=mean(found["information"]) / n**0.5,
        rank=mean(found["rank"]),
        effective=mean(effective_parameters(value, n) for value in found["tv"]),
        beta_information=_of_laws(errors, K) if strategy == "pooled" and K > 1 else None,
        beta=sizes.beta,
        apart=mean(errors["apart"]),
        gained=mean(found["gained"]),
        near_gained=mean(at_truth["gained"]),
        starts=settings.starts * found["blocks"],
        **{name: found[name] for name in _TAKEN},
        reason=reason(strategy, K),
    )


_TAKEN = ("blocks", "below", "starts_below", "normaliser", "quadrature", "updates")


def _of_laws(errors: Errors, K: int) -> float:
    """The similarity that the ratio of the two laws stands for."""
    laws = {name: mean(errors[name]["information"]) for name in STRATEGIES}
    return empirical_beta(laws["pooled"] / laws["separate"], K)
