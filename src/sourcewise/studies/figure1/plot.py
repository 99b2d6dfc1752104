"""The picture of figure 1: three panels, one curve per strategy."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.figure1.settings import Figure1Settings
from sourcewise.studies.figure1.table import Figure1, Figure1Point
from sourcewise.studies.pictures import COLOURS, Picture
from sourcewise.studies.result import select
from sourcewise.theory import gaussian as theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE"]

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


def _figure(result: Figure1) -> "Figure":
    """All sweeps side by side."""
    from matplotlib.figure import Figure

    sweeps = [sweep for sweep in _TITLES if result.select(sweep=sweep)]
    figure = Figure(figsize=(2.25 * len(sweeps), 2.55), layout="constrained")
    row = figure.subplots(1, len(sweeps), squeeze=False)[0]
    for axes, sweep in zip(row, sweeps, strict=True):
        points = result.select(sweep=sweep)
        for strategy in STRATEGIES:
            _curve(axes, result.settings, select(points, strategy=strategy), strategy)
        _finish(axes, sweep, [point.value for point in select(points, strategy="pooled")])
    row[0].set_ylabel("average TV")
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
