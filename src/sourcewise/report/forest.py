"""The forest plot: per source, the difference of each strategy to the baseline, with interval.

All lengths are in points, which are CSS pixels where the plot is shown at its own width.
"""

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sourcewise.errors import InputError
from sourcewise.files import write_atomic
from sourcewise.report.rows import MEAN, Forest, forest
from sourcewise.report.words import favours, fixed, shorten
from sourcewise.results.comparison import ComparisonResult

__all__ = ["PALETTE", "draw", "figure", "save"]

# Each colour stands once, so that a report can exchange it for the CSS variable of its name.
PALETTE = {
    "ink": "#1f252b",
    "muted": "#5a626b",
    "line": "#dcd9d2",
    "paper": "#fdfcfa",
    "region": "#ece8df",
    "pool": "#1b5e9e",
    "separate": "#a3470c",
    "equivalent": "#2f6f57",
    "undecided": "#6a6f75",
    "s1": "#1c5fa0",
    "s2": "#a4480d",
    "s3": "#30705a",
    "s4": "#7b3f98",
    "s5": "#a12a5e",
    "s6": "#66600f",
}
SHAPES = {"pool": "o", "separate": "s", "equivalent": "D", "undecided": "o"}
MARKERS = "osD^vP"
GAP = 8.0  # between the marks of two strategies in one row


