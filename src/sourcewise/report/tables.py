"""The tables of the report, as rows of cells that the template prints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sourcewise.comparison.verdict import few_degrees
from sourcewise.report.rows import MEAN
from sourcewise.report.words import (
    ABSENT,
    clean,
    decimals,
    favours,
    findings,
    fixed,
    interval,
    number,
    p_value,
    phrase,
    real,
    reason,
    signed,
    table,
)

__all__ = ["Cell", "Table", "budgets", "differences", "likelihoods", "models", "sources"]


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


def differences(result: Mapping[str, Any], metric: str) -> Table | None:
    """Per source: the difference to the baseline, its interval, p and verdict."""
    records = [d for d in result.get("differences") or [] if d.get("metric", metric) == metric]
    records = [d for d in records if d.get("source") != "macro"]
    if not records:
        return None
    order = _order(records)
    records.sort(key=lambda d: order[str(d.get("source"))])
    many = len({d.get("strategy") for d in records}) > 1
    lead = ["Source", *(["Strategy"] if many else []), "Verdict"]
    places = decimals(records)
    known = {clean(d.get("source")) for d in records}
    rows = [_difference(d, places, many) for d in records]
    few = Cell("too few rows", "", "too-few-rows")
    for name in _untested(result):
        if name not in known:
            between = [Cell(ABSENT)] * (len(lead) - 2)
            rows.append([Cell(name), *between, few, *[Cell(ABSENT)] * 3])
    heads = [*lead, "Difference", "95 % interval", "p\u00a0(Holm)"]
    return Table("", heads, rows, range(len(lead)))


def _order(records: Iterable[Mapping[str, Any]]) -> dict[str, tuple[bool, float]]:
    """Sources as in the plot: by the first strategy's difference, the largest first."""
    order: dict[str, tuple[bool, float]] = {}
    for d in records:
        x = real(d.get("difference"))
        if x is not None or str(d.get("source")) not in order:
            order.setdefault(str(d.get("source")), (x is None, -(x or 0.0)))
    return order


def _difference(d: Mapping[str, Any], places: int, many: bool) -> list[Cell]:
    strategy, baseline = clean(d.get("strategy")), clean(d.get("baseline") or "separate")
    verdict = clean(d.get("verdict") or "undecided")
    decide = clean(d.get("would_decide"))
    # Beside a column of strategies the name would only be repeated.
    word = favours(verdict, strategy, baseline)
    word = "favours it" if many and word == f"favours {strategy}" else word
    note = f"would decide: {decide}" if decide else ""
    ends = interval(d.get("low"), d.get("high"), places)
    return [
        Cell(clean(d.get("source"))),
        *([Cell(strategy)] if many else []),
        Cell(word, note, verdict.replace(" ", "-")),
        Cell(signed(d.get("difference"), places), reason(d, "difference")),
        Cell(ends or ABSENT, reason(d, "low", "high") or few_degrees(real(d.get("df")))),
        Cell(p_value(d.get("p_holm")), reason(d, "p_holm", "p")),
    ]


def _untested(result: Mapping[str, Any]) -> Iterator[str]:
    for source in table(result.get("data")).get("sources") or []:
        if source.get("tested") is False:
            yield clean(source.get("name"))


def likelihoods(result: Mapping[str, Any], metric: str) -> Table | None:
    """Per source and strategy: the mean of a metric and its interval; the mean and the worst."""
    strategies = {n: table(s) for n, s in table(result.get("strategies")).items()}
    per = {n: _metrics(s, metric) for n, s in strategies.items()}
    per = {n: cells for n, cells in per.items() if cells}
    if not per:
        return None
    names = list(dict.fromkeys(source for cells in per.values() for source in cells))
    places = decimals(cell for cells in per.values() for cell in cells.values())
    rows = [
        [Cell(clean(name)), *(_mean(cells.get(name, {}), places) for cells in per.values())]
        for name in names
    ]
    macro = [table(table(strategies[n].get("macro")).get(metric)) for n in per]
    worst = [table(table(strategies[n].get("worst")).get(metric)) for n in per]
    foot = []
    if any(macro):
        foot.append([Cell(MEAN), *(_mean(m, places) for m in macro)])
    if any(worst):
        cells = [Cell(fixed(w.get("mean"), places), clean(w.get("source"))) for w in worst]
        foot.append([Cell("worst source"), *cells])
    return Table("", ["Source", *map(clean, per)], rows, (0,), foot=foot)


def _metrics(strategy: Mapping[str, Any], metric: str) -> dict[str, Mapping[str, Any]]:
    per = table(strategy.get("per_source")).items()
    found = {name: table(table(record).get("metrics")).get(metric) for name, record in per}
    return {name: table(value) for name, value in found.items() if value is not None}


def _mean(record: Mapping[str, Any], places: int) -> Cell:
    note = interval(record.get("low"), record.get("high"), places)
    return Cell(fixed(record.get("mean"), places), note or reason(record, "mean"))


