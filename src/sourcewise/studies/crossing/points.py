"""The crossing's settings, the points of its curves, where these cross zero, and its figure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import Field

from sourcewise.screening.options import Missing
from sourcewise.settings import Seed, Settings
from sourcewise.studies.pictures import Picture
from sourcewise.studies.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE", "Crossing", "CrossingPoint", "CrossingSettings"]

CURVES = {
    "difference": "measured",
    "ledoit_wolf": "ledoit-wolf",
    "law": "law",
    "sandwich": "sandwich",
    "exact": "exact",
}
HEAD = (
    "| rows per source | pooled - separate | Ledoit-Wolf | law | sandwich | exact |\n"
    "|---|---|---|---|---|---|"
)
# Okabe and Ito's colours, told apart by all forms of colour blindness.
MEASURED, SHRUNK, LAW, EXACT, SANDWICH = "#0072B2", "#D55E00", "#999999", "#009E73", "#CC79A7"


class CrossingSettings(Settings):
    """How the data are read, and how much is simulated."""

    repetitions: int = Field(
        default=200, ge=2, le=1_000_000, description="draws of training rows per size"
    )
    largest: int = Field(
        default=3000, ge=2, le=10_000_000, description="most training rows per source"
    )
    sizes: int = Field(default=16, ge=2, le=1000, description="number of sizes on the grid")
    min_rows: int = Field(
        default=100, ge=2, le=10_000_000, description="sources with fewer rows are left out"
    )
    log: tuple[str, ...] = ()
    missing: Missing = "drop"
    seed: Seed = 0


@dataclass(frozen=True)
class CrossingPoint:
    """Mean difference pooled minus separate at one size, nats per row, with standard error."""

    n_k: int  # training rows per source
    difference: float  # maximum likelihood
    standard_error: float  # over repetitions
    ledoit_wolf: float  # the same difference with Ledoit-Wolf shrinkage in both strategies
    ledoit_wolf_error: float  # its standard error
    law: float  # predicted by parameter counts
    sandwich: float  # predicted with the population's fourth moments
    # predicted by the exact expectations for Gaussians; None where they do not exist
    exact: float | None


@dataclass(frozen=True)
class Crossing(Result):
    """The curves, and the sizes (rows per source) at which they cross zero."""

    settings: CrossingSettings  # that it was computed for
    points: tuple[CrossingPoint, ...]  # in the order of n_k
    data: str  # the name of the data
    K: int  # sources
    d: int  # columns
    harm: float  # of pooling with ever more rows, nats per row

    def at(self, curve: str) -> float | None:
        """Rows per source at which a curve, a field of points, turns to separate, or None."""
        values = [(p.n_k, getattr(p, curve)) for p in self.points]
        known = [(n_k, value) for n_k, value in values if value is not None]
        for (n0, v0), (n1, v1) in reversed(list(pairwise(known))):
            if v0 > 0 >= v1:
                share = v0 / (v0 - v1)
                return math.exp(math.log(n0) + share * (math.log(n1) - math.log(n0)))
        return None

    def to_json(self) -> Mapping[str, object]:
        """As plain values."""
        return {**super().to_json(), "crossing_n_k": {curve: self.at(curve) for curve in CURVES}}

    def __str__(self) -> str:
        """A Markdown table and the crossings."""
        found = [(name, self.at(curve)) for curve, name in CURVES.items()]
        crossings = [f"{name} none" if at is None else f"{name} {at:.0f}" for name, at in found]
        title = f"{self.data}: {self.K} sources, {self.d} columns, harm {self.harm:.4f} nats"
        last = f"crossing (rows per source): {', '.join(crossings)}"
        return "\n".join([title, "", HEAD, *(_row(point) for point in self.points), "", last])


def _row(p: CrossingPoint) -> str:
    return (
        f"| {p.n_k} | {p.difference:+.4f} ± {p.standard_error:.4f} "
        f"| {p.ledoit_wolf:+.4f} ± {p.ledoit_wolf_error:.4f} | {p.law:+.4f} "
        f"| {p.sandwich:+.4f} | {'' if p.exact is None else f'{p.exact:+.4f}'} |"
    )


def _figure(result: Crossing) -> "Figure":
    """One panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.subplots()
    _curves(axes, result.points)
    if (at := result.at("difference")) is not None:
        axes.axvline(at, color=MEASURED, lw=0.7, alpha=0.5)
        axes.annotate(
            f"{at:.0f} rows", (at, 0), (4, 6), textcoords="offset points", color=MEASURED
        )
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


PICTURE = Picture(_figure, {"font.size": 9})
