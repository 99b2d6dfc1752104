"""The study as text: distances by evaluations, then ways and bounds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sourcewise.studies.reflow.points import ReflowPoint
from sourcewise.studies.result import markdown, select

__all__ = ["table"]

Told = Callable[[ReflowPoint], str]


@dataclass(frozen=True)
class Column:
    """Fields that are followed alike."""

    method: str
    evaluations: int

    @property
    def head(self) -> str:
        """Its name."""
        return f"{self.evaluations}" + (", rk4" if self.method == "rk4" else "")


def table(points: Sequence[ReflowPoint]) -> str:
    """In Markdown: a line for each set and field, a column for each number of evaluations.

    Lines `data` are of training rows beside held-out ones, in the first column.
    """
    every = sorted({(p.method, p.evaluations) for p in points if p.method})
    columns = [Column(*key) for key in every]
    steps = [column for column in columns if column.method == "euler"]
    parts = [
        _part("energy distance", columns, points, _energy),
        _part("W2", columns, points, lambda p: _number(p.wasserstein)),
        _part("off the monotone map", columns, points, lambda p: _number(p.map_error)),
        _part("S", steps[:1], points, lambda p: _number(p.straightness)),
        _part("gamma", steps, points, lambda p: _number(p.gamma)),
        _part("error of steps", steps, points, lambda p: _number(p.step_error)),
        _part("its bound", steps, points, lambda p: _number(p.bound)),
        _part("L", steps, points, lambda p: _number(p.lipschitz)),
    ]
    return "\n\n".join(part for part in parts if part)


def _part(what: str, columns: Sequence[Column], points: Sequence[ReflowPoint], told: Told) -> str:
    head = [what, "", *(column.head for column in columns)]
    rows = list(_rows(columns, points, told))
    return "\n".join(markdown(head, rows)) if rows else ""


def _rows(
    columns: Sequence[Column], points: Sequence[ReflowPoint], told: Told
) -> Iterator[list[str]]:
    for data, flow in dict.fromkeys((p.data, p.flow) for p in points):
        texts = {(p.method, p.evaluations): told(p) for p in select(points, data=data, flow=flow)}
        if flow == "data":
            texts = {(columns[0].method, columns[0].evaluations): texts["", 0]}
        if any(texts.values()):
            cells = (texts.get((c.method, c.evaluations), "") for c in columns)
            yield [data, flow, *cells]


def _energy(point: ReflowPoint) -> str:
    return f"{point.energy:.4f} ± {point.energy_error:.4f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