def figure(plot: Forest, width: float = 720.0, legend: bool = True) -> Figure:
    """Draw a plot; `width` in points. A gid `name-I` marks the label of row I."""
    narrow = width < 480
    letters = min(plot.longest, 16 if narrow else 30)
    left = min(0.42 * width, 22.0 + 6.9 * letters)
    across = width - left - 12.0
    tall, centres = _heights(plot)
    keys = _keys(plot) if legend else []
    widest = max((len(str(key.get_label())) for key in keys), default=1)
    columns = max(1, int(width / (40.0 + 6.6 * widest)))
    words = (f"favours {plot.baseline}", f"favours {plot.right}")
    sides = [shorten(word, 30 if narrow else 44) for word in words]
    stacked = 6.4 * sum(map(len, sides)) + 50.0 > across
    above = 17.0 * -(-len(keys) // columns) + (40.0 if stacked else 24.0) + (4.0 if keys else 0.0)
    height = above + tall + 42.0
    fig = Figure(figsize=(width / 72, height / 72), facecolor=PALETTE["paper"])
    box = (left / width, 42.0 / height, across / width, tall / height)
    ax = fig.add_axes(box, xlim=plot.limits, ylim=(tall, 0.0), facecolor="none")
    _axis(ax, plot, 3 if narrow else 6)
    _sides(ax, sides, stacked, across)
    room = int(across / 6.2)
    label = f"difference in {plot.metric}, {plot.unit}"
    label = label if len(label) <= room else shorten(f"difference, {plot.unit}", room)
    _text(ax, 0.5, tall + 34.0, label, ha="center", color=PALETTE["muted"])
    for i, (row, y) in enumerate(zip(plot.rows, centres, strict=True)):
        name = MEAN if row.macro else shorten(row.name, letters)
        bold = "bold" if row.macro else "normal"
        _text(ax, -10 / across, y, name, ha="right", fontweight=bold, gid=f"name-{i}")
        if row.macro and len(plot.rows) > 1:
            ax.axhline(2 * y, color=PALETTE["line"], linewidth=1.0)
    _marks(ax, plot, centres)
    if keys:
        _legend(fig, keys, columns)
    return fig


def _heights(plot: Forest) -> tuple[float, list[float]]:
    count, extra = len(plot.rows), GAP * (len(plot.strategies) - 1)
    each = (24.0 if count <= 24 else 18.0) + extra
    first = 34.0 + extra if any(row.macro for row in plot.rows) else each
    centres = [first / 2 if i == 0 else first + (i - 0.5) * each for i in range(count)]
    return first + (count - 1) * each, centres


def _text(ax: Axes, x: float, y: float, text: str, **how: Any) -> None:
    how = {"fontsize": 11.5, "color": PALETTE["ink"], "va": "center_baseline"} | how
    # Names come from data: a dollar sign is a dollar sign.
    ax.text(x, y, text, transform=ax.get_yaxis_transform(), parse_math=False, **how)


def _axis(ax: Axes, plot: Forest, ticks: int) -> None:
    low, high = plot.limits
    if plot.region:
        ax.axvspan(-plot.region, plot.region, color=PALETTE["region"], linewidth=0, zorder=0)
    ax.axvline(0.0, color=PALETTE["muted"], linewidth=1.0, zorder=1)
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.spines["bottom"].set_color(PALETTE["muted"])
    ax.yaxis.set_visible(False)
    at = [x for x in MaxNLocator(ticks).tick_values(low, high) if low <= x <= high]
    step = at[1] - at[0] if len(at) > 1 else 1.0
    places = next((n for n in range(9) if math.isclose(round(step, n), step, rel_tol=1e-6)), 9)
    ax.set_xticks(at, [fixed(x, places) for x in at])
    ax.tick_params("x", color=PALETTE["muted"], labelcolor=PALETTE["muted"], labelsize=11)


def _sides(ax: Axes, sides: Sequence[str], stacked: bool, across: float) -> None:
    low, high = ax.get_xlim()
    zero = min(max(-low / (high - low), 0.0), 1.0)
    how = {"color": PALETTE["muted"], "fontstyle": "italic"}
    room = (zero * across, (1 - zero) * across)
    lines = (-26.0, -10.0) if stacked else (-10.0, -10.0)
    left, right = f"← {sides[0]}", f"{sides[1]} →"
    # Beside zero where there is room for both, else at the two edges of the axes.
    fits = all(6.4 * len(t) + 8 < r for t, r in zip((left, right), room, strict=True))
    x = (zero - 6 / across, zero + 6 / across) if fits else (0.0, 1.0)
    _text(ax, x[0], lines[0], left, ha="right" if fits else "left", **how)
    _text(ax, x[1], lines[1], right, ha="left" if fits else "right", **how)


def _look(plot: Forest, s: int, verdict: str) -> tuple[str, str, bool]:
    """Colour, marker, and whether it is filled: by verdict if alone, else by strategy."""
    decided = verdict in ("pool", "separate", "equivalent")
    if len(plot.strategies) == 1:
        kind = verdict if decided else "undecided"
        return PALETTE[kind], SHAPES[kind], decided
    return PALETTE[f"s{s % 6 + 1}"], MARKERS[s % 6], decided


def _marks(ax: Axes, plot: Forest, centres: Sequence[float]) -> None:
    """All intervals and their middles: few calls, since each takes milliseconds."""
    low, high = plot.limits
    lines: list[tuple[Any, ...]] = []
    points: dict[str, list[tuple[Any, ...]]] = {}  # by shape
    beyond: dict[tuple[float, str], list[tuple[Any, ...]]] = {}  # by edge
    for row, centre in zip(plot.rows, centres, strict=True):
        size, thick = (64.0, 2.4) if row.macro else (34.0, 1.5)
        for s, mark in enumerate(row.marks):
            if mark is None:
                continue
            y = centre + GAP * (s - (len(plot.strategies) - 1) / 2)
            color, shape, filled = _look(plot, s, mark.verdict)
            first, last = min(mark.ends), max(mark.ends)
            lines.append((y, max(first, low), min(last, high), color, thick))
            for edge, over, arrow in ((low, first < low, "<"), (high, last > high, ">")):
                if over:
                    beyond.setdefault((edge, arrow), []).append((y, color))
            if low <= mark.difference <= high:
                face = color if filled else PALETTE["paper"]
                points.setdefault(shape, []).append((mark.difference, y, size, face, color))
    if lines:
        ys, starts, ends, colors, widths = zip(*lines, strict=True)
        ax.hlines(ys, starts, ends, colors, linewidth=widths, zorder=2)
    for (edge, arrow), found in beyond.items():
        ys, colors = zip(*found, strict=True)
        ax.scatter([edge] * len(ys), ys, s=26.0, c=colors, marker=arrow, clip_on=False, zorder=3)
    for shape, found in points.items():
        xs, ys, sizes, faces, colors = zip(*found, strict=True)
        how: dict[str, Any] = {"edgecolors": colors, "linewidths": 1.4, "zorder": 4}
        ax.scatter(xs, ys, s=sizes, c=faces, marker=shape, **how)


def _keys(plot: Forest) -> list[Line2D]:
    verdicts = {mark.verdict for row in plot.rows for mark in row.marks if mark}
    if len(plot.strategies) == 1:
        kinds = [k for k in SHAPES if k in verdicts] + ["undecided"] * (not verdicts & {*SHAPES})
        words = [favours(kind, plot.strategies[0], plot.baseline) for kind in kinds]
        looks = [_look(plot, 0, kind) for kind in kinds]
    else:
        words = [*plot.strategies]
        looks = [_look(plot, s, "pool") for s in range(len(words))]
        if verdicts - {"pool", "separate", "equivalent"}:
            words.append("hollow: undecided")
            looks.append((PALETTE["undecided"], "o", False))
    return [_key(shorten(w, 36), *look) for w, look in zip(words, looks, strict=True)]


def _key(word: str, color: str, shape: str, filled: bool) -> Line2D:
    face = color if filled else PALETTE["paper"]
    how: dict[str, Any] = {"marker": shape, "markersize": 6, "linewidth": 1.5, "color": color}
    return Line2D([], [], label=word, markerfacecolor=face, markeredgewidth=1.4, **how)


def _legend(fig: Figure, keys: Sequence[Line2D], columns: int) -> None:
    legend = fig.legend(
        handles=keys,
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=11,
        labelcolor=PALETTE["ink"],
        borderpad=0.1,
        handlelength=1.8,
        columnspacing=1.6,
        labelspacing=0.4,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def save(plot: Forest, kind: str, salt: str = "", **how: Any) -> bytes:
    """The plot as `svg` (text as text) or `png`; the same plot gives the same bytes."""
    fixed = {"svg.hashsalt": f"sourcewise{salt}", "svg.fonttype": "none", "text.usetex": False}
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    file = io.BytesIO()
    with style.context(["default", fixed]), warnings.catch_warnings():
        # A font without some glyph of a name: the reader's browser has one.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        dpi = 72 if kind == "svg" else 200
        figure(plot, **how).savefig(file, format=kind, dpi=dpi, metadata=metadata)
    return file.getvalue()


def draw(result: ComparisonResult, path: Path) -> None:
    """Write a result's forest plot to a PNG or SVG file."""
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise InputError(f"cannot draw to {path.name}: the name must end in .png or .svg")
    plot = forest(result)
    if plot is None:
        raise InputError("this result has no difference to draw")
    write_atomic(path, save(plot, kind))
