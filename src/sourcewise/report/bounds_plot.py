"""Pictures of the theory: bounds over n or K, a Gaussian bracket, brackets of constants."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sourcewise.errors import InputError
from sourcewise.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_bounds", "draw_constant_brackets", "draw_docs_figures", "draw_gaussian_bracket"]

# Blue and vermilion of Okabe and Ito: told apart by colour-blind readers, and in grey.
_COLOURS = {"separate": "#0072B2", "grouped": "#009E73", "pooled": "#D55E00"}
# Bounds are thin to thick as they get sharper; what to expect is dashed, and exact in dots.
_LINES: dict[str, Any] = {
    "paper": {"linewidth": 0.8, "dashes": (1, 1.5)},
    "simple": {"linewidth": 0.8, "dashes": (4, 1.5)},
    "refined": {"linewidth": 1.0},
    "localized": {"linewidth": 1.7},
    "localized_drawn": {"linewidth": 1.4, "dashes": (9, 1.5)},
    "asymptotic": {"linewidth": 0.9, "dashes": (6, 2, 1, 2)},
    "law": {"linewidth": 1.1, "dashes": (3, 2)},
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
_AXES = {"n": "examples $n$", "K": "sources $K$"}


def draw_bounds(
    places: list[float],
    curves: Mapping[str, Mapping[str, list[float]]],
    over: str,
    path: Path,
    at: float | None = None,
    title: str = "",
    subtitle: str = "",
) -> None:
    """Write the bounds and the laws over n or K, one colour per strategy; .svg, .png or .pdf.

    Args:
        places: values of n or K.
        curves: {strategy: {form: values}}, from `theory.calculator.curves`.
        over: "n" or "K".
        path: the file; its ending chooses the format.
        at: the case's own place, to mark.
        title: the case, from `theory.calculator.title`.
        subtitle: its sizes, in smaller letters.
    """

    def fill(figure: "Figure") -> None:
        axes = figure.subplots()
        for name, forms in curves.items():
            for form, values in forms.items():
                every = (len(places) % 5, 5) if form == "exact" else None
                style = _LINES[form] | {"color": _COLOURS[name], "markevery": every}
                axes.plot(places, values, **style)
        known = [v for forms in curves.values() for line in forms.values() for v in line if v > 0]
        axes.set(xscale="log", yscale="log", xlabel=_AXES[over], ylabel="average TV")
        axes.set(xlim=(min(places), max(places)), ylim=(max(1e-6, min(known) * 0.8), 4))
        axes.yaxis.set_major_formatter("{x:g}")
        if over == "K":
            axes.set_xticks([K for K in (1, 2, 5, 10, 20, 50, 100) if K <= max(places)])
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        axes.axhspan(1, 100, color="0.93", zorder=0, linewidth=0)
        # the corner that the curves leave free: they fall with n and rise with K
        corner, side, shift = (1, "right", -4) if over == "n" else (0, "left", 4)
        inside: Any = {"xycoords": "axes fraction", "textcoords": "offset points"}
        inside |= {"bbox": {"facecolor": "0.93", "edgecolor": "none", "pad": 1}, "color": "0.3"}
        says = "1 or more: says nothing"
        axes.annotate(says, (corner, 1), xytext=(shift, -4), ha=side, va="top", **inside)
        if at is not None:
            axes.axvline(at, color="0.7", linewidth=0.6, zorder=0)
        if title:
            axes.set_title(title, loc="left", fontweight="bold", fontsize=10, pad=19)
            place = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
            axes.annotate(subtitle, xytext=(0, 6), fontsize=8, color="0.3", **place)
        _legend(figure, curves)

    _write(path, (6.4, 3.8), fill)


def _legend(figure: "Figure", curves: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Colours are strategies; lines are bounds, then what to expect."""
    from matplotlib.lines import Line2D

    forms = list(next(iter(curves.values())))
    names = [name for name in _COLOURS if name in curves]
    rows = [(name, Line2D([], [], color=_COLOURS[name], linewidth=3)) for name in names]
    expected = [form for form in forms if form in _EXPECTED]
    groups = {"bounds": [form for form in forms if form not in _EXPECTED], "to expect": expected}
    for heading, group in groups.items():
        rows.append((heading, Line2D([], [], linestyle="none")))
        lines = [Line2D([], [], color="0.3", **_LINES[form]) for form in group]
        rows += zip((form.removeprefix("localized_") for form in group), lines, strict=True)
    labels, handles = zip(*rows, strict=True)
    legend = figure.legend(handles, labels, loc="outside right center", handlelength=2.6)
    for text in legend.get_texts():
        if text.get_text() in groups:
            text.set(color="0.3", style="italic")


