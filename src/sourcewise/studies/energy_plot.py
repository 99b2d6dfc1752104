"""The picture of the energy study: a row of panels per dimension, a column per sweep.

Colours are strategies; how a line is drawn says what it is: measured, a law, or the bound.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sourcewise.errors import InputError
from sourcewise.studies.curves import COLOURS, STYLE, save
from sourcewise.studies.energy_settings import STRATEGIES, SWEEPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sourcewise.studies.energy_settings import Strategy, Sweep
    from sourcewise.studies.energy_study import Cell, EnergyStudy

__all__ = ["draw"]

_LABELS = {
    "n": "examples $n$",
    "K": "sources $K$",
    "d_e": "numbers per embedding $d_e$",
}
_MARKERS = {"separate": "s", "pooled": "o"}
_LINES: dict[str, tuple[str, tuple[float, ...]]] = {  # field of a cell: its name and dashes
    "bound": ("refined bound", (6, 2, 1, 2)),
    "law": (r"$\sqrt{p/(2\pi n)}$, $p$ of the class", (1, 1.5)),
    "information": ("law of the information matrix", (4, 2)),
}
_TRUTH: dict[str, Any] = {"linestyle": "", "markerfacecolor": "white", "markersize": 4.2}


def draw(study: "EnergyStudy", png: Path, svg: Path) -> None:
    """Write the picture twice; the same result gives the same bytes."""
    from matplotlib import rc_context

    if not study.cells:
        raise InputError("no cell to draw: all sweeps are empty")
    with rc_context(STYLE):
        save(_figure(study), png, svg)


def _figure(study: "EnergyStudy") -> "Figure":
    from matplotlib.figure import Figure

    sweeps: list[Sweep] = [s for s in SWEEPS if any(cell.sweep == s for cell in study.cells)]
    rows = study.settings.dimensions
    size = (2.45 * len(sweeps) + 0.3, 2.6 * len(rows) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(rows), len(sweeps), squeeze=False, sharey=True)
    for D, row in zip(rows, panels, strict=True):
        for sweep, axes in zip(sweeps, row, strict=True):
            for strategy in STRATEGIES:
                _curves(axes, study.select(D, sweep, strategy), strategy)
            _finish(axes, study, D, sweep)
        row[0].set_ylabel(f"average TV, $D = {D}$")
    _legend(figure)
    return figure


def _curves(axes: "Axes", cells: "tuple[Cell, ...]", strategy: "Strategy") -> None:
    """Measured with intervals, from the truth, the laws and the bound of one strategy."""
    x, colour = [cell.value for cell in cells], COLOURS[strategy]
    for name, (_, dashes) in _LINES.items():
        y = [getattr(cell, name) for cell in cells]
        axes.plot(x, y, dashes=dashes, color=colour, linewidth=0.9)
    y, bars = [c.measured for c in cells], [c.high - c.measured for c in cells]
    style: dict[str, Any] = {"color": colour, "markersize": 3.2, "linewidth": 1.2, "capsize": 2}
    axes.errorbar(x, y, yerr=bars, fmt=f"{_MARKERS[strategy]}-", **style)
    near = [cell.near for cell in cells]
    axes.plot(x, near, _MARKERS[strategy], markeredgecolor=colour, **_TRUTH)


def _finish(axes: "Axes", study: "EnergyStudy", D: int, sweep: "Sweep") -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter, NullLocator

    axes.set_xlabel(_LABELS[sweep])
    axes.tick_params(top=True, right=True, length=2.5, which="both")
    axes.grid(linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    values = [cell.value for cell in study.select(D, sweep, "pooled")]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [_short(value) for value in values])


def _short(value: int) -> str:
    """Thousands as k.

    >>> _short(300), _short(30000)
    ('300', '30k')
    """
    return f"{value // 1000}k" if value >= 1000 and value % 1000 == 0 else str(value)


def _legend(figure: "Figure") -> None:
    """Strategies in colour, kinds of lines in grey."""
    from matplotlib.lines import Line2D

    grey = "0.35"
    handles = [
        Line2D(
            [], [], color=COLOURS[s], marker=_MARKERS[s], markersize=3.2, label=f"{s}, measured"
        )
        for s in STRATEGIES
    ]
    label = "fits that start at the truth"
    handles.append(Line2D([], [], marker="o", markeredgecolor=grey, label=label, **_TRUTH))
    handles += [
        Line2D([], [], color=grey, linewidth=0.9, dashes=dashes, label=name)
        for name, dashes in _LINES.values()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.6)
