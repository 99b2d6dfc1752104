"""What a comparison gives back: a document, its models, and a table to read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import wrap
from typing import Any

from sourcewise.comparison.verdict import quoted
from sourcewise.errors import InputError
from sourcewise.files import read_json
from sourcewise.fitting.store import load_models
from sourcewise.fitting.strategy import TrainedStrategy

__all__ = ["Comparison", "averaged_over", "extent", "finding_words", "load", "resolved_lines"]

MOST_LINES = 60


@dataclass(frozen=True)
class Comparison:
    """A finished comparison. `print(result)` shows the table with the verdict in words.

    Args:
        document: the JSON document (see docs).
        get_models: fits or loads the models on first use.
    """

    document: dict[str, Any]
    get_models: Callable[[], dict[str, TrainedStrategy]]

    @cached_property
    def models(self) -> dict[str, TrainedStrategy]:
        """Each strategy trained on all rows, by name."""
        return self.get_models()

    @property
    def verdict(self) -> dict[str, Any]:
        """Overall verdict, recommendation, reason, and the verdict per source."""
        return self.document["verdict"]

    def __str__(self) -> str:
        return "\n".join(_lines(self.document))


def load(run: str | Path) -> Comparison:
    """A comparison from its run folder: results and models.

    Raises:
        InputError: no finished comparison there.
    """
    path = Path(run)
    if not (path / "result.json").exists():
        raise InputError(f"{path} holds no finished comparison (no result.json)")
    document = read_json(path / "result.json")
    if not isinstance(document, dict) or "verdict" not in document:
        raise InputError(f"{path / 'result.json'} is no comparison's result")
    return Comparison(document, lambda: load_models(path))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    data, verdict = document["data"], document["verdict"]
    yield (
        f"{data['name']}: {data['rows']} rows, {len(data['sources'])} sources, "
        f"{extent(data)}; scope: {document['scope']}"
    )
    for warning in document["warnings"]:
        yield from wrap(f"note: {warning}", 98, initial_indent="  ", subsequent_indent="        ")
    for name in dict.fromkeys(d["strategy"] for d in document["differences"]):
        yield ""
        yield from _table(document, name)
    yield ""
    yield from _budgets(document)
    yield ""
    how = f", {verdict['recommended_how']}" if verdict.get("recommended_how") else ""
    yield f"verdict: {verdict['overall']}; recommended: {verdict['recommended']}{how}"
    yield from wrap(verdict["reason"], 98, initial_indent="  ", subsequent_indent="  ")


def extent(data: Mapping[str, Any]) -> str:
    """Of each row: its columns, or its positions; of sequences: how many symbols in all.

    >>> extent({"scored_per": "row", "columns": [], "variables": 4, "symbols": 20})
    '4 positions of 20 symbols'
    """
    unit = data.get("scored_per", "row")
    if unit != "row":
        return f"{sum(source['size'] for source in data['sources']):.0f} {unit}s"
    count = len(data["columns"])
    if not count:
        of = f" of {data['symbols']} symbols" if data.get("symbols") else ""
        return f"{data.get('variables', 0)} positions{of}"
    return f"{count} columns" if count != 1 else "1 column"


def _table(document: dict[str, Any], strategy: str) -> Iterator[str]:
    rows = [d for d in document["differences"] if d["strategy"] == strategy]
    *sources, macro = rows
    baseline, unit = macro["baseline"], macro["unit"]
    region = document["metrics"][macro["metric"]]["region"]
    cells = [_cells(document, row) for row in [*_shown(sources), macro]]
    head = ("source", "rows", "saw", "difference", "95 % interval", "p (Holm)", "verdict")
    widths = [max(len(row[i]) for row in [head, *cells]) for i in range(len(head) - 1)]
    yield f"{strategy} - {baseline}, {unit}: above 0 favours {strategy}, within ±{region:g} is"
    yield f"equivalent; saw: training examples seen by {strategy} / {baseline}, repeats counted"
    for row in (head, *cells[:-1]):
        yield _aligned(row, widths)
    if len(sources) > MOST_LINES:
        yield f"  ... {len(sources) - MOST_LINES} less certain ones in the report"
    yield _aligned(cells[-1], widths)


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows, or the most certain ones if there are very many."""
    if len(rows) <= MOST_LINES:
        return rows
    return sorted(rows, key=lambda row: row["p"])[:MOST_LINES]


