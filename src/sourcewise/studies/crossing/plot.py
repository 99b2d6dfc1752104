"""The crossing's figure: measured beside predicted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sourcewise.studies.crossing.points import Crossing, CrossingPoint
from sourcewise.studies.pictures import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE"]

_STYLE = {"font.size": 9}
# Okabe and Ito's colours, told apart by all forms of colour blindness.
MEASURED, SHRUNK, LAW, EXACT, SANDWICH = "#0072B2", "#D55E00", "#999999", "#009E73", "#CC79A7"


def _figure(result: Crossing) -> "Figure":
    """One panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    _curves(axes, result.points)
    _crossing(axes, result.at("difference"))
    axes.set(xscale="log", ylim=(-1.3 * result.harm, max(4 * result.harm, 0.2)))
    axes.set(xlabel="training rows per source", ylabel="pooled $-$ separate, nats per row")
    axes.set_title(f"{result.data}\n{result.K} sources, {result.d} columns", fontsize=9)
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    return figure


def _curves(axes: "Axes", points: Sequence[CrossingPoint]) -> None:
    """Measured and predicted."""
    n = [point.n_k for point in points]
    axes.axhline(0, color="black", lw=0.8)
    curves = [
        ("law", LAW, "--", "law: parameter counts"),
        ("sandwich", SANDWICH, ":", "law: sandwich"),
        ("exact", EXACT, "-.", "exact for Gaussians"),
    ]
    for name, colour, style, label in curves:
        axes.plot(n, [getattr(p, name) for p in points], style, color=colour, label=label)
    for name, error, colour, marker, label in (
        ("difference", "standard_error", MEASURED, "o", "measured, maximum likelihood"),
        ("ledoit_wolf", "ledoit_wolf_error", SHRUNK, "s", "measured, Ledoit-Wolf"),
    ):
        y = [getattr(p, name) for p in points]
        e = [2 * getattr(p, error) for p in points]
        axes.errorbar(n, y, e, fmt=marker, ms=3.5, lw=1, color=colour, label=label)


def _crossing(axes: "Axes", at: float | None) -> None:
    """Where the measured curve crosses zero."""
    if at is not None:
        axes.axvline(at, color=MEASURED, lw=0.7, alpha=0.5)
        axes.annotate(
            f"{at:.0f} rows", (at, 0), (4, 6), textcoords="offset points", color=MEASURED
        )


PICTURE = Picture(_figure, _STYLE)