def draw_gaussian_bracket(path: Path, eta: float = 0.4) -> None:
    """Write two members of a cell of half-width eta and the two functions above all members."""
    from sourcewise.theory.gaussian.brackets import EnvelopeBracket, GaussianBracket

    x, centre = np.linspace(-4, 4, 401), np.zeros(1)

    def fill(figure: "Figure") -> None:
        axes = figure.subplots()
        for mean in np.linspace(-eta, eta, 5):
            member = np.exp(-((x - mean) ** 2) / 2) / math.sqrt(2 * math.pi)
            label = "members of one cell" if mean == eta else None
            axes.plot(x, member, color="0.6", linewidth=0.8, label=label)
        for make, colour, name in (
            (EnvelopeBracket, "#D55E00", "envelope bracket"),
            (GaussianBracket, "#0072B2", "Gaussian bracket"),
        ):
            element = make(centre, eta)
            label = f"{name}, area {math.exp(element.log_integral):.3f}"
            axes.plot(x, np.exp(element.log_density(x[:, None])), color=colour, label=label)
        axes.set(xlabel="$x$", ylabel="density", xlim=(-4, 4), ylim=(0, None))
        axes.legend(loc="upper right", fontsize=8)

    _write(path, (5.6, 2.8), fill)


def draw_constant_brackets(path: Path, theta: float = 0.3, epsilon: float = 0.25) -> None:
    """Write the bracket of the constants of [0, 1] on the unit interval, and one member in it."""
    from sourcewise.theory.constant_brackets import ConstantBrackets

    brackets = ConstantBrackets(0.0, 1.0, 1.0, epsilon)

    def fill(figure: "Figure") -> None:
        axes = figure.subplots()
        for i, height in enumerate(brackets.elements):
            label = f"bracket, N({epsilon:g}) = {brackets.number}" if i == 0 else None
            axes.plot([0, 1], [height, height], color="#0072B2", linewidth=1.2, label=label)
        top = brackets.above(theta)
        axes.plot([0, 1], [theta, theta], color="#D55E00", label=f"a member, {theta:g}")
        gap = f"area between: {top - theta:.2g}, at most {epsilon:g}"
        axes.fill_between([0, 1], theta, top, color="#D55E00", alpha=0.2, linewidth=0, label=gap)
        axes.set(xlabel="$x$", ylabel="height", xlim=(0, 1), ylim=(0, 1.06))
        figure.legend(loc="outside upper center", ncols=3, fontsize=8)

    _write(path, (5.6, 2.6), fill)


def draw_docs_figures(folder: Path) -> list[Path]:
    """Write the figures of the docs' theory pages into a folder, and say which."""
    from sourcewise.theory import calculator, cases

    sizes = {"dim": 10, "specific": 5, "mean_bound": 5}
    case = cases.build("gaussian", {"sources": 5, "samples": 5000, **sizes})
    names = ("bracket-constants", "bracket-gaussian", "bounds-gaussian")
    paths = [folder / f"{name}.svg" for name in names]
    draw_constant_brackets(paths[0])
    draw_gaussian_bracket(paths[1])
    title = calculator.title(case)
    draw_bounds(*calculator.curves(case, "n"), "n", paths[2], case.n, title, case.words)
    return paths


def _write(path: Path, size: tuple[float, float], fill: Any) -> None:
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