def _cells(document: dict[str, Any], row: dict[str, Any]) -> tuple[str, ...]:
    source, seen, size = row["source"], "", ""
    if source != "macro":
        sizes = {entry["name"]: entry["rows"] for entry in document["data"]["sources"]}
        names = (row["strategy"], row["baseline"])
        entries = (document["strategies"][name]["per_source"][source] for name in names)
        seen = " / ".join(f"{entry['examples_seen']:.0f}" for entry in entries)
        size = str(sizes[source])
    p = row["p_holm"]
    more = f" ({row['would_decide']})" if row["would_decide"] else ""
    return (
        _short(source),
        size,
        seen,
        f"{row['difference']:+.4f}",
        f"{row['low']:+.4f} to {row['high']:+.4f}",
        "<.0001" if p < 1e-4 else f"{p:.4f}",
        row["verdict"] + more,
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    """Names to the left, numbers to the right, the verdict as it is."""
    name, *numbers, verdict = row
    cells = [f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([f"  {name:{widths[0]}}", *cells, verdict])


def _budgets(document: dict[str, Any]) -> Iterator[str]:
    metric = document["primary_metric"]
    called = metric.replace("_", "-")
    for name, strategy in document["strategies"].items():
        updates = max(entry["updates"] for entry in strategy["per_source"].values())
        level = strategy["macro"][metric]["mean"]
        worst = strategy["worst"][metric]
        models = "1 model" if len(strategy["blocks"]) == 1 else f"{len(strategy['blocks'])} models"
        best = [e["best"] for e in strategy["per_source"].values() if e.get("best") is not None]
        notes = f" (weights of update {_span(best, '.0f')} kept)" if best else ""
        notes += "".join(f", {found}" for found in finding_words(strategy))
        size = f"{strategy['parameters']:.0f} parameters"
        over = averaged_over(document) if updates else ""
        updates = f"{updates:.0f} updates" + (f" (mean of {over})" if over else "")
        yield f"{name}: {models}, {size}, {updates}{notes}"
        if "searched" in strategy:
            yield f"  {_searched(strategy['searched'])}"
        yield (
            f"  held-out {called} {level:.4f} on average, worst {worst['mean']:.4f} "
            f"({_short(quoted(worst['source']))})"
        )
    yield from resolved_lines(document["strategies"])


def resolved_lines(strategies: Mapping[str, Any]) -> Iterator[str]:
    """What settings came to, a line for all strategies that agree on it.

    >>> one = {"resolved": {"objective": "likelihood", "nodes": 32}}
    >>> list(resolved_lines({"pooled": one, "separate": one}))
    ['pooled, separate: objective likelihood, nodes 32']
    """
    names: dict[str, list[str]] = {}
    for name, strategy in strategies.items():
        told = ", ".join(f"{key} {value}" for key, value in strategy.get("resolved", {}).items())
        names.setdefault(told, []).append(name)
    for told, agreed in names.items():
        if told:
            yield from wrap(f"{', '.join(agreed)}: {told}", 98, subsequent_indent="  ")


def finding_words(strategy: Mapping[str, Any]) -> list[str]:
    """What fitting found, each with its name.

    >>> found = {"name": "r_hat", "words": "1.00 to 1.20", "setting": False}
    >>> finding_words({"diagnostics": [found]})
    ['r_hat 1.00 to 1.20']
    """
    found = strategy.get("diagnostics", [])
    return [f"{item['name']} {item['words']}" for item in found if not item["setting"]]


def averaged_over(document: Mapping[str, Any]) -> str:
    """What counts such as updates are means of; empty if every model was trained once."""
    splits = document.get("splits") or {}
    if splits.get("folds") and splits.get("repetitions"):
        return f"{splits['folds']} folds x {splits['repetitions']}"
    seeds = splits.get("training_seeds") or 1
    return f"{seeds} seeds" if seeds > 1 else ""


def _searched(searched: Mapping[str, Any]) -> str:
    """What a search over settings found."""
    count = searched["trials"]
    chosen = ", ".join(f"{key}={_setting(value)}" for key, value in searched["chosen"].items())
    return f"{'1 trial' if count == 1 else f'{count} trials'}, chose " + (
        chosen or "the settings as given"
    )


def _setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _span(values: Sequence[float], form: str) -> str:
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low} to {high}"


def _short(name: str, limit: int = 28) -> str:
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= limit else name[: limit - 1] + "…"
