"""Figure 1 of the paper (arXiv 2502.14583): average TV of pooled and separate Gaussian fits.

Three sweeps, over the number of sources K, the sample size n and the similarity beta, the other
two at their defaults. Beside each simulated mean stand the exact expectation by quadrature, the
paper's value with its z-score, the paper's rate `sqrt(m/n)` and the asymptotic law.

A source that drew no example has no estimate: its TV is averaged over the runs in which it did,
and the exact expectation is conditional on `n_k >= 1` in the same way.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field

from sourcewise.randomness import Noise
from sourcewise.settings import Settings
from sourcewise.studies.gaussian_simulation import (
    Distances,
    Setup,
    average_tv,
    distances,
    draw_statistics,
    in_batches,
    paper_estimates,
)
from sourcewise.theory import asymptotic
from sourcewise.theory import gaussian as theory

__all__ = ["PAPER", "Cell", "Figure1", "Figure1Settings", "Place", "figure1"]

Strategy = Literal["separate", "pooled"]
_STRATEGIES: tuple[Strategy, ...] = ("separate", "pooled")
Sweep = Literal["K", "n", "beta"]

PAPER: dict[tuple[int, int, float], tuple[float, float]] = {
    # (K, n, beta), d = 10: separate, pooled; means of 5 seeds
    (1, 500, 0.5): (0.0527, 0.0527),
    (3, 500, 0.5): (0.0926, 0.0720),
    (5, 500, 0.5): (0.1240, 0.0962),
    (10, 500, 0.5): (0.1750, 0.1287),
    (15, 500, 0.5): (0.2098, 0.1544),
    (5, 100, 0.5): (0.2787, 0.2037),
    (5, 300, 0.5): (0.1703, 0.1285),
    (5, 1000, 0.5): (0.0915, 0.0718),
    (5, 5000, 0.5): (0.0385, 0.0290),
    (5, 500, 0.0): (0.1240, 0.1240),
    (5, 500, 0.3): (0.1240, 0.1068),
    (5, 500, 0.7): (0.1240, 0.0813),
    (5, 500, 1.0): (0.1240, 0.0490),
}
_PAPER_D, _PAPER_SEEDS, _PAPER_POINTS = 10, 5, 500

Positive = Annotated[int, Field(ge=1)]
Similarity = Annotated[float, Field(ge=0, le=1)]


class Place(NamedTuple):
    """One place in the figure: what is varied, to what, and all sizes there."""

    sweep: Sweep
    value: float
    K: int
    n: int
    beta: float


class Figure1Settings(Settings):
    """What figure 1 is computed for; the defaults are the paper's sizes."""

    K_values: tuple[Positive, ...] = Field(
        default=(1, 3, 5, 10, 15), description="numbers of sources, each at least 1"
    )
    n_values: tuple[Positive, ...] = Field(
        default=(100, 300, 500, 1000, 5000), description="sample sizes, each at least 1"
    )
    beta_values: tuple[Similarity, ...] = Field(
        default=(0.0, 0.3, 0.5, 0.7, 1.0), description="similarities, each in [0, 1]"
    )
    K: Positive = Field(default=5, description="sources outside the K sweep, at least 1")
    n: Positive = Field(default=500, description="sample size outside the n sweep, at least 1")
    beta: Similarity = Field(default=0.5, description="similarity outside the beta sweep")
    d: Positive = Field(default=10, description="coordinates, at least 1; round(beta d) shared")
    seeds: int | None = Field(
        default=None,
        ge=2,
        description="runs per cell, at least 2; 1000, or 5 with paper_estimator",
    )
    seed: int = Field(default=0, description="seed of all draws")
    paper_estimator: bool = Field(
        default=False, description="measure as the paper does: 500 test points, not exact TV"
    )
    draw: Literal["samples", "statistics"] = Field(
        default="samples", description="samples: every x; statistics: only what the fits need"
    )
    spread_runs: int = Field(
        default=4000,
        ge=2,
        description="runs that give the paper's estimator its standard deviation, at least 2",
    )

    @property
    def runs(self) -> int:
        """Simulated runs per cell."""
        return self.seeds or (_PAPER_SEEDS if self.paper_estimator else 1000)

    def d1(self, beta: float) -> int:
        """Source-specific coordinates: round(beta d) are shared."""
        return self.d - round(beta * self.d)

    def places(self) -> Iterator[Place]:
        """All places, sweep by sweep."""
        yield from (Place("K", K, K, self.n, self.beta) for K in self.K_values)
        yield from (Place("n", n, self.K, n, self.beta) for n in self.n_values)
        yield from (Place("beta", beta, self.K, self.n, beta) for beta in self.beta_values)


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


