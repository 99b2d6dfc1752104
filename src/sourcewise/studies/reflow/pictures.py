"""The picture of rectified flows: distance to held-out rows against evaluations of the field."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sourcewise.studies.pictures import STYLE, Picture, frame
from sourcewise.studies.reflow.points import ReflowPoint
from sourcewise.studies.result import select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE"]

# Okabe and Ito's colours, told apart by all forms of colour blindness.
LOOKS = {
    "exact field": ("#999999", "x"),
    "1-rectified": ("#0072B2", "o"),
    "2-rectified": ("#D55E00", "s"),
    "3-rectified": ("#009E73", "^"),
    "distilled": ("#CC79A7", "D"),
}


def _figure(result: object) -> "Figure":
    from matplotlib.figure import Figure

    points: Sequence[ReflowPoint] = result.points  # type: ignore[attr-defined]
    sets = list(dict.fromkeys(p.data for p in points))
    figure = Figure(figsize=(2.6 * len(sets) + 0.6, 2.8), layout="constrained")
    row = figure.subplots(1, len(sets), squeeze=False)[0]
    for axes, name in zip(row, sets, strict=True):
        _panel(axes, select(points, data=name))
        axes.set_title(name, fontsize=9)
    row[0].set_ylabel("energy distance to held-out rows")
    row[0].legend(fontsize=6)
    return figure


def _panel(axes: "Axes", points: Sequence[ReflowPoint]) -> None:
    """A line for each field; what cannot be told from 0 lies at two standard errors, hollow."""
    for flow, (colour, marker) in LOOKS.items():
        mine = select(points, flow=flow)
        if not mine:
            continue
        places = range(len(mine))
        heights = [max(p.energy, 2 * p.energy_error) for p in mine]
        axes.plot(places, heights, "-", color=colour, lw=1, label=flow)
        for place, p, height in zip(places, mine, heights, strict=True):
            face = colour if p.energy > 2 * p.energy_error else "white"
            axes.plot(place, height, marker, color=colour, mfc=face, ms=3.5, mew=0.8)
    (data,) = select(points, flow="data")
    axes.axhline(2 * data.energy_error, color="0.5", lw=0.6, ls=":")
    longest = max((select(points, flow=flow) for flow in LOOKS), key=len)
    axes.set_yscale("log")
    frame(axes, "evaluations")
    axes.set_xticks(range(len(longest)), [_label(p) for p in longest], fontsize=7)


def _label(point: ReflowPoint) -> str:
    return f"{point.evaluations}" + ("\nrk4" if point.method == "rk4" else "")


PICTURE = Picture(_figure, STYLE)
