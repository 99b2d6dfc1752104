"""The picture of the energy study: a row of panels per dimension, a column per sweep.

Colours are strategies; how a line is drawn says what it is: measured, a law, or the bound.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.energy.points import EnergyPoint
from sourcewise.studies.energy.settings import SWEEPS
from sourcewise.studies.energy.table import EnergyStudy
from sourcewise.studies.pictures import COLOURS, STYLE, Picture, frame, measured, powers
from sourcewise.studies.result import select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE"]

_LABELS = {
    "n": "examples $n$",
    "K": "sources $K$",
    "d_e": "numbers per embedding $d_e$",
}
_MARKERS = {"separate": "s", "pooled": "o"}
_LINES: dict[str, tuple[str, tuple[float, ...]]] = {  # field of a point: its name and dashes
    "bound": ("refined bound", (6, 2, 1, 2)),
    "law": (r"$\sqrt{p/(2\pi n)}$, $p$ of the class", (1, 1.5)),
    "information": ("law of the information matrix", (4, 2)),
}
_TRUTH: Any = {"linestyle": "", "markerfacecolor": "white", "markersize": 4.2}


def _figure(study: EnergyStudy) -> "Figure":
    """A row of panels for each D."""
    from matplotlib.figure import Figure

    dimensions = study.settings.dimensions
    sweeps = [sweep for sweep in SWEEPS if study.select(sweep=sweep)]
    size = (2.45 * len(sweeps) + 0.3, 2.6 * len(dimensions) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(dimensions), len(sweeps), squeeze=False, sharey=True)
    for D, row in zip(dimensions, panels, strict=True):
        for sweep, axes in zip(sweeps, row, strict=True):
            _panel(axes, sweep, study.select(D=D, sweep=sweep))
        row[0].set_ylabel(f"average TV, $D = {D}$")
    _legend(figure)
    return figure


def _panel(axes: "Axes", sweep: str, points: Sequence[EnergyPoint]) -> None:
    """One sweep."""
    from matplotlib.ticker import NullLocator

    for strategy in STRATEGIES:
        _curves(axes, select(points, strategy=strategy), strategy)
    frame(axes, _LABELS[sweep])
    powers(axes)
    values = [point.value for point in select(points, strategy="pooled")]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [_short(value) for value in values])


def _curves(axes: "Axes", points: Sequence[EnergyPoint], strategy: Strategy) -> None:
    """Measured with intervals, from the truth, the laws and the bound of one strategy."""
    x, colour = [point.value for point in points], COLOURS[strategy]
    for name, (_, dashes) in _LINES.items():
        y = [getattr(point, name) for point in points]
        axes.plot(x, y, dashes=dashes, color=colour, linewidth=0.9)
    measured(axes, points, strategy, _MARKERS[strategy])
    near = [point.near for point in points]
    axes.plot(x, near, _MARKERS[strategy], markeredgecolor=colour, **_TRUTH)


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


PICTURE = Picture(_figure, STYLE)