def models(result: Mapping[str, Any]) -> Table | None:
    """Per strategy: its models, their free parameters, and what fitting chose beside them."""
    strategies = {n: table(s) for n, s in table(result.get("strategies")).items()}
    if not strategies:
        return None
    chosen = list(dict.fromkeys(d["name"] for s in strategies.values() for d in findings(s)))
    probed = any(_shares(s) and "label_effect" in s for s in strategies.values())
    searched = any("searched" in strategy for strategy in strategies.values())
    rows = []
    for name, strategy in strategies.items():
        blocks = strategy.get("blocks") or []
        cells = [number(len(blocks)) if blocks else ABSENT, number(strategy.get("parameters"))]
        note = reason(strategy, "parameters")
        words = {item["name"]: clean(item["words"]) for item in findings(strategy)}
        spans = [Cell(words.get(key, ABSENT)) for key in chosen]
        spans += [_effect(strategy)] if probed else []
        spans += [_searched(table(strategy.get("searched")))] if searched else []
        rows.append([Cell(clean(name)), Cell(cells[0]), Cell(cells[1], note), *spans])
    heads = ["Strategy", "Models", "Parameters", *(_heading(key) for key in chosen)]
    unit = table(table(result.get("metrics")).get(str(result.get("primary_metric")))).get("unit")
    heads += [f"Label is worth, {clean(unit) or 'nats'}"] if probed else []
    heads += ["Settings searched"] if searched else []
    return Table("", heads, rows, (0, len(heads) - 1) if searched else (0,))


def _shares(strategy: Mapping[str, Any]) -> bool:
    """Whether a model serves several sources, so that it has a label to listen to."""
    return any(len(block) > 1 for block in strategy.get("blocks") or [])


def _effect(strategy: Mapping[str, Any]) -> Cell:
    """How much likelier rows are under their own label than under another."""
    if not _shares(strategy):
        return Cell(ABSENT, "one source per model")
    return Cell(number(strategy.get("label_effect")), reason(strategy, "label_effect"))


def _searched(found: Mapping[str, Any]) -> Cell:
    """What a search chose, and of how many trials."""
    if not found:
        return Cell(ABSENT)
    chosen = ", ".join(f"{clean(k)} {_setting(v)}" for k, v in table(found.get("chosen")).items())
    count = number(found.get("trials"))
    return Cell(chosen or "as given", f"of {count} trial" + ("" if count == "1" else "s"))


def _setting(value: Any) -> str:
    return phrase(value) if real(value) is None else number(value)


def _heading(name: str) -> str:
    """Of what fitting found."""
    return clean(name).replace("_", "-").capitalize()


BUDGET = {
    "n_train": "Training rows",
    "n_valid": "Validation rows",
    "n_test": "Test rows",
    "examples_seen": "Examples seen",
    "updates": "Updates",
    "best": "Update kept",
    "parameters": "Parameters",
}


def budgets(result: Mapping[str, Any]) -> Table | None:
    """Per source and strategy: what the model that serves the source was given."""
    per = {
        name: {source: table(record) for source, record in table(s.get("per_source")).items()}
        for name, s in table(result.get("strategies")).items()
    }
    records = [record for cells in per.values() for record in cells.values()]
    keys = [key for key in BUDGET if any(key in record for record in records)]
    if not keys:
        return None
    names = list(dict.fromkeys(source for cells in per.values() for source in cells))
    rows = [
        [
            Cell(clean(name)),
            *(
                Cell(_count(cells.get(name, {}).get(key)), reason(cells.get(name, {}), key))
                for cells in per.values()
                for key in keys
            ),
        ]
        for name in names
    ]
    heads = ["Source", *(BUDGET[key] for _ in per for key in keys)]
    return Table("", heads, rows, (0,), [("", 1), *((clean(name), len(keys)) for name in per)])


def _count(value: object) -> str:
    """Counts are means over folds: one decimal where it says something."""
    x = real(value)
    return ABSENT if x is None else fixed(x, 0 if x == int(x) or abs(x) >= 1000 else 1)


def sources(result: Mapping[str, Any]) -> Table | None:
    """Per source: its rows, and whether it is tested."""
    found = table(result.get("data")).get("sources") or []
    if not found:
        return None
    unit = clean(table(result.get("data")).get("scored_per") or "row")
    sized = unit != "row"
    rows = [
        [
            Cell(clean(source.get("name"))),
            Cell(number(source.get("rows")), clean(source.get("rows_reason"))),
            *([Cell(number(source.get("size")))] if sized else []),
            Cell("yes") if source.get("tested", True) else Cell("no", clean(source.get("reason"))),
        ]
        for source in found
    ]
    heads = ["Source", "Rows", *([f"{unit.capitalize()}s"] if sized else []), "Tested"]
    return Table("", heads, rows, (0, len(heads) - 1))
