"""One point of figure 1: what stands beside the simulated mean, and how it is found."""

import math
from dataclasses import dataclass

from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.figure1.settings import PAPER, PAPER_D, PAPER_SEEDS, Cell, Sweep
from sourcewise.theory import asymptotic
from sourcewise.theory import gaussian as theory

__all__ = ["Figure1Point", "Measured", "point"]


@dataclass(frozen=True)
class Measured:
    """What is simulated of a strategy in a cell.

    Args:
        mean: average TV; None where a source drew no example in any run.
        standard_error: of the mean.
        paper_sd: standard deviation of one run of the paper's estimator.
    """

    mean: float | None
    standard_error: float | None
    paper_sd: float


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
    """The point of a strategy in a cell.

    Args:
        cell: in a sweep.
        strategy: pooled or separate.
        d: coordinates.
        found: by simulation.
    """
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
