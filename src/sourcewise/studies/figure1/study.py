"""Figure 1 of the paper (arXiv 2502.14583): average TV of pooled and separate Gaussian fits.

Three sweeps, over the number of sources K, the sample size n and the similarity beta, the other
two at their defaults. Beside each simulated mean stand the exact expectation by quadrature, the
paper's value with its z-score, the paper's rate `sqrt(m/n)` and the asymptotic law.

A source that drew no example has no estimate: its TV is averaged over the runs in which it did,
and the exact expectation is conditional on `n_k >= 1` in the same way.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sourcewise.randomness import Noise
from sourcewise.studies.curves import STRATEGIES, Strategy, read, select
from sourcewise.studies.figure1.cells import Cell, Measured, cell_of
from sourcewise.studies.figure1.settings import PAPER_POINTS, Figure1Settings, Sweep
from sourcewise.studies.figure1.simulation import (
    Distances,
    Setup,
    average_tv,
    distances,
    draw_statistics,
    in_batches,
    paper_estimates,
)
from sourcewise.studies.places import Progress
from sourcewise.studies.tables import number, row

__all__ = ["Figure1", "figure1"]


@dataclass(frozen=True)
class Figure1:
    """The cells of figure 1, with the settings they were computed for and the time it took."""

    settings: Figure1Settings
    cells: tuple[Cell, ...]
    seconds: float

    def select(self, sweep: Sweep, strategy: Strategy) -> tuple[Cell, ...]:
        """The cells of one curve, in the order of the sweep."""
        return select(self.cells, sweep=sweep, strategy=strategy)

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
        settings = Figure1Settings.parse(document["settings"])
        return cls(settings, read(Cell, document["cells"]), document["seconds"])

    def __str__(self) -> str:
        how = "paper's estimator, 500 test points" if self.settings.paper_estimator else "exact TV"
        head = f"Average TV of Gaussian fits, d = {self.settings.d}; measured: {how}, "
        head += f"{self.settings.runs} seeds; s.e.: its standard error; z of the paper's value"
        names = ("sweep", "strategy", "measured", "s.e.", "exact", "paper", "z", "law", "rate")
        return "\n".join([head, "", _row(names), *[_line(cell) for cell in self.cells]])

    def draw(self, png: str | Path, svg: str | Path) -> None:
        """Write the figure as PNG and as SVG; the same result gives the same bytes."""
        from sourcewise.studies.figure1.plot import draw

        draw(self.settings, self.cells, Path(png), Path(svg))


def figure1(
    settings: Figure1Settings | None = None,
    progress: Progress | None = None,
) -> Figure1:
    """Compute all cells of figure 1; `progress` is called with (places done, places in all).

    >>> quick = Figure1Settings(K_values=(5,), n_values=(), beta_values=(), seeds=20)
    >>> [(cell.strategy, round(cell.exact, 4), cell.paper) for cell in figure1(quick).cells]
    [('separate', 0.1229, 0.124), ('pooled', 0.0944, 0.0962)]
    """
    settings = settings or Figure1Settings()
    start, done, cells = time.perf_counter(), {}, []
    places = list(settings.places())
    for i, place in enumerate(places):
        if progress:
            progress(i, len(places))
        setup = Setup(place.K, place.n, settings.d, settings.d1(place.beta))
        if setup not in done:  # a place that stands in several sweeps is simulated once
            done[setup] = _measure(setup, settings)
        cells += [cell_of(place, name, setup, done[setup][name]) for name in STRATEGIES]
    return Figure1(settings, tuple(cells), time.perf_counter() - start)


def _measure(setup: Setup, settings: Figure1Settings) -> dict[str, Measured]:
    noise = Noise(settings.seed).of("figure 1")
    if settings.draw == "samples":
        fits = in_batches(setup, settings.runs, noise)
    else:
        fits = distances(setup, draw_statistics(setup, settings.runs, noise))
    if settings.paper_estimator:
        estimates = paper_estimates(fits, noise.of("points", *setup.key), PAPER_POINTS)
        means = [(e.mean().item(), e.std().item() / math.sqrt(len(e))) for e in estimates]
    else:
        means = [average_tv(fit.tv, fit.seen) for fit in fits]
    spreads = _spreads(setup, settings.spread_runs, noise.of("spread"))
    pairs = zip(means, spreads, strict=True)
    return dict(zip(STRATEGIES, ((*mean, sd) for mean, sd in pairs), strict=True))


def _spreads(setup: Setup, runs: int, noise: Noise) -> list[float]:
    """Standard deviation of one run of the paper's estimator: separate, pooled."""
    fits = distances(setup, draw_statistics(setup, runs, noise))
    parts: list[list[torch.Tensor]] = []
    for i in range(0, runs, 500):
        some = tuple(Distances(fit.radius[i : i + 500], fit.seen[i : i + 500]) for fit in fits)
        parts.append(paper_estimates(some, noise.of("points", *setup.key, i), PAPER_POINTS))
    return [torch.cat(part).std().item() for part in zip(*parts, strict=True)]


def _line(cell: Cell) -> str:
    values = (cell.measured, cell.standard_error, cell.exact, cell.paper)
    z = "-" if cell.z_paper is None else f"{cell.z_paper:+.2f}"
    place, laws = f"{cell.sweep} = {cell.value:g}", (number(cell.law), number(cell.rate))
    return _row((place, cell.strategy, *(number(v) for v in values), z, *laws))


def _row(texts: Sequence[str]) -> str:
    return row(texts[0], 12, texts[1], texts[2:])
