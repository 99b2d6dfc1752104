"""Points of the crossing's curves, and where a curve crosses zero."""

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

__all__ = ["Crossing", "CrossingPoint"]

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
class Crossing:
    """The curves, and the sizes (rows per source) at which they cross zero.

    Args:
        name: of the data.
        K: sources.
        d: columns.
        harm: of pooling with ever more rows, nats per row.
        points: in the order of n_k.
    """

    name: str
    K: int
    d: int
    harm: float
    points: tuple[CrossingPoint, ...]

    def at(self, curve: str) -> float | None:
        """Rows per source at which a curve, a field of points, turns to separate, or None."""
        values = [(p.n_k, getattr(p, curve)) for p in self.points]
        known = [(n_k, value) for n_k, value in values if value is not None]
        for (n0, v0), (n1, v1) in reversed(list(pairwise(known))):
            if v0 > 0 >= v1:
                share = v0 / (v0 - v1)
                return math.exp(math.log(n0) + share * (math.log(n1) - math.log(n0)))
        return None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "data": self.name,
            "K": self.K,
            "d": self.d,
            "harm": self.harm,
            "crossing_n_k": {curve: self.at(curve) for curve in CURVES},
            "cells": [asdict(point) for point in self.points],
        }

    def __str__(self) -> str:
        """A Markdown table and the crossings."""
        crossings = []
        for curve, name in CURVES.items():
            at = self.at(curve)
            crossings.append(f"{name} " + ("none" if at is None else f"{at:.0f}"))
        title = f"{self.name}: {self.K} sources, {self.d} columns, harm {self.harm:.4f} nats"
        last = f"crossing (rows per source): {', '.join(crossings)}"
        return "\n".join([title, "", HEAD, *(_row(point) for point in self.points), "", last])


def _row(p: CrossingPoint) -> str:
    return (
        f"| {p.n_k} | {p.difference:+.4f} ± {p.standard_error:.4f} "
        f"| {p.ledoit_wolf:+.4f} ± {p.ledoit_wolf_error:.4f} | {p.law:+.4f} "
        f"| {p.sandwich:+.4f} | {'' if p.exact is None else f'{p.exact:+.4f}'} |"
    )
