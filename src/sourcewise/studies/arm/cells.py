"""One number of an ARM table: what stands beside the measured error, and how it is found."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean
from typing import Any

from sourcewise.studies.arm.settings import PAPER, ArmStudySettings, Place
from sourcewise.studies.curves import STRATEGIES, Point, Strategy, compared, reason
from sourcewise.theory import arm as theory
from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.sharing import empirical_beta

__all__ = ["Cell", "cells_of", "distance"]


@dataclass(frozen=True)
class Cell(Point):
    """A point with what it is compared with.

    Args:
        D: positions.
        paper: the paper's value.
        frequencies: average TV of the relative frequencies of the same rows, mean over seeds.
        law: `sqrt(p / (2 pi n))`, p the parameters of the class; may be above 1.
        saturated: the same for `p = K (M^D - 1)`.
        paper_beta_hat: `beta_hat` of the paper's two values.
    """

    D: int
    paper: float | None
    frequencies: float
    law: float
    saturated: float
    paper_beta_hat: float | None


def cells_of(settings: ArmStudySettings, place: Place, errors: dict[str, Any]) -> list[Cell]:
    """The separate and the pooled cell of a place.

    Args:
        settings: of the table.
        place: in the table.
        errors: see `arm.simulation.Errors`.
    """
    return [_cell(settings, place, strategy, errors) for strategy in STRATEGIES]


def _cell(
    settings: ArmStudySettings, place: Place, strategy: Strategy, errors: dict[str, Any]
) -> Cell:
    K, n, D = place.sizes
    pooled, sizes = strategy == "pooled", settings.of_class(D)
    found = PAPER.get(place.sizes) if settings.M == 2 else None
    return Cell(
        **place._asdict(),
        **compared({name: errors[name] for name in STRATEGIES}, strategy, K),
        strategy=strategy,
        paper=found[STRATEGIES.index(strategy)] if found else None,
        frequencies=mean(errors["frequencies"]),
        law=asymptotic_bound(theory.m(sizes, K, 1 if pooled else K), n),
        saturated=asymptotic_bound(K * (settings.M**D - 1), n),
        paper_beta_hat=(
            empirical_beta(found[1] / found[0], K) if found and pooled and K > 1 else None
        ),
        beta=sizes.beta,
        updates=errors["updates"][strategy],
        reason=reason(strategy, K, *([] if found else ["the paper has no such cell"])),
    )


def distance(pairs: Iterable[tuple[float, float | None]]) -> float | None:
    """Root mean square of `log(measured / paper)`; None where the paper has nothing.

    >>> round(distance([(2.0, 1.0), (0.5, 1.0), (3.0, None)]), 4)
    0.6931
    """
    logs = [math.log(measured / paper) for measured, paper in pairs if paper]
    return math.sqrt(mean(v * v for v in logs)) if logs else None
