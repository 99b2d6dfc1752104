"""The figures of the docs' theory pages: `python -m tests.theory.pictures docs/figures`."""

import math
import sys
from pathlib import Path

import numpy as np

from sourcewise.bounds.calculator import curves
from sourcewise.bounds.registry import build
from sourcewise.report.bounds_plot import draw_bounds, write_picture

from .witnesses import ConstantBrackets, EnvelopeBracket, GaussianBracket


def draw_gaussian_bracket(path: Path, eta: float = 0.4) -> None:
    """Two members of a cell of half-width eta and the two functions above all members."""
    x, centre = np.linspace(-4, 4, 401), np.zeros(1)

    def fill(figure):
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

    write_picture(path, (5.6, 2.8), fill)


def draw_constant_brackets(path: Path, theta: float = 0.3, epsilon: float = 0.25) -> None:
    """The bracket of the constants of [0, 1] on the unit interval, and one member in it."""
    brackets = ConstantBrackets(0.0, 1.0, 1.0, epsilon)

    def fill(figure):
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

    write_picture(path, (5.6, 2.6), fill)


def draw_docs_figures(folder: Path) -> list[Path]:
    """Write all of them into a folder, and say which."""
    sizes = {"dim": 10, "specific": 5, "mean_bound": 5}
    case = build("gaussian", {"sources": 5, "samples": 5000, **sizes})
    names = ("bracket-constants", "bracket-gaussian", "bounds-gaussian")
    paths = [folder / f"{name}.svg" for name in names]
    draw_constant_brackets(paths[0])
    draw_gaussian_bracket(paths[1])
    draw_bounds(case, curves(case, "n"), paths[2])
    return paths


if __name__ == "__main__":
    for path in draw_docs_figures(Path(sys.argv[1])):
        print(path)
