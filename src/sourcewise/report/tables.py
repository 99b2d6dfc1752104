"""The tables of the report, as rows of cells that the template prints."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sourcewise.errors import counted
from sourcewise.report.rows import MEAN
from sourcewise.report.words import (
    ABSENT,
    decimals,
    favours,
    fixed,
    interval,
    number,
    p_value,
    phrase,
    signed,
)
from sourcewise.results.comparison import (
    ComparisonResult,
    Difference,
    Level,
    SourceResult,
    StrategyResult,
)
from sourcewise.results.text import few_degrees, fitted_words, metric_name

__all__ = ["Cell", "Table", "budgets", "differences", "levels", "models", "sources"]


class Cell(NamedTuple):
    """One cell: its text, a smaller second line, and a verdict that colours it."""

    text: str
    note: str = ""
    kind: str = ""


@dataclass
class Table:
    """A table; `groups` is an upper line of headings, each with the columns that it spans."""

    caption: str
    heads: Sequence[str]
    rows: list[list[Cell]]
    words: Sequence[int] = ()  # columns that hold words, not numbers
    groups: Sequence[tuple[str, int]] = ()
    foot: list[list[Cell]] = field(default_factory=list)

    @property
    def long(self) -> bool:
        """Whether it scrolls inside a container of its own."""
        return len(self.rows) > 20


def differences(result: ComparisonResult) -> Table | None:
    """Per source: the difference to the baseline, its interval, p and verdict."""
    records = [d for d in result.differences if not d.average]
    if not records:
        return None
    order = _order(records)
    records.sort(key=lambda d: order[d.source])
    many, places = len(result.rivals) > 1, decimals(records)
    lead = ["Source", *(["Strategy"] if many else []), "Verdict"]
    rows = [_difference(d, places, many) for d in records]
    few = Cell("too few rows", "", "too-few-rows")
    rows += [
        [Cell(source.name), *[Cell(ABSENT)] * (len(lead) - 2), few, *[Cell(ABSENT)] * 3]
        for source in result.data.sources
        if not source.tested and source.name not in order
    ]
    heads = [*lead, "Difference", "95 % interval", "p (Holm)"]
    return Table(_caption(result, result.primary_metric), heads, rows, range(len(lead)))


def _order(records: Iterable[Difference]) -> dict[str, tuple[bool, float]]:
    """Sources as in the plot: by the first strategy's difference, the largest first."""
    order: dict[str, tuple[bool, float]] = {}
    for d in records:
        if d.difference is not None or d.source not in order:
            order.setdefault(d.source, (d.difference is None, -(d.difference or 0.0)))
    return order


def _difference(d: Difference, places: int, many: bool) -> list[Cell]:
    # Beside a column of strategies the name would only be repeated.
    word = favours(d.verdict, d.strategy, d.baseline)
    word = "favours it" if many and word == f"favours {d.strategy}" else word
    note = f"would decide: {d.would_decide}" if d.would_decide else ""
    return [
        Cell(d.source),
        *([Cell(d.strategy)] if many else []),
        Cell(word, note, d.verdict.replace(" ", "-")),
        Cell(signed(d.difference, places)),
        Cell(interval(d, places) or ABSENT, few_degrees(d.df)),
        Cell(p_value(d.p_holm)),
    ]


def _caption(result: ComparisonResult, key: str) -> str:
    """A metric, its unit and its direction."""
    facts = result.metrics.get(key.removeprefix("train_"))
    name = metric_name(key)
    about = f", {facts.unit}; {facts.direction}" if facts else ""
    return name[:1].upper() + name[1:] + about


def levels(result: ComparisonResult) -> dict[str, Table]:
    """By metric, per source and strategy: its mean and interval; the mean and the worst.

    The metric that decides comes first, then what was measured beside it.
    """
    entries = [e for s in result.strategies.values() for e in s.per_source.values()]
    keys = dict.fromkeys([result.primary_metric, *(key for e in entries for key in e.metrics)])
    return {key: _levels(result, key) for key in keys}


def _levels(result: ComparisonResult, key: str) -> Table:
    strategies = result.strategies.values()
    found = [
        {name: entry.metrics[key] for name, entry in s.per_source.items() if key in entry.metrics}
        for s in strategies
    ]
    places = decimals(level for cells in found for level in cells.values())
    names = dict.fromkeys(source for cells in found for source in cells)
    rows = [[Cell(name), *(_level(cells.get(name), places) for cells in found)] for name in names]
    foot = []
    if any(key in s.macro for s in strategies):
        foot.append([Cell(MEAN), *(_level(s.macro.get(key), places) for s in strategies)])
    if any(key in s.worst for s in strategies):
        worst = [s.worst.get(key) for s in strategies]
        cells = [Cell(fixed(w.mean, places), w.source) if w else Cell(ABSENT) for w in worst]
        foot.append([Cell("worst source"), *cells])
    return Table(_caption(result, key), ["Source", *result.names], rows, (0,), foot=foot)


