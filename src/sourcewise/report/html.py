"""One result document to one HTML file that needs nothing else: no network, no script."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sourcewise.errors import listing
from sourcewise.files import write_atomic
from sourcewise.report import prose, tables
from sourcewise.report.forest import save
from sourcewise.report.rows import Forest, forest, panels
from sourcewise.report.svg import inline
from sourcewise.report.tables import Table
from sourcewise.report.words import clean, number, table

__all__ = ["render", "write_report"]


def write_report(result: Mapping[str, Any], path: Path) -> None:
    """Write the report of a result document, whole or not at all."""
    write_atomic(Path(path), render(result))


def render(result: Mapping[str, Any]) -> str:
    """The report of a result document as HTML; the same result gives the same text."""
    folder = Path(__file__).parent
    loader = FileSystemLoader(folder)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    css = Markup((folder / "style.css").read_text(encoding="utf-8"))
    return environment.get_template("template.html").render(css=css, **view(result))


def _labelled(result: Mapping[str, Any]) -> bool:
    """Whether some strategy's label was asked what it is worth."""
    strategies = table(result.get("strategies")).values()
    return any(table(strategy).get("label_effect") is not None for strategy in strategies)


def view(result: Mapping[str, Any]) -> dict[str, Any]:
    """All that the template prints, in words; a part that is absent is None or empty."""
    primary = clean(result.get("primary_metric") or "log_likelihood")
    metrics = [primary, *(name for name in prose.metric_names(result) if name != primary)]
    splits, seeds = prose.splits(result)
    likelihoods = _each(result, metrics, tables.likelihoods)
    differences = _each(result, metrics, tables.differences)
    return {
        "name": clean(table(result.get("data")).get("name")),
        "estimand": clean(result.get("estimand")).rstrip("."),
        "metric": prose.spoken(primary),
        "unit": prose.unit(result, primary),
        "verdict": prose.verdict(result, primary),
        "warnings": prose.notes(result),
        "macro": prose.macro(result, primary),
        "forest": _figure(result, primary),
        "differences": differences.pop(prose.spoken(primary), None),
        "other_differences": differences,
        "likelihoods": likelihoods,
        "data": prose.data(result),
        "sources": tables.sources(result),
        "models": (models := tables.models(result)),
        "labelled": models is not None and _labelled(result),
        "budgets": tables.budgets(result),
        "resolved": prose.resolved(result),
        "annealed": models is not None and "Annealing error" in models.heads,
        "exact": prose.solved_exactly(result),
        "averaged": prose.averaged(result),
        "splits": splits,
        "seeds": seeds,
        "beta": prose.beta(result),
        "details": prose.details(result),
    }


def _each(
    result: Mapping[str, Any],
    metrics: list[str],
    make: Callable[[Mapping[str, Any], str], Table | None],
) -> dict[str, Table]:
    found = {}
    for name in metrics:
        if (made := make(result, name)) is not None:
            unit = prose.unit(result, name)
            made.caption = prose.spoken(name).capitalize() + (f", {unit}" if unit else "")
            found[prose.spoken(name)] = made
    return found


def _figure(result: Mapping[str, Any], metric: str) -> dict[str, Any] | None:
    plot = forest(result)
    if plot is None:
        return None
    known = [source.get("name") for source in table(result.get("data")).get("sources") or []]
    drawn = {row.name for row in plot.rows}
    absent = [clean(name) for name in known if clean(name) not in drawn]
    return {
        "parts": [_panel(part, metric, i) for i, part in enumerate(panels(plot))],
        "baseline": plot.baseline,
        "right": plot.right,
        "first": plot.strategies[0],
        "region": number(plot.region) if plot.region else "",
        "clipped": plot.clipped,
        "absent": listing(absent, 12),
    }


def _panel(part: Forest, metric: str, i: int) -> Markup:
    names = {f"name-{k}": row.name for k, row in enumerate(part.rows) if not row.macro}
    title = f"Forest plot of the difference in {prose.spoken(metric)}"
    title += f", {part.numbering}" if part.numbering else ""
    desc = f"{len(part.rows)} rows; to the right of zero favours {part.right}, to the left "
    desc += f"{part.baseline}. The table that follows holds the same numbers."
    # Two drawings, of which the style sheet shows the one that fits the screen.
    drawn = [
        inline(
            save(part, "svg", f"{kind}{i}", width=width, legend=i == 0),
            f"{kind}{i}",
            title,
            desc,
            names,
            kind,
        )
        for kind, width in (("wide", 720.0), ("narrow", 340.0))
    ]
    return Markup("".join(drawn))
