"""The crossing's settings, the points of its curves, and where a curve crosses zero."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from pydantic import Field

from sourcewise.screening.options import Missing
from sourcewise.settings import Settings
from sourcewise.studies.result import Result

__all__ = ["Crossing", "CrossingPoint", "CrossingSettings"]

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


class CrossingSettings(Settings):
    """How the data are read, and how much is simulated."""

    repetitions: int = Field(default=200, ge=2, description="draws of training rows per size")
    largest: int = Field(default=3000, ge=2, description="most training rows per source")
    sizes: int = Field(default=16, ge=2, description="number of sizes on the grid")
    min_rows: int = Field(default=100, ge=2, description="sources with fewer rows are left out")
    log: tuple[str, ...] = ()
    missing: Missing = "drop"
    seed: int = 0


@dataclass(frozen=True)
class CrossingPoint:
    """Mean difference pooled minus separate at one size, nats per row, with standard error.

    Args:
        n_k: training rows per source.
        difference: maximum likelihood.
        standard_error: over repetitions.
        ledoit_wolf: the same difference with Ledoit-Wolf shrinkage in both strategies.
        ledoit_wolf_error: its standard error.
        law: predicted by parameter counts.
        sandwich: predicted with the population's fourth moments.
        exact: predicted by the exact expectations for Gaussians; None where they do not exist.
    """

    n_k: int
    difference: float
    standard_error: float
    ledoit_wolf: float
    ledoit_wolf_error: float
    law: float
    sandwich: float
    exact: float | None


@dataclass(frozen=True)
class Crossing(Result):
    """The curves, and the sizes (rows per source) at which they cross zero.

    Args:
        settings: that it was computed for.
        points: in the order of n_k.
        data: the name of the data.
        K: sources.
        d: columns.
        harm: of pooling with ever more rows, nats per row.
    """

    settings: CrossingSettings
    points: tuple[CrossingPoint, ...]
    data: str
    K: int
    d: int
    harm: float

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
        crossings = []
        for curve, name in CURVES.items():
            at = self.at(curve)
            crossings.append(f"{name} " + ("none" if at is None else f"{at:.0f}"))
        title = f"{self.data}: {self.K} sources, {self.d} columns, harm {self.harm:.4f} nats"
        last = f"crossing (rows per source): {', '.join(crossings)}"
        return "\n".join([title, "", HEAD, *(_row(point) for point in self.points), "", last])


def _row(p: CrossingPoint) -> str:
    return (
        f"| {p.n_k} | {p.difference:+.4f} ± {p.standard_error:.4f} "
        f"| {p.ledoit_wolf:+.4f} ± {p.ledoit_wolf_error:.4f} | {p.law:+.4f} "
        f"| {p.sandwich:+.4f} | {'' if p.exact is None else f'{p.exact:+.4f}'} |"
    )
