"""The paper's figure 3: relative advantages of pooling; and gains of the bound beside them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sourcewise.studies.pictures import STYLE, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sourcewise.studies.table1.points import Table1, Table1Point

__all__ = ["PICTURE"]

# Okabe and Ito's colours, told apart by all forms of colour blindness.
COLOURS = {1: "#0072B2", 2: "#D55E00"}  # by level


def _figure(result: "Table1") -> "Figure":
    """A row of two panels for each budget: gains with intervals, and advantages."""
    from matplotlib.figure import Figure

    budgets = list(dict.fromkeys(point.budget for point in result.points))
    figure = Figure(figsize=(7.2, 2.8 * len(budgets)), layout="constrained")
    rows = figure.subplots(len(budgets), 2, squeeze=False)
    for (left, right), budget in zip(rows, budgets, strict=True):
        points = result.select(budget=budget)
        _gains(left, points)
        _advantages(right, points)
        left.set_title(f"budget {budget}", fontsize=9, loc="left")
    rows[0][0].legend(fontsize=7)
    return figure


def _places(points: Sequence["Table1Point"]) -> list[str]:
    return list(dict.fromkeys(_place(point) for point in points))


def _place(point: "Table1Point") -> str:
    return f"N = {point.n}\nK = {point.K}"


def _gains(axes: "Axes", points: Sequence["Table1Point"]) -> None:
    places = _places(points)
    for level, colour in COLOURS.items():
        mine = [(p, p.interval) for p in points if p.level == level]
        x = [places.index(_place(p)) + 0.16 * (2 * level - 3) for p, found in mine if found]
        known = [found for _, found in mine if found]
        bars = [[y - low for y, low, _ in known], [high - y for y, _, high in known]]
        y = [gain for gain, _, _ in known]
        axes.errorbar(x, y, yerr=bars, fmt="o", ms=4, color=colour, label=f"similarity {level}")
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(range(len(places)), places, fontsize=7)
    axes.set_ylabel("gain of pooling, nats per value", fontsize=8)


def _advantages(axes: "Axes", points: Sequence["Table1Point"]) -> None:
    places = _places(points)
    for level, colour in COLOURS.items():
        mine = [p for p in points if p.level == level]
        x = [places.index(_place(p)) + 0.16 * (2 * level - 3) for p in mine]
        y, spread = [100 * p.advantage for p in mine], [100 * p.advantage_sd for p in mine]
        axes.bar(x, y, width=0.3, color=colour)
        axes.errorbar(x, y, yerr=spread, fmt="none", ecolor="black", lw=0.8)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(range(len(places)), places, fontsize=7)
    axes.set_ylabel("relative advantage, Frechet, %\n(lines: sd of one set of draws)", fontsize=8)


PICTURE = Picture(_figure, STYLE)
