"""The crossing's figure: measured beside predicted."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sourcewise.studies.crossing.points import CrossingPoint, place
from sourcewise.studies.pictures import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# Okabe and Ito's colours, told apart by all forms of colour blindness.
MEASURED, SHRUNK, LAW, EXACT, SANDWICH = "#0072B2", "#D55E00", "#999999", "#009E73", "#CC79A7"


def draw(title: str, points: Sequence[CrossingPoint], harm: float, png: Path, svg: Path) -> None:
    """Write the figure as PNG and SVG; the same points give the same bytes.

    Args:
        title: of the figure.
        points: of all curves.
        harm: of pooling with ever more rows, nats per row.
        png, svg: where to.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "sourcewise", "font.size": 9}):
        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        axes = figure.subplots()
        _curves(axes, points)
        _crossing(axes, place(points, "difference"))
        axes.set(xscale="log", ylim=(-1.3 * harm, max(4 * harm, 0.2)))
        axes.set(xlabel="training rows per source", ylabel="pooled $-$ separate, nats per row")
        axes.set_title(title, fontsize=9)
        axes.legend(loc="upper right", frameon=False, fontsize=8)
        save(figure, png, svg)


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
