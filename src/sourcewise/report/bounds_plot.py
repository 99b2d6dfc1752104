"""The picture of the theory: bounds and laws over n or K, samplers over T, flows over steps."""

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sourcewise.bounds.base import Case, Curves
from sourcewise.errors import InputError
from sourcewise.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_bounds", "write_picture"]

# Blue and vermilion of Okabe and Ito: told apart by colour-blind readers, and in grey.
_COLOURS = {"separate": "#0072B2", "grouped": "#009E73", "pooled": "#D55E00"}
# Okabe and Ito's others, and three more, for what has no colour of its own.
_MORE = (*_COLOURS.values(), "#CC79A7", "#E69F00", "#56B4E9", "0.2", "0.6", "#8B4513", "#BBBB00")
# Bounds are thin to thick as they get sharper; what to expect is dashed, and exact in dots.
_LINES: dict[str, dict[str, Any]] = {
    "paper": {"linewidth": 0.8, "dashes": (1, 1.5)},
    "simple": {"linewidth": 0.8, "dashes": (4, 1.5)},
    "refined": {"linewidth": 1.0},
    "localized": {"linewidth": 1.7},
    "localized_drawn": {"linewidth": 1.4, "dashes": (9, 1.5)},
    "asymptotic": {"linewidth": 0.9, "dashes": (6, 2, 1, 2)},
    "law": {"linewidth": 1.1, "dashes": (3, 2)},
    "rate": {"linewidth": 1.2},
    "exact": {"linestyle": "none", "marker": "o", "markersize": 3.2, "markeredgewidth": 0},
}
_EXPECTED = ("asymptotic", "law", "exact")
_STYLE: Any = {
    "font.size": 9,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "sourcewise",  # the same element names in each run
    "svg.fonttype": "path",
}
_AXES = {"n": "examples $n$", "K": "sources $K$", "T": "steps $T$", "N": "steps $N$"}


def draw_bounds(case: Case, curves: Curves, path: Path) -> None:
    """Write the bounds and the laws along an axis, one colour for each strategy or sampler."""
    places, over = curves.places, curves.over
    colours = _colours(curves.lines)

    def fill(figure: "Figure") -> None:
        axes = figure.subplots()
        for name, forms in curves.lines.items():
            for form, values in forms.items():
                every = (len(places) % 5, 5) if form == "exact" else None
                style = _LINES[form] | {"color": colours[name], "markevery": every}
                axes.plot(places, values, **style)
        lines = [line for forms in curves.lines.values() for line in forms.values()]
        known = [value for line in lines for value in line if value > 0]
        axes.set(xscale="log", yscale="log", xlabel=_AXES[over], ylabel=curves.error)
        top = 4 if curves.limit is not None else max(known) * 1.25
        axes.set(xlim=(min(places), max(places)), ylim=(max(1e-6, min(known) * 0.8), top))
        axes.yaxis.set_major_formatter("{x:g}")
        if over == "K":
            axes.set_xticks([K for K in (1, 2, 5, 10, 20, 50, 100) if K <= max(places)])
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        if curves.limit is not None:
            _mark_limit(axes, curves.limit, over)
        axes.axvline(curves.at, color="0.7", linewidth=0.6, zorder=0)
        axes.set_title(case.title, loc="left", fontweight="bold", fontsize=10, pad=19)
        place: Any = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(case.words, xytext=(0, 6), fontsize=8, color="0.3", **place)
        _legend(figure, colours, list(next(iter(curves.lines.values()))))

    write_picture(path, (6.4, 3.8), fill)


def _mark_limit(axes: "Axes", limit: float, over: str) -> None:
    """Grey where values say nothing."""
    axes.axhspan(limit, 100, color="0.93", zorder=0, linewidth=0)
    # the corner that the curves leave free: they fall with n and T and rise with K
    corner, side, shift = (1, "right", -4) if over != "K" else (0, "left", 4)
    inside: Any = {"xycoords": "axes fraction", "textcoords": "offset points"}
    inside |= {"bbox": {"facecolor": "0.93", "edgecolor": "none", "pad": 1}, "color": "0.3"}
    says = f"{limit:g} or more: says nothing"
    axes.annotate(says, (corner, 1), xytext=(shift, -4), ha=side, va="top", **inside)


def _colours(names: Collection[str]) -> dict[str, str]:
    """A colour for each name, in the order of the legend."""
    others = [name for name in names if name not in _COLOURS]
    own = {name: colour for name, colour in _COLOURS.items() if name in names}
    return own | dict(zip(others, cycle(_MORE), strict=False))


def _legend(figure: "Figure", colours: Mapping[str, str], forms: Sequence[str]) -> None:
    """Colours are strategies or samplers; of several lines, bounds come before what to expect."""
    from matplotlib.lines import Line2D

    width = 3 if len(forms) > 1 else 1.2
    rows = [(name, Line2D([], [], linewidth=width, color=c)) for name, c in colours.items()]
    expected = [form for form in forms if form in _EXPECTED]
    groups = {"bounds": [form for form in forms if form not in _EXPECTED], "to expect": expected}
    groups = groups if len(forms) > 1 else {}
    for heading, group in groups.items():
        rows.append((heading, Line2D([], [], linestyle="none")))
        lines = [Line2D([], [], color="0.3", **_LINES[form]) for form in group]
        rows += zip((form.removeprefix("localized_") for form in group), lines, strict=True)
    labels, handles = zip(*rows, strict=True)
    legend = figure.legend(handles, labels, loc="outside right center", handlelength=2.6)
    for text in legend.get_texts():
        if text.get_text() in groups:
            text.set(color="0.3", style="italic")


def write_picture(path: Path, size: tuple[float, float], fill: "Callable[[Figure], None]") -> None:
    """Write a figure; the same one gives the same bytes.

    The ending, .svg, .png or .pdf, chooses the format; sizes are in inches.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    form = path.suffix.removeprefix(".")
    if form not in ("svg", "png", "pdf"):
        raise InputError(f"{path}: the plot's name must end in .svg, .png or .pdf")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    metadata = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        fill(figure)
        figure.savefig(buffer, format=form, dpi=200, metadata=metadata[form])
    write_atomic(path, buffer.getvalue())
