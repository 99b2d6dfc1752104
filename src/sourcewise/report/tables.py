"""The tables of the report, as rows of cells that the template prints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    shorten,
    signed,
)
from sourcewise.results.comparison import (
    ComparisonResult,
    Difference,
    Level,
    Searched,
    SourceResult,
    StrategyResult,
)
from sourcewise.results.text import few_degrees, metric_name

__all__ = [
    "Cell",
    "Table",
    "budgets",
    "differences",
    "levels",
    "models",
    "seen",
    "sources",
    "terms",
]


class Cell(NamedTuple):
    """One cell: its text, a smaller second line, and a verdict that colours it."""

    text: str
    note: str = ""
    kind: str = ""


@dataclass
class Table:
    """A table; `groups`: headings above those of all columns but the first, with their spans."""

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


def _table(caption: str, columns: Mapping[str, Iterable[Cell]], words: Sequence[int]) -> Table:
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Table(caption, list(columns), rows, words)


def differences(result: ComparisonResult) -> Table | None:
    """Per source: the difference to the baseline, its interval, p and verdict."""
    records = [d for d in result.differences if not d.average]
    if not records:
        return None
    order = _order(records)
    records.sort(key=lambda d: order[d.source])
    many, places = len(result.rivals) > 1, decimals(records)
    few = [s.name for s in result.data.sources if not s.tested and s.name not in order]
    absent = [Cell(ABSENT)] * len(few)
    columns = {
        "Source": [Cell(name) for name in (*(d.source for d in records), *few)],
        "Strategy": [*(Cell(d.strategy) for d in records), *absent],
        "Verdict": [_verdict(d, many) for d in records]
        + [Cell("too few rows", "", "too-few-rows")] * len(few),
        "Difference": [*(Cell(signed(d.difference, places)) for d in records), *absent],
        "95 % interval": [
            *(Cell(interval(d, places) or ABSENT, few_degrees(d.df)) for d in records),
            *absent,
        ],
        "p (Holm)": [*(Cell(p_value(d.p_holm)) for d in records), *absent],
    }
    if not many:
        del columns["Strategy"]
    return _table(_caption(result, result.primary_metric), columns, range(2 + many))


def terms(result: ComparisonResult) -> Table | None:
    """What the parts of the metric make of the differences averaged over sources."""
    found = result.terms or ()
    if not found:
        return None
    places = decimals(found)
    columns = {
        "Part": [Cell(term.name) for term in found],
        "Strategy": [Cell(term.strategy) for term in found],
        "Difference": [Cell(signed(term.difference, places)) for term in found],
        "95 % interval": [Cell(interval(term, places) or ABSENT) for term in found],
    }
    if len(result.rivals) == 1:
        del columns["Strategy"]
    return _table("Where the mean of the differences comes from", columns, (0,))


def _order(records: Iterable[Difference]) -> dict[str, tuple[bool, float]]:
    """Sources as in the plot: by the first strategy's difference, the largest first."""
    order: dict[str, tuple[bool, float]] = {}
    for d in records:
        if d.difference is not None or d.source not in order:
            order.setdefault(d.source, (d.difference is None, -(d.difference or 0.0)))
    return order


def _verdict(d: Difference, many: bool) -> Cell:
    # Beside a column of strategies the name would only be repeated.
    word = favours(d.verdict, d.strategy, d.baseline)
    word = "favours it" if many and word == f"favours {d.strategy}" else word
    note = f"would decide: {d.would_decide}" if d.would_decide else ""
    return Cell(word, note, d.verdict.replace(" ", "-"))


def _caption(result: ComparisonResult, key: str) -> str:
    """A metric, its unit and its direction."""
    name, facts = metric_name(key), result.metrics.get(key.removeprefix("train_"))
    about = f", {facts.unit}; {facts.direction}" if facts else ""
    return name[:1].upper() + name[1:] + about


def levels(result: ComparisonResult) -> dict[str, Table]:
    """By metric, per source and strategy: its mean and interval; the mean and the worst.

    The metric that decides comes first, then what was measured beside it.
    """
    keys = dict.fromkeys([result.primary_metric, *(k for e in result.entries for k in e.metrics)])
    return {key: _levels(result, key) for key in keys}


