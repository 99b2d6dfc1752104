"""Figure 1 of the paper (arXiv 2502.14583): average TV of pooled and separate Gaussian fits.

Three sweeps, over the number of sources K, the sample size n and the similarity beta, the other
two at their defaults. Beside each simulated mean stand the exact expectation by quadrature, the
paper's value with its z-score, the paper's rate `sqrt(m/n)` and the asymptotic law.

A source that drew no example has no estimate: its TV is averaged over the runs in which it did,
and the exact expectation is conditional on `n_k >= 1` in the same way.
"""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from sourcewise.randomness import Noise
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.figure1.settings import PAPER_POINTS, Cell, Figure1Settings
from sourcewise.studies.figure1.simulation import (
    Distances,
    Setup,
    average_tv,
    distances,
    draw_statistics,
    in_batches,
    paper_estimates,
)
from sourcewise.studies.figure1.table import PICTURE, Figure1, Measured, point
from sourcewise.studies.grid import Grid, Progress, Trials, Work

__all__ = ["Figure1Settings", "grid"]

Found = dict[Strategy, Measured]


def grid(settings: Figure1Settings) -> Grid[Cell, Found, Figure1]:
    """The cells of figure 1.

    >>> quick = Figure1Settings(K_values=(5,), n_values=(), beta_values=(), seeds=20)
    >>> [(p.strategy, round(p.exact, 4), p.paper) for p in grid(quick).run().points]
    [('separate', 0.1229, 0.124), ('pooled', 0.0944, 0.0962)]
    """
    return Grid(
        cells=tuple(settings.cells()),
        compute=partial(_measure, settings),
        found=Found,
        fold=partial(_fold, settings),
        time=Trials(
            lambda cell: Work(settings.runs, cell.n * (settings.d + cell.K)),
            lambda: grid(settings.model_copy(update={"seeds": 200})),
        ),  # numbers drawn
        picture=PICTURE,
    )


def _fold(settings: Figure1Settings, found: Mapping[str, Found]) -> Figure1:
    points = [
        point(cell, strategy, settings.d, found[cell.name][strategy])
        for cell in settings.cells()
        for strategy in STRATEGIES
    ]
    return Figure1(settings, tuple(points))


def _measure(
    s: Figure1Settings, cell: Cell, progress: Progress | None, folder: Path | None
) -> Found:
    """Simulate both strategies."""
    setup, noise = Setup(cell.K, cell.n, s.d, cell.d1), Noise(s.seed).of("figure 1")
    spreads = _spreads(setup, s.spread_runs, noise.of("spread"))
    if progress:
        progress(0, s.runs)
    if s.draw == "samples":
        fits = in_batches(setup, s.runs, noise)
    else:
        fits = distances(setup, draw_statistics(setup, s.runs, noise))
    if s.paper_estimator:
        estimates = paper_estimates(fits, noise.of("points", *setup), PAPER_POINTS)
        means = [(e.mean().item(), e.std().item() / math.sqrt(len(e))) for e in estimates]
    else:
        means = [average_tv(fit.tv, fit.seen) for fit in fits]
    if progress:
        progress(s.runs, s.runs)
    pairs = zip(STRATEGIES, means, spreads, strict=True)
    return {
        strategy: Measured(None, None, sd) if math.isnan(mean) else Measured(mean, error, sd)
        for strategy, (mean, error), sd in pairs
    }


def _spreads(setup: Setup, runs: int, noise: Noise) -> list[float]:
    """Standard deviation of one run of the paper's estimator: separate, pooled."""
    fits = distances(setup, draw_statistics(setup, runs, noise))
    parts: list[list[torch.Tensor]] = []
    for i in range(0, runs, 500):
        some = tuple(Distances(fit.radius[i : i + 500], fit.seen[i : i + 500]) for fit in fits)
        parts.append(paper_estimates(some, noise.of("points", *setup, i), PAPER_POINTS))
    return [torch.cat(part).std().item() for part in zip(*parts, strict=True)]
