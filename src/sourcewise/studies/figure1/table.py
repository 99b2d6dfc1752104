"""Figure 1: a point with what stands beside its simulated mean; all points as text, and drawn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.figure1.settings import (
    PAPER,
    PAPER_D,
    PAPER_SEEDS,
    Cell,
    Figure1Settings,
    Sweep,
)
from sourcewise.studies.pictures import COLOURS, Picture
from sourcewise.studies.result import Result, number, row, select
from sourcewise.theory import asymptotic
from sourcewise.theory.gaussian import laws as theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "Figure1", "Figure1Point", "Measured", "point"]

_COLUMNS = ("sweep", "strategy", "measured", "s.e.", "exact", "paper", "z", "law", "rate")
_NAMES = {"separate": "separate (single-source)", "pooled": "pooled (multi-source)"}
_TITLES = {
    "K": ("(a)", "number of sources $K$"),
    "n": ("(b)", "sample size $n$"),
    "beta": ("(c)", r"similarity $\beta$"),
}
_STYLE = {
    "font.family": "STIXGeneral",  # Times-like, and shipped with matplotlib
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "path",
}


class Measured(NamedTuple):
    """What is simulated of a strategy in a cell."""

    mean: float | None  # average TV; None where a source drew no example in any run
    standard_error: float | None
    paper_sd: float  # standard deviation of one run of the paper's estimator


@dataclass(frozen=True)
class Figure1Point:
    """One point of the figure. None where there is no value; `reason` says why."""

    sweep: Sweep  # what is varied
    value: float  # to what
    strategy: Strategy  # pooled (multi-source) or separate (single-source)
    K: int  # sources
    n: int  # examples in all
    beta: float  # similarity asked for
    d1: int  # source-specific coordinates
    measured: float | None  # average TV, mean over the simulated runs
    standard_error: float | None  # of `measured`
    z: float | None  # `(measured - exact) / standard_error`
    paper: float | None  # the paper's value
    exact: float  # expectation of average TV by quadrature
    z_paper: float | None  # `(paper - exact) / (paper_sd / sqrt 5)`
    paper_sd: float  # standard deviation of one run of the paper's estimator, simulated
    rate: float  # the paper's rate `sqrt(m/n)`
    law: float  # the asymptotic law
    bound: float  # the law's upper bound `sqrt(m / (2 pi n))`
    reason: str | None  # why a value is missing


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


def _figure(result: Figure1) -> "Figure":
    """All sweeps side by side."""
    from matplotlib.figure import Figure

    sweeps = [sweep for sweep in _TITLES if result.select(sweep=sweep)]
    figure = Figure(figsize=(2.25 * len(sweeps), 2.55), layout="constrained")
    panels = figure.subplots(1, len(sweeps), squeeze=False)[0]
    for axes, sweep in zip(panels, sweeps, strict=True):
        points = result.select(sweep=sweep)
        for strategy in STRATEGIES:
            _curve(axes, result.settings, select(points, strategy=strategy), strategy)
        _finish(axes, sweep, [point.value for point in select(points, strategy="pooled")])
    panels[0].set_ylabel("average TV")
    handles, labels = _legend(result.settings)
    figure.legend(handles, labels, loc="outside lower center", ncols=3, columnspacing=1.6)
    return figure


def _curve(
    axes: "Axes", settings: Figure1Settings, points: Sequence[Figure1Point], strategy: Strategy
) -> None:
    colour = COLOURS[strategy]
    d, x, exact, law = settings.d, [], [], []
    for at, K, n, d1 in _grid(settings, points):
        sizes = [1 / K] * K, n, d, d if strategy == "separate" else d1
        x.append(at)
        exact.append(theory.expected_tv_pooled(*sizes))
        law.append(theory.asymptotic_tv_pooled(*sizes))
    axes.plot(x, exact, color=colour, linewidth=2.4, alpha=0.4, solid_capstyle="butt")
    axes.plot(x, law, color=colour, linewidth=0.8, dashes=(4, 2.5))
    _points(axes, [point for point in points if point.measured is not None], colour)


def _points(axes: "Axes", points: Sequence[Figure1Point], colour: str) -> None:
    x = [point.value for point in points]
    bars = [2 * (point.standard_error or 0.0) for point in points]
    axes.errorbar(
        x,
        [point.measured or 0.0 for point in points],
        yerr=bars,
        fmt="o",
        color=colour,
        markersize=3.2,
        elinewidth=0.9,
        capsize=2,
        zorder=3,
    )
    known = [point for point in points if point.paper is not None]
    axes.plot(
        [point.value for point in known],
        [point.paper or 0.0 for point in known],
        "D",
        markerfacecolor="white",
        markeredgecolor=colour,
        markeredgewidth=0.9,
        markersize=4.6,
        zorder=2.5,
    )


def _grid(s: Figure1Settings, points: Sequence[Figure1Point]) -> list[tuple[float, int, int, int]]:
    """Where a curve is computed: x, and K, n, d1 there."""
    sweep, values = points[0].sweep, [point.value for point in points]
    low, high = min(values), max(values)
    if sweep == "K":
        sources = np.unique(np.linspace(low, high, 40).round().astype(int)).tolist()
        return [(K, K, s.n, s.d1(s.beta)) for K in sources]
    if sweep == "n":
        sizes = np.unique(np.geomspace(low, high, 40).round().astype(int)).tolist()
        return [(n, s.K, n, s.d1(s.beta)) for n in sizes]
    d1s = {s.d1(beta) for beta in np.linspace(low, high, 40)}  # beta moves in steps of 1/d
    return sorted((1 - d1 / s.d, s.K, s.n, d1) for d1 in d1s)


def _finish(axes: "Axes", sweep: str, values: list[float]) -> None:
    letter, label = _TITLES[sweep]
    axes.set_title(letter, loc="left", pad=3)
    axes.set_xlabel(label, labelpad=2)
    axes.tick_params(top=True, right=True, length=2.5)
    axes.grid(linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)
    if sweep == "n":
        axes.set_xscale("log")
    axes.minorticks_off()
    if len(values) <= 6:
        axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.set_ylim(0, math.ceil(axes.get_ylim()[1] / 0.05) * 0.05)


def _legend(s: Figure1Settings) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    grey = "0.35"
    handles = [Line2D([], [], color=COLOURS[name], linewidth=2.4) for name in _NAMES]
    handles += [
        Line2D([], [], linestyle="none", marker="o", markersize=3.2, color=grey),
        Line2D([], [], linewidth=2.4, alpha=0.4, color=grey),
        Line2D([], [], linewidth=0.8, dashes=(4, 2.5), color=grey),
        Line2D(
            [], [], linestyle="none", marker="D", markersize=4.6, markerfacecolor="w", color=grey
        ),
    ]
    how = ", paper's estimator" if s.paper_estimator else ""
    labels = [*_NAMES.values(), rf"simulated{how}, {s.runs} seeds ($\pm$2 s.e.)"]
    return handles, [*labels, "exact expectation", "asymptotic law", "the paper (5 seeds)"]


PICTURE = Picture(_figure, _STYLE, dpi=300)