def _level(level: Level | None, places: int) -> Cell:
    if level is None:
        return Cell(ABSENT)
    values = [value for value in level.replicates or () if value is not None]
    spread = f"{fixed(min(values), places)} to {fixed(max(values), places)}" if values[1:] else ""
    return Cell(fixed(level.mean, places), interval(level, places) or spread)


def models(result: ComparisonResult) -> Table:
    """Per strategy: its models, their free parameters, and what fitting chose beside them."""
    strategies = result.strategies.values()
    fitted = list(dict.fromkeys(key for s in strategies for key in s.fitted))
    labelled = any(s.shares and _probed(s) for s in strategies)
    searched = any(s.searched for s in strategies)
    heads = ["Strategy", "Models", "Parameters"]
    heads += [_heading(key) for key in fitted]
    heads += [f"Label is worth, {result.metric.unit}"] if labelled else []
    heads += ["Settings searched"] if searched else []
    rows = [
        [
            Cell(name),
            Cell(number(len(s.blocks))),
            Cell(number(s.parameters)),
            *(Cell(fitted_words(k, s.fitted[k]) if k in s.fitted else ABSENT) for k in fitted),
            *([_label(s)] if labelled else []),
            *([_searched(s)] if searched else []),
        ]
        for name, s in result.strategies.items()
    ]
    return Table("Models and parameters", heads, rows, (0, len(heads) - 1) if searched else (0,))


def _probed(strategy: StrategyResult) -> bool:
    return strategy.label_effect is not None or strategy.label_effect_reason is not None


def _label(strategy: StrategyResult) -> Cell:
    """How much better rows are scored under their own label than under another."""
    if not strategy.shares:
        return Cell(ABSENT, "one source per model")
    return Cell(number(strategy.label_effect), strategy.label_effect_reason or "")


def _searched(strategy: StrategyResult) -> Cell:
    """What a search chose, and of how many trials."""
    if strategy.searched is None:
        return Cell(ABSENT)
    chosen = ", ".join(f"{key} {_setting(v)}" for key, v in strategy.searched.chosen.items())
    return Cell(chosen or "as given", f"of {counted(strategy.searched.trials, 'trial')}")


def _setting(value: Any) -> str:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if numeric else phrase(value)


def _heading(name: str) -> str:
    """Of what fitting found."""
    return name.replace("_", "-").capitalize()


BUDGET: dict[str, Callable[[SourceResult], Cell]] = {
    "Training rows": lambda entry: Cell(_count(entry.n_train)),
    "Validation rows": lambda entry: Cell(_count(entry.n_valid)),
    "Test rows": lambda entry: Cell(_count(entry.n_test)),
    "Examples seen": lambda entry: Cell(_count(entry.examples_seen)),
    "Updates": lambda entry: Cell(_count(entry.updates)),
    "Update kept": lambda entry: Cell(_count(entry.best), entry.best_reason or ""),
}
OF_TRAINED = ("Validation rows", "Update kept")


def budgets(result: ComparisonResult) -> Table:
    """Per source and strategy: what the model that serves the source was given."""
    entries = [e for s in result.strategies.values() for e in s.per_source.values()]
    trained = any(entry.n_valid is not None for entry in entries)
    heads = [head for head in BUDGET if trained or head not in OF_TRAINED]

    def cells(strategy: str, source: str) -> list[Cell]:
        entry = result.of(strategy, source)
        return [BUDGET[head](entry) if entry else Cell(ABSENT) for head in heads]

    names = dict.fromkeys(name for s in result.strategies.values() for name in s.per_source)
    rows = [
        [Cell(n), *(c for strategy in result.names for c in cells(strategy, n))] for n in names
    ]
    groups = [("", 1), *((name, len(heads)) for name in result.names)]
    return Table("Per source", ["Source", *heads * len(result.names)], rows, (0,), groups)


def _count(x: float | None) -> str:
    """Counts are means over folds: one decimal where it says something."""
    return ABSENT if x is None else fixed(x, 0 if x == int(x) or abs(x) >= 1000 else 1)


def sources(result: ComparisonResult) -> Table:
    """Per source: its rows, and whether it is tested."""
    unit = result.data.scored_per
    sized = unit != "row"
    rows = [
        [
            Cell(source.name),
            Cell(number(source.rows)),
            *([Cell(number(source.size))] if sized else []),
            Cell("yes") if source.tested else Cell("no", source.reason or ""),
        ]
        for source in result.data.sources
    ]
    heads = ["Source", "Rows", *([f"{unit.capitalize()}s"] if sized else []), "Tested"]
    return Table("Rows per source", heads, rows, (0, len(heads) - 1))
