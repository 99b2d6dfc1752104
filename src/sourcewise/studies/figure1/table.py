"""Figure 1 as numbers: a point, what stands beside its simulated mean, and all points as text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.figure1.settings import (
    PAPER,
    PAPER_D,
    PAPER_SEEDS,
    Cell,
    Figure1Settings,
    Sweep,
)
from sourcewise.studies.result import Result
from sourcewise.studies.tables import number, row
from sourcewise.theory import asymptotic
from sourcewise.theory import gaussian as theory

__all__ = ["Figure1", "Figure1Point", "Measured", "point"]

_COLUMNS = ("sweep", "strategy", "measured", "s.e.", "exact", "paper", "z", "law", "rate")


class Measured(NamedTuple):
    """What is simulated of a strategy in a cell."""

    mean: float | None  # average TV; None where a source drew no example in any run
    standard_error: float | None
    paper_sd: float  # standard deviation of one run of the paper's estimator


@dataclass(frozen=True)
class Figure1Point:
    """One point of the figure. None where there is no value; `reason` says why.

    Args:
        sweep: what is varied.
        value: to what.
        strategy: pooled (multi-source) or separate (single-source).
        K: sources.
        n: examples in all.
        beta: similarity asked for.
        d1: source-specific coordinates.
        measured: average TV, mean over the simulated runs.
        standard_error: of `measured`.
        z: `(measured - exact) / standard_error`.
        paper: the paper's value.
        exact: expectation of average TV by quadrature.
        z_paper: `(paper - exact) / (paper_sd / sqrt 5)`.
        paper_sd: standard deviation of one run of the paper's estimator, simulated.
        rate: the paper's rate `sqrt(m/n)`.
        law: the asymptotic law.
        bound: the law's upper bound `sqrt(m / (2 pi n))`.
        reason: why a value is missing.
    """

    sweep: Sweep
    value: float
    strategy: Strategy
    K: int
    n: int
    beta: float
    d1: int
    measured: float | None
    standard_error: float | None
    z: float | None
    paper: float | None
    exact: float
    z_paper: float | None
    paper_sd: float
    rate: float
    law: float
    bound: float
    reason: str | None


def point(cell: Cell, strategy: Strategy, d: int, found: Measured) -> Figure1Point:
    """The point of a strategy in a cell, for d coordinates."""
    K, n = cell.K, cell.n
    own = d if strategy == "separate" else cell.d1  # coordinates estimated per source
    shares, m = [1 / K] * K, theory.m_pooled(K, d, own)
    exact = theory.expected_tv_pooled(shares, n, d, own)
    mean, error, z = found.mean, found.standard_error, None
    if mean is not None and error is not None:
        z = (mean - exact) / error
    papers = PAPER.get((K, n, cell.beta)) if d == PAPER_D else None
    paper = papers[STRATEGIES.index(strategy)] if papers else None
    reasons = [] if papers else ["the paper has no such cell"]
    reasons += [] if mean is not None else ["a source drew no example in any run"]
    spread = found.paper_sd / math.sqrt(PAPER_SEEDS)
    return Figure1Point(
        **cell._asdict(),
        strategy=strategy,
        measured=mean,
        standard_error=error,
        z=z,
        paper=paper,
        exact=exact,
        z_paper=None if paper is None else (paper - exact) / spread,
        paper_sd=found.paper_sd,
        rate=asymptotic.rate(m, n),
        law=theory.asymptotic_tv_pooled(shares, n, d, own),
        bound=asymptotic.asymptotic_bound(m, n),
        reason="; ".join(reasons) or None,
    )


@dataclass(frozen=True)
class Figure1(Result):
    """The points of figure 1."""

    settings: Figure1Settings
    points: tuple[Figure1Point, ...]

    def to_json(self) -> Mapping[str, object]:
        """As plain values, with the number of runs that were made."""
        settings = self.settings.model_dump(mode="json") | {"seeds": self.settings.runs}
        return {**super().to_json(), "settings": settings}

    def __str__(self) -> str:
        how = "paper's estimator, 500 test points" if self.settings.paper_estimator else "exact TV"
        head = f"Average TV of Gaussian fits, d = {self.settings.d}; measured: {how}, "
        head += f"{self.settings.runs} seeds; s.e.: its standard error; z of the paper's value"
        return "\n".join([head, "", row(_COLUMNS, 12), *[_line(point) for point in self.points]])


def _line(point: Figure1Point) -> str:
    values = (point.measured, point.standard_error, point.exact, point.paper)
    z = "-" if point.z_paper is None else f"{point.z_paper:+.2f}"
    cell, laws = f"{point.sweep} = {point.value:g}", (number(point.law), number(point.rate))
    return row((cell, point.strategy, *(number(v) for v in values), z, *laws), 12)
