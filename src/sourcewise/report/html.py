"""One result to one HTML file that needs nothing else: no network, no script."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sourcewise.errors import listing
from sourcewise.files import write_atomic
from sourcewise.report import prose, tables
from sourcewise.report.forest import save
from sourcewise.report.rows import MEAN, Forest, forest, panels
from sourcewise.report.svg import inline
from sourcewise.report.words import (
    clean,
    decimals,
    favours,
    fixed,
    interval,
    number,
    p_value,
    sentence,
    signed,
)
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.text import few_degrees, metric_name

__all__ = ["render", "write_report"]

FOLDER = Path(__file__).parent
# What is explained at the end of the page, by the words that stand in tables and facts.
GLOSSARY = {
    "Difference": "difference",
    "95 % interval": "interval",
    "p (Holm)": "holm",
    "Verdict": "verdict",
    MEAN: "macro",
    "How sure": "scope",
    "Compared": "unit",
    "Independent units": "independent",
    "Examples seen": "seen",
}


def write_report(result: ComparisonResult, path: Path) -> None:
    """Write the report of a result, whole or not at all."""
    write_atomic(Path(path), render(result))


def render(result: ComparisonResult) -> str:
    """The report of a result as HTML; the same result gives the same text."""
    levels, averages = tables.levels(result), prose.averages(result)
    models, (splits, seeds) = tables.models(result), prose.splits(result)
    return (
        _environment()
        .get_template("template.html")
        .render(
            css=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
            glossary=GLOSSARY,
            result=result,
            metric=metric_name(result.primary_metric),
            headline=prose.headline(result),
            averages=averages,
            places=decimals(averages),
            forest=_figure(result),
            differences=tables.differences(result),
            levels=levels.pop(result.primary_metric),
            shown=[levels.pop(key) for key in result.shown if key in levels],
            other_levels=list(levels.values()),
            data=prose.data(result),
            columns=[(column.name, prose.column_note(column)) for column in result.data.columns],
            sources=tables.sources(result),
            splits=splits,
            models=models,
            labelled=any(head.startswith("Label is") for head in models.heads),
            annealed="Annealing error" in models.heads,
            budgets=tables.budgets(result),
            resolved=prose.resolved(result),
            seeds=seeds,
            beta_places=max(2, decimals([result.beta_hat])),
            details=prose.details(result),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        # Names come from data: no text of them can break the page.
        finalize=lambda value: value if isinstance(value, Markup) else clean(value),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (favours, few_degrees, fixed, interval, number, p_value, sentence, signed)
    environment.globals |= {function.__name__: function for function in words}
    return environment


@dataclass(frozen=True)
class Figure:
    """The forest plot in its parts, and what its caption says besides."""

    plot: Forest
    parts: list[Markup]
    absent: str


def _figure(result: ComparisonResult) -> Figure | None:
    plot = forest(result)
    if plot is None:
        return None
    names = {row.name for row in plot.rows}
    known = [clean(source.name) for source in result.data.sources]
    absent = listing([name for name in known if name not in names], 12)
    return Figure(plot, [_panel(part, i) for i, part in enumerate(panels(plot))], absent)


def _panel(part: Forest, i: int) -> Markup:
    names = {f"name-{k}": row.name for k, row in enumerate(part.rows) if not row.macro}
    title = f"Forest plot of the difference in {part.metric}"
    title += f", {part.numbering}" if part.numbering else ""
    desc = f"{len(part.rows)} rows; to the right of zero favours {part.right}, to the left "
    desc += f"{part.baseline}. The table that follows holds the same numbers."
    # Two drawings, of which the style sheet shows the one that fits the screen.
    draw = partial(save, part, "svg", legend=i == 0)
    return Markup(
        "".join(
            inline(draw(f"{kind}{i}", width=width), f"{kind}{i}", title, desc, names, kind)
            for kind, width in (("wide", 720.0), ("narrow", 340.0))
        )
    )
