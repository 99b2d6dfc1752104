"""The picture of the JKO flows: rows on their way to noise, and W2 and KL block by block."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from sourcewise.studies.pictures import STYLE, Picture, frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE"]

COLOURS = ("#0072B2", "#D55E00")  # of sources, told apart by all readers


class Place(Protocol):
    """A source after a block: `measures.Place`."""

    truth: str
    source: int
    block: int
    kl: float
    kl_exact: float | None
    kl_bound: float | None
    w2: float | None
    w2_exact: float | None
    w2_bound: float | None


class Shown(Protocol):
    """The result: `study.JKOStudy`."""

    points: Sequence[Place]
    rows: Mapping[str, Sequence[Sequence[Sequence[float]]]]


def _figure(result: Shown) -> "Figure":
    from matplotlib.figure import Figure

    clouds = result.rows["mixture"]
    figure = Figure(figsize=(8.4, 4.6), layout="constrained")
    halves = figure.add_gridspec(2, 1, height_ratios=(1, 2))
    above = halves[0].subgridspec(1, len(clouds))
    for n, rows in enumerate(clouds):
        axes = figure.add_subplot(above[n])
        axes.plot(
            *zip(*rows, strict=True), ".", color=COLOURS[0], ms=1.5, alpha=0.6, rasterized=True
        )
        axes.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), xticks=(), yticks=(), aspect="equal")
        axes.set_title("data" if n == 0 else f"{n}", fontsize=8)
    normal = [p for p in result.points if p.truth == "normal"]
    below = halves[1].subgridspec(1, 2)
    for n, what in enumerate(("w2", "kl")):
        _panel(figure.add_subplot(below[n]), normal, what)
    return figure


def _panel(axes: "Axes", places: Sequence[Place], what: str) -> None:
    """Of the normal laws: measured (dots), exact (lines), bounds (dashed)."""
    for k, colour in enumerate(COLOURS):
        mine = [p for p in places if p.source == k]
        for part, style in (("", "o"), ("_exact", "-"), ("_bound", "--")):
            pairs = [(p.block, getattr(p, what + part)) for p in mine]
            pairs = [pair for pair in pairs if pair[1] is not None]
            label = f"normal law {k + 1}, {('measured', 'exact', 'bound')[_order(part)]}"
            axes.plot(*zip(*pairs, strict=True), style, color=colour, ms=3.5, lw=1, label=label)
    axes.set_yscale("log")
    axes.set_ylabel("W2 to N(0, I)" if what == "w2" else "KL from N(0, I)")
    frame(axes, "blocks")
    if what == "w2":
        axes.legend(fontsize=6)


def _order(part: str) -> int:
    return ("", "_exact", "_bound").index(part)


PICTURE = Picture(_figure, STYLE)
