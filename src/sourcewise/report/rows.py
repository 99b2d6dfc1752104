"""What the forest plot shows: one row per source, one mark per strategy, on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sourcewise.report.words import clean, real, table

__all__ = ["MEAN", "Forest", "Mark", "Row", "forest", "panels"]

MEAN = "mean of sources"


@dataclass(frozen=True)
class Mark:
    """One difference; `low` and `high` are None where there is no interval."""

    difference: float
    low: float | None
    high: float | None
    verdict: str

    @property
    def ends(self) -> list[float]:
        """All its finite numbers."""
        return [x for x in (self.difference, self.low, self.high) if x is not None]


@dataclass(frozen=True)
class Row:
    """One line of the plot: a source, or the mean of all, with one mark or none per strategy."""

    name: str
    macro: bool
    marks: tuple[Mark | None, ...]


@dataclass(frozen=True)
class Forest:
    """What a plot shows. `region` is the half-width of practical equivalence, if there is one."""

    strategies: tuple[str, ...]
    baseline: str
    unit: str
    region: float | None
    limits: tuple[float, float]
    rows: tuple[Row, ...]
    longest: int  # characters of the longest name: the parts of a plot share one margin
    numbering: str = ""

    @property
    def right(self) -> str:
        """What a difference above zero favours."""
        return self.strategies[0] if len(self.strategies) == 1 else "the other strategy"

    @property
    def clipped(self) -> bool:
        """Whether an interval goes beyond the axis."""
        low, high = self.limits
        marks = [mark for row in self.rows for mark in row.marks if mark]
        return any(min(mark.ends) < low or max(mark.ends) > high for mark in marks)


def forest(result: Mapping[str, Any]) -> Forest | None:
    """The plot of a result's primary metric; None if there is no difference to show."""
    metric = result.get("primary_metric")
    cells = [d for d in result.get("differences") or [] if d.get("metric", metric) == metric]
    cells = [d for d in cells if real(d.get("difference")) is not None]
    if not cells:
        return None
    strategies = tuple(dict.fromkeys(clean(d.get("strategy")) for d in cells))
    marks: dict[str, dict[str, Mark]] = {}
    for d in cells:
        marks.setdefault(str(d.get("source")), {})[clean(d.get("strategy"))] = _mark(d)
    rows = [Row(clean(n), n == "macro", tuple(map(m.get, strategies))) for n, m in marks.items()]
    rows.sort(key=lambda row: (not row.macro, -_first(row)))
    about = table(table(result.get("metrics")).get(str(metric)))
    region = real(about.get("region"))
    unit = clean(cells[0].get("unit") or about.get("unit"))
    limits = _limits([mark for row in rows for mark in row.marks if mark], region)
    baseline = clean(cells[0].get("baseline") or "separate")
    longest = max(len(MEAN) if row.macro else len(row.name) for row in rows)
    return Forest(strategies, baseline, unit, region, limits, tuple(rows), longest)


def _mark(d: Mapping[str, Any]) -> Mark:
    low, high = real(d.get("low")), real(d.get("high"))
    ends = (low, high) if low is not None and high is not None else (None, None)
    return Mark(float(d["difference"]), *ends, str(d.get("verdict") or "undecided"))


def _first(row: Row) -> float:
    return next(mark.difference for mark in row.marks if mark)


def _limits(marks: Sequence[Mark], region: float | None) -> tuple[float, float]:
    ends = [x for mark in marks for x in mark.ends]
    sizes = sorted(abs(x) for x in ends)
    usual = sizes[int(0.75 * (len(sizes) - 1))]
    # One tiny source must not press all others into a line: beyond `far` an arrow is drawn. An
    # estimate, as opposed to an end of its interval, is kept in sight for longer.
    estimates = [abs(mark.difference) for mark in marks if abs(mark.difference) <= 10 * usual]
    far = max(4 * usual, *estimates, 0.0)
    edge = 1.2 * (region or 0.0)
    near = [0.0, -edge, edge, *(x for x in ends if abs(x) <= far)]
    low, high = min(near), max(near)
    pad = 0.05 * ((high - low) or 1.0)
    return low - pad, high + pad


def panels(plot: Forest, size: int = 40) -> list[Forest]:
    """The same plot in parts of about `size` rows on one scale, each fit for a printed page."""
    count = -(-len(plot.rows) // size)
    step = -(-len(plot.rows) // count)
    parts = [plot.rows[i : i + step] for i in range(0, len(plot.rows), step)]
    names = [f"part {i + 1} of {len(parts)}" if len(parts) > 1 else "" for i in range(len(parts))]
    return [replace(plot, rows=r, numbering=n) for r, n in zip(parts, names, strict=True)]
