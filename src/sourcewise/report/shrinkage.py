"""The plot of shrinkage: estimates of each source, separate, partially pooled and pooled.

A line joins what the strategies estimate of a source: its length is what partial pooling did.
"""

import io
from collections.abc import Sequence

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sourcewise.report.forest import MARKERS, PALETTE
from sourcewise.report.words import shorten
from sourcewise.results.comparison import ComparisonResult, Shrinkage

__all__ = ["MOST", "figure", "order", "save"]

MOST = 30  # sources that are drawn
ROW, TOP, BOTTOM = 15.0, 52.0, 40.0  # points


def order(facts: Shrinkage) -> list[int]:
    """The sources that are drawn, by the first strategy's estimate: all, or evenly spread."""
    first = next(iter(facts.estimates.values()))
    known = [i for i, value in enumerate(first) if value is not None]
    known.sort(key=lambda i: first[i] or 0.0)
    if len(known) <= MOST:
        return known
    return [known[i * (len(known) - 1) // (MOST - 1)] for i in range(MOST)]


def figure(every: Sequence[Shrinkage], width: float) -> Figure:
    """One panel below another; `width` in points."""
    tall = [ROW * len(order(facts)) + TOP + BOTTOM for facts in every]
    whole = sum(tall)
    fig = Figure(figsize=(width / 72, whole / 72), facecolor=PALETTE["paper"])
    top, left = 0.0, min(0.4 * width, 150.0)
    for i, (facts, height) in enumerate(zip(every, tall, strict=True)):
        inside = height - TOP - BOTTOM
        box = (left, whole - top - TOP - inside, width - left - 14.0, inside)
        ax = fig.add_axes(
            (box[0] / width, box[1] / whole, box[2] / width, box[3] / whole), facecolor="none"
        )
        _panel(ax, facts, i == 0)
        top += height
    return fig


def _panel(ax: Axes, facts: Shrinkage, legend: bool) -> None:
    rows = order(facts)
    for s, (name, values) in enumerate(_in_order(facts)):
        chosen = [values[i] for i in rows]
        color = PALETTE[f"s{s % 6 + 1}"]
        xs = [x for x in chosen if x is not None]
        ys = [y for y, x in enumerate(chosen) if x is not None]
        how = {"s": 22.0, "marker": MARKERS[s % 6], "edgecolors": color, "linewidths": 1.3}
        face = color if name == "partial" else PALETTE["paper"]
        ax.scatter(xs, ys, c=face, label=name, zorder=3 + (name == "partial"), **how)
    for y, i in enumerate(rows):
        known = [x for v in facts.estimates.values() if (x := v[i]) is not None]
        ax.hlines(y, min(known), max(known), PALETTE["line"], linewidth=1.2, zorder=1)
    names = [shorten(facts.sources[i], 20) for i in rows]
    ax.set_yticks(range(len(rows)), names, parse_math=False)
    ax.tick_params("both", length=0, labelsize=9.5, labelcolor=PALETTE["ink"])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.spines["bottom"].set_color(PALETTE["muted"])
    label = f"{facts.quantity} of {shorten(facts.column, 30)}, in {facts.unit}"
    ax.set_xlabel(label, color=PALETTE["muted"], fontsize=10.5, parse_math=False)
    if legend:
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=4,
            frameon=False,
            fontsize=10.5,
            labelcolor=PALETTE["ink"],
        )


def _in_order(facts: Shrinkage) -> list[tuple[str, tuple[float | None, ...]]]:
    """The strategies from separate over partial to pooled, then the others."""
    usual = ["separate", "partial", "pooled"]
    names = [name for name in usual if name in facts.estimates]
    names += [name for name in facts.estimates if name not in usual]
    return [(name, facts.estimates[name]) for name in names]


def save(result: ComparisonResult, kind: str, width: float = 640.0) -> bytes | None:
    """The plot as `svg` or `png`; the same result gives the same bytes. None: nothing to show."""
    if not result.shrinkage:
        return None
    fixed = {"svg.hashsalt": "sourcewise-shrinkage", "svg.fonttype": "none", "text.usetex": False}
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    file = io.BytesIO()
    with style.context(["default", fixed]):
        dpi = 72 if kind == "svg" else 200
        fig = figure(result.shrinkage, width)
        fig.savefig(file, format=kind, dpi=dpi, metadata=metadata)
    return file.getvalue()
