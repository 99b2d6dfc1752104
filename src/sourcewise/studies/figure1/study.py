"""Figure 1 of the paper (arXiv 2502.14583): average TV of pooled and separate Gaussian fits.

Three sweeps, over the number of sources K, the sample size n and the similarity beta, the other
two at their defaults. Beside each simulated mean stand the exact expectation by quadrature, the
paper's value with its z-score, the paper's rate `sqrt(m/n)` and the asymptotic law.

A source that drew no example has no estimate: its TV is averaged over the runs in which it did,
and the exact expectation is conditional on `n_k >= 1` in the same way.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from sourcewise.randomness import Noise
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.figure1.plot import PICTURE
from sourcewise.studies.figure1.points import Measured, point
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
from sourcewise.studies.figure1.table import Figure1
from sourcewise.studies.grid import Grid, Progress

__all__ = ["Figure1Grid"]

Found = dict[Strategy, Measured]


@dataclass(frozen=True)
class Figure1Grid(Grid[Cell, Found, Figure1]):
    """The cells of figure 1.

    >>> quick = Figure1Settings(K_values=(5,), n_values=(), beta_values=(), seeds=20)
    >>> [(p.strategy, round(p.exact, 4), p.paper) for p in Figure1Grid(quick).run().points]
    [('separate', 0.1229, 0.124), ('pooled', 0.0944, 0.0962)]
    """

    found = Found
    short: ClassVar = {"seeds": 200}
    picture = PICTURE

    settings: Figure1Settings

    def cells(self) -> list[Cell]:
        """Of all sweeps."""
        return list(self.settings.cells())

    def compute(self, cell: Cell, progress: Progress | None, folder: Path | None) -> Found:
        """Simulate both strategies."""
        s, noise = self.settings, Noise(self.settings.seed).of("figure 1")
        setup = Setup(cell.K, cell.n, s.d, cell.d1)
        spreads = _spreads(setup, s.spread_runs, noise.of("spread"))
        if progress:
            progress(0, s.runs)
        if s.draw == "samples":
            fits = in_batches(setup, s.runs, noise)
        else:
            fits = distances(setup, draw_statistics(setup, s.runs, noise))
        if s.paper_estimator:
            estimates = paper_estimates(fits, noise.of("points", *setup.key), PAPER_POINTS)
            means = [(e.mean().item(), e.std().item() / math.sqrt(len(e))) for e in estimates]
        else:
            means = [average_tv(fit.tv, fit.seen) for fit in fits]
        if progress:
            progress(s.runs, s.runs)
        pairs = zip(STRATEGIES, means, spreads, strict=True)
        return {strategy: _measured(*mean, spread) for strategy, mean, spread in pairs}

    def fold(self, found: Mapping[str, Found]) -> Figure1:
        """A point for each strategy in each cell."""
        points = [
            point(cell, strategy, self.settings.d, found[cell.name][strategy])
            for cell in self.settings.cells()
            for strategy in STRATEGIES
        ]
        return Figure1(self.settings, tuple(points))

    def units(self, cell: Cell) -> int:
        """Runs."""
        return self.settings.runs

    def work(self, cell: Cell) -> float:
        """Numbers that a run draws."""
        return cell.n * (self.settings.d + cell.K)


def _measured(mean: float, error: float, spread: float) -> Measured:
    """None where there is no mean."""
    seen = not math.isnan(mean)
    return Measured(mean if seen else None, error if seen else None, spread)


def _spreads(setup: Setup, runs: int, noise: Noise) -> list[float]:
    """Standard deviation of one run of the paper's estimator: separate, pooled."""
    fits = distances(setup, draw_statistics(setup, runs, noise))
    parts: list[list[torch.Tensor]] = []
    for i in range(0, runs, 500):
        some = tuple(Distances(fit.radius[i : i + 500], fit.seen[i : i + 500]) for fit in fits)
        parts.append(paper_estimates(some, noise.of("points", *setup.key, i), PAPER_POINTS))
    return [torch.cat(part).std().item() for part in zip(*parts, strict=True)]
