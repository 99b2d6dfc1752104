"""Figure 1 as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sourcewise.studies.curves import Curves
from sourcewise.studies.figure1.points import Figure1Point
from sourcewise.studies.figure1.settings import Figure1Settings
from sourcewise.studies.tables import number, row

__all__ = ["Figure1"]

_COLUMNS = ("sweep", "strategy", "measured", "s.e.", "exact", "paper", "z", "law", "rate")


@dataclass(frozen=True)
class Figure1(Curves):
    """The points of figure 1."""

    settings: Figure1Settings
    points: tuple[Figure1Point, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values, with the number of runs that were made."""
        document = super().to_json()
        return document | {"settings": document["settings"] | {"seeds": self.settings.runs}}

    def __str__(self) -> str:
        how = "paper's estimator, 500 test points" if self.settings.paper_estimator else "exact TV"
        head = f"Average TV of Gaussian fits, d = {self.settings.d}; measured: {how}, "
        head += f"{self.settings.runs} seeds; s.e.: its standard error; z of the paper's value"
        return "\n".join([head, "", _row(_COLUMNS), *[_line(point) for point in self.points]])


def _line(point: Figure1Point) -> str:
    values = (point.measured, point.standard_error, point.exact, point.paper)
    z = "-" if point.z_paper is None else f"{point.z_paper:+.2f}"
    cell, laws = f"{point.sweep} = {point.value:g}", (number(point.law), number(point.rate))
    return _row((cell, point.strategy, *(number(v) for v in values), z, *laws))


def _row(texts: Sequence[str]) -> str:
    return row(texts[0], 12, texts[1], texts[2:])
