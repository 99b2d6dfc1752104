"""What a comparison gives back: a document, its models, and a table to read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sourcewise.comparison.evaluation import Fitted
from sourcewise.comparison.store import load_models
from sourcewise.errors import InputError
from sourcewise.files import read_json

__all__ = ["Comparison", "load"]

MOST_LINES = 60


@dataclass(frozen=True)
class Comparison:
    """A finished comparison. `print(result)` shows the table with the verdict in words.

    Args:
        document: the JSON document (see docs).
        get_models: fits or loads the models on first use.
    """

    document: dict[str, Any]
    get_models: Callable[[], dict[str, Fitted]]

    @cached_property
    def models(self) -> dict[str, Fitted]:
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
    return Comparison(read_json(path / "result.json"), lambda: load_models(path))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    data, verdict = document["data"], document["verdict"]
    yield (
        f"{data['name']}: {data['rows']} rows, {len(data['sources'])} sources, "
        f"{len(data['columns'])} columns; scope: {document['scope']}"
    )
    for warning in document["warnings"]:
        yield f"  note: {warning}"
    for name in dict.fromkeys(d["strategy"] for d in document["differences"]):
        yield ""
        yield from _table(document, name)
    yield ""
    yield from _budgets(document)
    yield ""
    yield f"verdict: {verdict['overall']} -> {verdict['recommended']}"
    yield f"  {verdict['reason']}"


def _table(document: dict[str, Any], strategy: str) -> Iterator[str]:
    rows = [d for d in document["differences"] if d["strategy"] == strategy]
    baseline = rows[0]["baseline"]
    widths = [max(len(_short(row["source"])) for row in rows), len(strategy) + 4]
    widths.append(len(baseline) + 4)
    yield f"{strategy} - {baseline}, {rows[0]['unit']} (above 0 favours {strategy})"
    yield (
        f"  {'source':{widths[0]}}  {'rows':>6}  {strategy} saw  {baseline} saw  difference"
        f"      95 % interval      {'p (Holm)':>10}  verdict"
    )
    sizes = {source["name"]: source["rows"] for source in document["data"]["sources"]}
    for row in rows[:MOST_LINES]:
        yield _line(document, row, sizes, widths)
    if len(rows) > MOST_LINES + 1:
        yield f"  ... {len(rows) - MOST_LINES - 1} more sources in the report"
    if len(rows) > MOST_LINES:
        yield _line(document, rows[-1], sizes, widths)


def _line(
    document: dict[str, Any], row: dict[str, Any], sizes: dict[str, int], widths: list[int]
) -> str:
    source = row["source"]
    seen = ["", ""]
    if source != "macro":
        seen = [
            f"{document['strategies'][name]['per_source'][source]['examples_seen']:.0f}"
            for name in (row["strategy"], row["baseline"])
        ]
    more = f" ({row['would_decide']})" if row["would_decide"] else ""
    return (
        f"  {_short(source):{widths[0]}}  {sizes.get(source, ''):>6}  {seen[0]:>{widths[1]}}  "
        f"{seen[1]:>{widths[2]}}  {row['difference']:+10.4f}  "
        f"[{row['low']:+9.4f}, {row['high']:+9.4f}]  {row['p_holm']:8.4f}  {row['verdict']}{more}"
    )


def _budgets(document: dict[str, Any]) -> Iterator[str]:
    for name, strategy in document["strategies"].items():
        updates = max(entry["updates"] for entry in strategy["per_source"].values())
        level = strategy["macro"]["log_likelihood"]["mean"]
        worst = strategy["worst"]["log_likelihood"]
        yield (
            f"{name}: {strategy['parameters']:.0f} parameters in {len(strategy['blocks'])} "
            f"{'model' if len(strategy['blocks']) == 1 else 'models'}, {updates:.0f} updates; "
            f"held-out log-likelihood {level:.4f} on average, worst {worst['mean']:.4f} "
            f"({_short(worst['source'])})"
        )


def _short(name: str, limit: int = 28) -> str:
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= limit else name[: limit - 1] + "…"
