"""One result to one HTML file that needs nothing else: no network, no script."""

from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sourcewise.files import write_atomic
from sourcewise.report import prose, tables, words
from sourcewise.report.forest import save
from sourcewise.report.rows import MEAN, Forest, forest, panels
from sourcewise.report.svg import inline
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
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        # Names come from data: no text of them can break the page.
        finalize=lambda value: value if isinstance(value, Markup) else words.clean(value),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("template.html").render(
        css=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        glossary=GLOSSARY,
        result=result,
        metric=metric_name(result.primary_metric),
        plot=(plot := forest(result)),
        drawings=[_drawing(part, i) for i, part in enumerate(panels(plot))] if plot else [],
        few_degrees=few_degrees,
        prose=prose,
        tables=tables,
        words=words,
    )


def _drawing(part: Forest, i: int) -> Markup:
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
