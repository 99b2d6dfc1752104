"""Families beside each other in the report: a table of pairs, and what is said of the best."""

from sourcewise.report.tables import Cell, Table
from sourcewise.report.words import ABSENT, decimals, fixed, interval, signed
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.families import Ahead, FamilyLevel
from sourcewise.results.text import metric_name

__all__ = ["lead", "table"]


def table(result: ComparisonResult) -> Table | None:
    """Family by strategy: the mean on the common test rows; and what each family says alone."""
    levels, verdicts, best = result.families, result.family_verdicts, result.best
    if levels is None or verdicts is None or best is None:
        return None
    places, by_pair = decimals(levels), {(x.family, x.strategy): x for x in levels}
    strategies = list(dict.fromkeys(x.strategy for x in levels))
    rows = [
        [
            Cell(verdict.family, "the best" if verdict.family == best.family else ""),
            *(_level(by_pair.get((verdict.family, s)), places) for s in strategies),
            Cell(verdict.overall, "conditional" if verdict.condition else "", verdict.overall),
        ]
        for verdict in verdicts
    ]
    facts = result.metric
    caption = f"{metric_name(result.primary_metric)}, {facts.unit}; {facts.direction}"
    heads = ["Family", *strategies, "Alone it says"]
    return Table(caption[:1].upper() + caption[1:], heads, rows, (0, len(heads) - 1))


def _level(level: FamilyLevel | None, places: int) -> Cell:
    return Cell(fixed(level.mean, places), interval(level, places)) if level else Cell(ABSENT)


def lead(result: ComparisonResult) -> str:
    """The best pair, and how far it is ahead; empty where one family was compared."""
    best = result.best
    if best is None:
        return ""
    told = "; ".join(_ahead(ahead, result.metric.unit) for ahead in best.behind)
    return f"{best.family}, {best.strategy}: {told}."


def _ahead(ahead: Ahead, unit: str) -> str:
    places = decimals([ahead])
    apart = ahead.low is not None and ahead.low > 0
    told = f"{signed(ahead.difference, places)} {unit} over {ahead.family}, {ahead.strategy}"
    return f"{told} ({interval(ahead, places)}{'' if apart else ', not told apart'})"
