"""What the forest plot shows: one row per source, one mark per strategy, on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sourcewise.report.words import clean
from sourcewise.results.comparison import MACRO, ComparisonResult, Difference
from sourcewise.results.text import metric_name

__all__ = ["MEAN", "Forest", "Mark", "Row", "forest", "panels"]

MEAN = "mean of sources"
MOST_ROWS = 200


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

    @property
    def first(self) -> float:
        """The difference that the row is sorted by."""
        return next(mark.difference for mark in self.marks if mark)


@dataclass(frozen=True)
class Forest:
    """What a plot shows. `region` is the half-width of practical equivalence, if there is one."""

    strategies: tuple[str, ...]
    baseline: str
    metric: str
    unit: str
    region: float | None
    limits: tuple[float, float]
    rows: tuple[Row, ...]
    longest: int  # characters of the longest name: the parts of a plot share one margin
    numbering: str = ""
    more: int = 0  # sources that only tables show, as a plot of very many shows none

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


def forest(result: ComparisonResult) -> Forest | None:
    """The plot of a result; None if there is no difference to show."""
    found = {(d.source, d.strategy): mark for d in result.differences if (mark := _mark(d))}
    if not found:
        return None
    strategies = tuple(dict.fromkeys(strategy for _, strategy in found))
    rows = [
        Row(clean(source), source == MACRO, tuple(found.get((source, s)) for s in strategies))
        for source in dict.fromkeys(source for source, _ in found)
    ]
    rows = _clearest(rows, result.differences)
    rows.sort(key=lambda row: (not row.macro, -row.first))
    return Forest(
        strategies=tuple(map(clean, strategies)),
        baseline=clean(result.differences[0].baseline),
        metric=clean(metric_name(result.primary_metric)),
        unit=clean(result.metric.unit),
        region=result.metric.region,
        limits=_limits(list(found.values()), result.metric.region),
        rows=tuple(rows),
        longest=max(len(MEAN) if row.macro else len(row.name) for row in rows),
        more=len({source for source, _ in found}) - len(rows),
    )


def _clearest(rows: list[Row], differences: Sequence[Difference]) -> list[Row]:
    """As many as a plot can show: those with the smallest p."""
    p: dict[str, float] = {}
    for d in differences:
        name = clean(d.source)
        p[name] = min(p.get(name, 1.0), 1.0 if d.p is None else d.p)
    return sorted(rows, key=lambda row: (not row.macro, p[row.name]))[:MOST_ROWS]


def _mark(d: Difference) -> Mark | None:
    if d.difference is None:
        return None
    ends = (None, None) if d.low is None or d.high is None else (d.low, d.high)
    return Mark(d.difference, *ends, d.verdict)


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
