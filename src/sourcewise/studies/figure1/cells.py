"""One point of figure 1: what stands beside the simulated mean, and how it is found."""

import math
from dataclasses import dataclass

from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.figure1.settings import PAPER, PAPER_D, PAPER_SEEDS, Place, Sweep
from sourcewise.studies.figure1.simulation import Setup
from sourcewise.theory import asymptotic
from sourcewise.theory import gaussian as theory

__all__ = ["Cell", "Measured", "cell_of"]

Measured = tuple[float, float, float]  # mean, its standard error, sd of the paper's estimator


@dataclass(frozen=True)
class Cell:
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


def cell_of(place: Place, strategy: Strategy, setup: Setup, measured: Measured) -> Cell:
    """Of a strategy at a place, from what was measured."""
    K, n, d, d1 = setup.K, setup.n, setup.d, setup.d1
    own = d if strategy == "separate" else d1  # coordinates estimated per source
    shares, m = [1 / K] * K, theory.m_pooled(K, d, own)
    exact = theory.expected_tv_pooled(shares, n, d, own)
    mean, error, sd = measured
    seen = not math.isnan(mean)
    found = PAPER.get((K, n, place.beta)) if d == PAPER_D else None
    paper = found[STRATEGIES.index(strategy)] if found else None
    reasons = [] if found else ["the paper has no such cell"]
    reasons += [] if seen else ["a source drew no example in any run"]
    return Cell(
        **place._asdict(),
        strategy=strategy,
        d1=d1,
        measured=mean if seen else None,
        standard_error=error if seen else None,
        z=(mean - exact) / error if seen else None,
        paper=paper,
        exact=exact,
        z_paper=None if paper is None else (paper - exact) / (sd / math.sqrt(PAPER_SEEDS)),
        paper_sd=sd,
        rate=asymptotic.rate(m, n),
        law=theory.asymptotic_tv_pooled(shares, n, d, own),
        bound=asymptotic.asymptotic_bound(m, n),
        reason="; ".join(reasons) or None,
    )
