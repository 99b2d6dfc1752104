"""The picture of an ARM table: measured, the paper, counts and the asymptotic laws."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sourcewise.studies.arm.table import ArmPoint, ArmTable
from sourcewise.studies.curves import STRATEGIES, Strategy
from sourcewise.studies.pictures import COLOURS, STYLE, Picture, frame, measured, powers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE"]

_LABELS = {"K": "number of sources $K$", "n": "sample size $n$", "D": "positions $D$"}


def _figure(table: ArmTable) -> "Figure":
    """One panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axes = figure.subplots()
    for strategy in STRATEGIES:
        _curve(axes, table.select(strategy=strategy), strategy)
    separate = table.select(strategy="separate")
    _laws(axes, separate)
    _finish(axes, table.sweep, [point.value for point in separate])
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _curve(axes: "Axes", points: Sequence[ArmPoint], strategy: Strategy) -> None:
    measured(axes, points, strategy, "o", f"{strategy}, measured")
    known = [(point.value, point.paper) for point in points if point.paper is not None]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            "D",
            markerfacecolor="white",
            markeredgecolor=COLOURS[strategy],
            markersize=4.6,
            label=f"{strategy}, the paper",
        )


def _laws(axes: "Axes", points: Sequence[ArmPoint]) -> None:
    """What needs no training; the same for both strategies."""
    x = [point.value for point in points]
    axes.plot(x, [p.frequencies for p in points], ":", color="0.3", linewidth=1.2, label="counts")
    law = [(p.value, p.saturated) for p in points if p.saturated < 1]
    if len(law) > 1:
        x, y = zip(*law, strict=True)
        axes.plot(x, y, color="0.3", linewidth=0.8, dashes=(4, 2.5), label="law, saturated class")


def _finish(axes: "Axes", sweep: str, values: Sequence[int]) -> None:
    frame(axes, _LABELS[sweep])
    axes.set_ylabel("average TV")
    if sweep == "D":
        axes.set_ylim(0, 1)
    else:
        powers(axes)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()


PICTURE = Picture(_figure, STYLE)