def _levels(result: ComparisonResult, key: str) -> Table:
    places = decimals(e.metrics[key] for e in result.entries if key in e.metrics)
    columns, foot = {"Source": [Cell(name) for name in result.sources]}, []
    for name, strategy in result.strategies.items():
        entries = [strategy.per_source.get(source) for source in result.sources]
        columns[name] = [_level(entry and entry.metrics.get(key), places) for entry in entries]
    every = result.strategies.values()
    if any(key in s.macro for s in every):
        foot.append([Cell(MEAN), *(_level(s.macro.get(key), places) for s in every)])
    if worst := [s.worst[key] for s in every if key in s.worst]:
        cells = [Cell(fixed(item.mean, places), item.source) for item in worst]
        foot.append([Cell("worst source"), *cells])
    return replace(_table(_caption(result, key), columns, (0,)), foot=foot)


def _level(level: Level | None, places: int) -> Cell:
    if level is None:
        return Cell(ABSENT)
    values = [value for value in level.replicates or () if value is not None]
    spread = f"{fixed(min(values), places)} to {fixed(max(values), places)}" if values[1:] else ""
    return Cell(fixed(level.mean, places), interval(level, places) or spread)


def models(result: ComparisonResult) -> Table:
    """Per strategy: its models, their free parameters, and what fitting chose beside them."""
    strategies = result.strategies.values()
    columns = {
        "Strategy": [Cell(name) for name in result.names],
        "Models": [Cell(number(len(s.blocks))) for s in strategies],
        "Parameters": [Cell(number(s.parameters)) for s in strategies],
    }
    found = [{d.name: d.words for d in s.diagnostics if not d.setting} for s in strategies]
    for key in dict.fromkeys(key for words in found for key in words):
        columns[key.replace("_", "-").capitalize()] = [Cell(w.get(key, ABSENT)) for w in found]
    if any(s.shares and s.label_effect is not None for s in strategies):
        columns[f"Label is worth, {result.metric.unit}"] = [_label(s) for s in strategies]
    if searched := any(s.searched for s in strategies):
        columns["Settings searched"] = [_searched(s.searched) for s in strategies]
    words = (0, len(columns) - 1) if searched else (0,)
    return _table("Models and parameters", columns, words)


def _label(strategy: StrategyResult) -> Cell:
    """How much better rows are scored under their own label than under another."""
    if not strategy.shares:
        return Cell(ABSENT, "one source per model")
    return Cell(number(strategy.label_effect), strategy.label_effect_reason or "")


def _searched(searched: Searched | None) -> Cell:
    """What a search chose, and of how many trials."""
    if searched is None:
        return Cell(ABSENT)
    chosen = ", ".join(f"{key} {_setting(value)}" for key, value in searched.chosen.items())
    return Cell(chosen or "as given", f"of {counted(searched.trials, 'trial')}")


def _setting(value: Any) -> str:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return number(value) if numeric else phrase(value)


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
    trained = any(entry.n_valid is not None for entry in result.entries)
    heads = [head for head in BUDGET if trained or head not in OF_TRAINED]
    rows = [[Cell(source)] for source in result.sources]
    for row, source in zip(rows, result.sources, strict=True):
        for entry in (result.of(strategy, source) for strategy in result.names):
            row += [BUDGET[head](entry) if entry else Cell(ABSENT) for head in heads]
    groups = [(name, len(heads)) for name in result.names]
    return Table("Per source", ["Source", *heads * len(groups)], rows, (0,), groups)


def _count(x: float | None) -> str:
    """Counts are means over folds: one decimal where it says something."""
    return ABSENT if x is None else fixed(x, 0 if x == int(x) or abs(x) >= 1000 else 1)


def seen(result: ComparisonResult) -> Table:
    """Every column as it was read."""
    every = result.data.seen or ()
    columns = {
        "Column": [Cell(column.name) for column in every],
        "Kind": [Cell(column.kind) for column in every],
        "Example": [Cell(shorten(column.example, 40)) for column in every],
        "Gaps": [Cell(number(column.gaps)) for column in every],
        "Distinct": [Cell(number(column.distinct)) for column in every],
        "Why": [Cell(column.why) for column in every],
    }
    return _table("Columns as they were read", columns, (0, 1, 2, 5))


def sources(result: ComparisonResult) -> Table:
    """Per source: its rows, and whether it is tested."""
    every, unit = result.data.sources, result.data.scored_per
    columns = {
        "Source": [Cell(source.name) for source in every],
        "Rows": [Cell(number(source.rows)) for source in every],
        f"{unit.capitalize()}s": [Cell(number(source.size)) for source in every],  # or rows again
        "Tested": [Cell("yes") if s.tested else Cell("no", s.reason or "") for s in every],
    }
    return _table("Rows per source", columns, (0, len(columns) - 1))
