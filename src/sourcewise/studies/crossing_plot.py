"""The crossing's figure: measured beside predicted."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from sourcewise.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sourcewise.studies.crossing import Crossing

__all__ = ["draw"]

# Okabe and Ito's colours, told apart by all forms of colour blindness.
MEASURED, SHRUNK, LAW, EXACT, SANDWICH = "#0072B2", "#D55E00", "#999999", "#009E73", "#CC79A7"


def draw(result: "Crossing", png: Path, svg: Path) -> None:
    """Write the figure as PNG and SVG; the same result gives the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "sourcewise", "font.size": 9}):
        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        axes = figure.subplots()
        _panel(axes, result)
        axes.set_ylabel("pooled $-$ separate, nats per row")
        axes.legend(loc="upper right", frameon=False, fontsize=8)
        for path in (png, svg):
            content, kind = io.BytesIO(), path.suffix[1:]
            metadata = {"Date": None} if kind == "svg" else {}
            figure.savefig(content, format=kind, dpi=200, metadata=metadata)
            write_atomic(path, content.getvalue())


def _panel(axes: "Axes", result: "Crossing") -> None:
    n = [point.n_k for point in result.points]
    axes.axhline(0, color="black", lw=0.8)
    curves = [
        ("law", LAW, "--", "law: parameter counts"),
        ("sandwich", SANDWICH, ":", "law: sandwich"),
        ("exact", EXACT, "-.", "exact for Gaussians"),
    ]
    for name, colour, style, label in curves:
        axes.plot(n, [getattr(p, name) for p in result.points], style, color=colour, label=label)
    for name, error, colour, marker, label in (
        ("difference", "standard_error", MEASURED, "o", "measured, maximum likelihood"),
        ("ledoit_wolf", "ledoit_wolf_error", SHRUNK, "s", "measured, Ledoit-Wolf"),
    ):
        y = [getattr(p, name) for p in result.points]
        e = [2 * getattr(p, error) for p in result.points]
        axes.errorbar(n, y, e, fmt=marker, ms=3.5, lw=1, color=colour, label=label)
    place = result.place("difference")
    if place:
        axes.axvline(place, color=MEASURED, lw=0.7, alpha=0.5)
        axes.annotate(
            f"{place:.0f} rows", (place, 0), (4, 6), textcoords="offset points", color=MEASURED
        )
    top = max(4 * result.harm, 0.2)
    axes.set(xscale="log", ylim=(-1.3 * result.harm, top), xlabel="training rows per source")
    axes.set_title(f"{result.name}\n{result.K} sources, {result.d} columns", fontsize=9)
