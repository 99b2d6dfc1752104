"""The picture of the samplers: error against evaluations of the network, a panel per process
and truth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from sourcewise.studies.pictures import STYLE, Picture, frame, powers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE"]

# Okabe and Ito's colours, told apart by all forms of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#999999")
MARKERS = "osv^D"


class Point(Protocol):
    """An error: `study.SamplerPoint`."""

    sampler: str
    process: str
    truth: str
    evaluations: int
    distance: str
    error: float


def _figure(result: object) -> "Figure":
    from matplotlib.figure import Figure

    points: Sequence[Point] = result.points  # type: ignore[attr-defined]
    processes = list(dict.fromkeys(p.process for p in points))
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    rows = figure.subplots(2, len(processes), squeeze=False, sharex="col")
    for mixed, row in zip((False, True), rows, strict=True):
        for axes, process in zip(row, processes, strict=True):
            mine = [p for p in points if p.process == process and (p.truth == "mixture") == mixed]
            _panel(axes, mine, legend=not mixed)
            axes.set_title(f"{process}, {mine[0].truth}", fontsize=9)
            axes.set_ylabel(f"{mine[0].distance} to the truth")
    return figure


def _panel(axes: "Axes", points: Sequence[Point], legend: bool) -> None:
    samplers = dict.fromkeys(p.sampler for p in points)
    for sampler, colour, marker in zip(samplers, COLOURS, MARKERS, strict=False):
        mine = [p for p in points if p.sampler == sampler]
        x, y = [p.evaluations for p in mine], [p.error for p in mine]
        axes.plot(x, y, f"{marker}-", color=colour, ms=3, lw=1, label=sampler.replace("_", " "))
    powers(axes)
    frame(axes, "evaluations")
    if legend:
        axes.legend(fontsize=6)


PICTURE = Picture(_figure, STYLE)