@dataclass(frozen=True)
class Figure1:
    """The cells of figure 1, with the settings they were computed for and the time it took."""

    settings: Figure1Settings
    cells: tuple[Cell, ...]
    seconds: float

    def select(self, sweep: Sweep, strategy: Strategy) -> tuple[Cell, ...]:
        """The cells of one curve, in the order of the sweep."""
        return tuple(c for c in self.cells if (c.sweep, c.strategy) == (sweep, strategy))

    def to_json(self) -> dict[str, Any]:
        """One JSON document; no NaN in it."""
        cells = [asdict(cell) for cell in self.cells]
        settings = self.settings.model_dump(mode="json") | {"seeds": self.settings.runs}
        return {
            "name": "fig1",
            "seconds": self.seconds,
            "settings": settings,
            "cells": cells,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Figure1":
        """The result again from its JSON document."""
        known = {field.name for field in fields(Cell)}
        cells = ({k: v for k, v in cell.items() if k in known} for cell in document["cells"])
        settings = Figure1Settings.parse(document["settings"])
        return cls(settings, tuple(Cell(**cell) for cell in cells), document["seconds"])

    def __str__(self) -> str:
        how = "paper's estimator, 500 test points" if self.settings.paper_estimator else "exact TV"
        head = f"Average TV of Gaussian fits, d = {self.settings.d}; measured: {how}, "
        head += f"{self.settings.runs} seeds; s.e.: its standard error; z of the paper's value"
        names = ("sweep", "strategy", "measured", "s.e.", "exact", "paper", "z", "law", "rate")
        lines = [
            head,
            "",
            f"{names[0]:<12}{names[1]:<10}" + "".join(f"{t:>10}" for t in names[2:]),
        ]
        return "\n".join(lines + [_line(cell) for cell in self.cells])

    def draw(self, png: str | Path, svg: str | Path) -> None:
        """Write the figure as PNG and as SVG; the same result gives the same bytes."""
        from sourcewise.studies.figure1_plot import draw

        draw(self, Path(png), Path(svg))


def figure1(
    settings: Figure1Settings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Figure1:
    """Compute all cells of figure 1; `progress` is called with (places done, places in all).

    >>> quick = Figure1Settings(K_values=(5,), n_values=(), beta_values=(), seeds=20)
    >>> [(cell.strategy, round(cell.exact, 4), cell.paper) for cell in figure1(quick).cells]
    [('separate', 0.1229, 0.124), ('pooled', 0.0944, 0.0962)]
    """
    settings = settings or Figure1Settings()
    start, done, cells = time.perf_counter(), {}, []
    places = list(settings.places())
    for number, place in enumerate(places):
        if progress:
            progress(number, len(places))
        setup = Setup(place.K, place.n, settings.d, settings.d1(place.beta))
        if setup not in done:  # a place that stands in several sweeps is simulated once
            done[setup] = _measure(setup, settings)
        cells += [_cell(place, name, setup, done[setup][name]) for name in _STRATEGIES]
    return Figure1(settings, tuple(cells), time.perf_counter() - start)


Measured = tuple[float, float, float]  # mean, its standard error, sd of the paper's estimator


def _measure(setup: Setup, settings: Figure1Settings) -> dict[str, Measured]:
    noise = Noise(settings.seed).of("figure 1")
    if settings.draw == "samples":
        fits = in_batches(setup, settings.runs, noise)
    else:
        fits = distances(setup, draw_statistics(setup, settings.runs, noise))
    if settings.paper_estimator:
        estimates = paper_estimates(fits, noise.of("points", *setup.key), _PAPER_POINTS)
        means = [(e.mean().item(), e.std().item() / math.sqrt(len(e))) for e in estimates]
    else:
        means = [average_tv(fit.tv, fit.seen) for fit in fits]
    spreads = _spreads(setup, settings.spread_runs, noise.of("spread"))
    pairs = zip(means, spreads, strict=True)
    return dict(zip(_STRATEGIES, ((*mean, sd) for mean, sd in pairs), strict=True))


def _spreads(setup: Setup, runs: int, noise: Noise) -> list[float]:
    """Standard deviation of one run of the paper's estimator: separate, pooled."""
    fits = distances(setup, draw_statistics(setup, runs, noise))
    parts: list[list[torch.Tensor]] = []
    for i in range(0, runs, 500):
        some = tuple(Distances(fit.radius[i : i + 500], fit.seen[i : i + 500]) for fit in fits)
        parts.append(paper_estimates(some, noise.of("points", *setup.key, i), _PAPER_POINTS))
    return [torch.cat(part).std().item() for part in zip(*parts, strict=True)]


def _cell(place: Place, strategy: Strategy, setup: Setup, measured: Measured) -> Cell:
    K, n, d, d1 = setup.K, setup.n, setup.d, setup.d1
    own = d if strategy == "separate" else d1  # coordinates estimated per source
    shares, m = [1 / K] * K, theory.m_pooled(K, d, own)
    exact = theory.expected_tv_pooled(shares, n, d, own)
    mean, error, sd = measured
    seen = not math.isnan(mean)
    found = PAPER.get((K, n, place.beta)) if d == _PAPER_D else None
    paper = found[_STRATEGIES.index(strategy)] if found else None
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
        z_paper=None if paper is None else (paper - exact) / (sd / math.sqrt(_PAPER_SEEDS)),
        paper_sd=sd,
        rate=asymptotic.rate(m, n),
        law=theory.asymptotic_tv_pooled(shares, n, d, own),
        bound=asymptotic.asymptotic_bound(m, n),
        reason="; ".join(reasons) or None,
    )


def _line(cell: Cell) -> str:
    place = f"{cell.sweep} = {cell.value:g}"
    numbers = (cell.measured, cell.standard_error, cell.exact, cell.paper)
    texts = ["-" if v is None else f"{v:.4f}" for v in numbers]
    texts.append("-" if cell.z_paper is None else f"{cell.z_paper:+.2f}")
    texts += [f"{cell.law:.4f}", f"{cell.rate:.4f}"]
    return f"{place:<12}{cell.strategy:<10}" + "".join(f"{text:>10}" for text in texts)
