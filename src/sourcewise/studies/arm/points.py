"""One number of an ARM table: what stands beside the measured error, and how it is found."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

from sourcewise.studies.arm.settings import PAPER, ArmStudySettings, Cell, Sweep
from sourcewise.studies.curves import STRATEGIES, Point, Strategy, compared, reason
from sourcewise.theory import arm as theory
from sourcewise.theory.asymptotic import asymptotic_bound
from sourcewise.theory.sharing import empirical_beta

__all__ = ["ArmPoint", "Errors", "distance", "point"]


@dataclass(frozen=True)
class Errors:
    """Average TV in one cell, a value per seed.

    Args:
        separate: of one model each.
        pooled: of one model for all.
        frequencies: of the relative frequencies of sequences, source by source: a model that
            learns its rows by heart.
        updates: gradient steps of the longest-trained separate and pooled model.
        similarity: of the truth.
    """

    separate: list[float]
    pooled: list[float]
    frequencies: list[float]
    updates: dict[Strategy, int]
    similarity: float


@dataclass(frozen=True)
class ArmPoint(Point):
    """A point with what it is compared with.

    Args:
        D: positions.
        paper: the paper's value.
        frequencies: average TV of the relative frequencies of the same rows, mean over seeds.
        law: `sqrt(p / (2 pi n))`, p the parameters of the class; may be above 1.
        saturated: the same for `p = K (M^D - 1)`.
        paper_beta_hat: `beta_hat` of the paper's two values.
    """

    sweep: Sweep
    D: int
    paper: float | None
    frequencies: float
    law: float
    saturated: float
    paper_beta_hat: float | None


def point(settings: ArmStudySettings, cell: Cell, strategy: Strategy, errors: Errors) -> ArmPoint:
    """The point of a strategy in a cell."""
    K, n, D = cell.sizes
    pooled, sizes = strategy == "pooled", settings.sizes(D)
    paper = PAPER.get(cell.sizes) if settings.M == 2 else None
    return ArmPoint(
        **cell._asdict(),
        **compared({"separate": errors.separate, "pooled": errors.pooled}, strategy, K),
        strategy=strategy,
        paper=paper[STRATEGIES.index(strategy)] if paper else None,
        frequencies=mean(errors.frequencies),
        law=asymptotic_bound(theory.m(sizes, K, 1 if pooled else K), n),
        saturated=asymptotic_bound(K * (settings.M**D - 1), n),
        paper_beta_hat=(
            empirical_beta(paper[1] / paper[0], K) if paper and pooled and K > 1 else None
        ),
        beta=sizes.beta,
        updates=errors.updates[strategy],
        reason=reason(strategy, K, *([] if paper else ["the paper has no such cell"])),
    )


def distance(pairs: Iterable[tuple[float, float | None]]) -> float | None:
    """Root mean square of `log(measured / paper)`; None where the paper has nothing.

    >>> round(distance([(2.0, 1.0), (0.5, 1.0), (3.0, None)]), 4)
    0.6931
    """
    logs = [math.log(measured / paper) for measured, paper in pairs if paper]
    return math.sqrt(mean(v * v for v in logs)) if logs else None
