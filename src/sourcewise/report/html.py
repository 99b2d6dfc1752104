"""One result to one HTML file that needs nothing else: no network, no script."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup

from sourcewise.files import write_atomic
from sourcewise.report import families, prose, shrinkage, tables, words
from sourcewise.report import panels as sheets
from sourcewise.report.forest import PALETTE, save
from sourcewise.report.page import environment, style
from sourcewise.report.rows import MEAN, Forest, forest, panels
from sourcewise.results.comparison import ComparisonResult
from sourcewise.results.text import few_degrees, metric_name

__all__ = ["inline", "render", "write_report"]

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
_VARIABLE = {color: f"var(--{name})" for name, color in PALETTE.items()}
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_NOTHING = re.compile(r"rotate\(-?0 ")  # matplotlib turns every text by zero degrees


def write_report(result: ComparisonResult, path: Path) -> None:
    """Write the report of a result, whole or not at all."""
    write_atomic(Path(path), render(result))


def render(result: ComparisonResult) -> str:
    """The report of a result as HTML; the same result gives the same text."""
    return (
        environment()
        .get_template("template.html")
        .render(
            css=style(),
            glossary=GLOSSARY,
            result=result,
            metric=metric_name(result.primary_metric),
            sheets=sheets.panels(result),
            most_sources=sheets.SOURCES,
            plot=(plot := forest(result)),
            drawings=[_drawing(part, i) for i, part in enumerate(panels(plot))] if plot else [],
            families=families,
            shrinkage=_shrinkage(result),
            shrinkage_most=shrinkage.MOST,
            few_degrees=few_degrees,
            prose=prose,
            tables=tables,
            words=words,
        )
    )


def _shrinkage(result: ComparisonResult) -> Markup:
    """Both drawings of the plot of shrinkage, if there is one: see `_drawing`."""
    desc = "Estimates of each source under each strategy; the result holds the numbers."
    drawn = []
    for kind, width in (("wide", 720.0), ("narrow", 340.0)):
        svg = shrinkage.save(result, "svg", width)
        if svg is not None:
            drawn.append(inline(svg, f"shrunk-{kind}", "Plot of shrinkage", desc, {}, kind))
    return Markup("".join(drawn))


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


def inline(
    svg: bytes, prefix: str, title: str, desc: str, names: Mapping[str, str], kind: str
) -> str:
    """The SVG as an HTML element.

    Args:
        svg: what matplotlib wrote.
        prefix: starts every identifier; unique in the page.
        title: the accessible name.
        desc: the accessible description.
        names: gid of a group to its full text, shown where it is pointed at.
        kind: the CSS class.
    """
    root = ElementTree.fromstring(svg)
    box = root.get("viewBox", "0 0 1 1")
    page = Element("svg", {"class": kind, "viewBox": box, "role": "img"})
    page.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    page.set("style", f"max-width:{box.split()[2]}px")
    SubElement(page, "title", id=f"{prefix}-title").text = title
    SubElement(page, "desc", id=f"{prefix}-desc").text = desc
    _copy(root, page, prefix, names)
    return ElementTree.tostring(page, encoding="unicode")


def _copy(source: Element, target: Element, prefix: str, names: Mapping[str, str]) -> None:
    for item in source:
        tag = item.tag.rpartition("}")[2]
        # Its <style> would apply to the whole page; the page has its own.
        if tag in ("metadata", "style"):
            continue
        attributes = _attributes(item, tag, prefix)
        name = names.get(item.get("id", ""))
        if tag == "g" and not attributes and name is None:
            _copy(item, target, prefix, names)
            continue
        child = SubElement(target, tag, attributes)
        if tag == "text":
            child.text = item.text
        if name is not None:
            SubElement(child, "title").text = name
        _copy(item, child, prefix, names)
        if tag == "defs" and len(child) == 0:
            target.remove(child)


def _attributes(item: Element, tag: str, prefix: str) -> dict[str, str]:
    kept = {}
    for key, value in item.attrib.items():
        key = key.rpartition("}")[2]
        if key == "style":
            value = _style(value)
        elif key == "href":
            value = f"#{prefix}-{value.removeprefix('#')}"
        elif key == "clip-path":
            value = value.replace("url(#", f"url(#{prefix}-")
        elif key == "id":
            # Only markers and clipping paths are referred to, and their groups are not.
            if tag == "g":
                continue
            value = f"{prefix}-{value}"
        elif key == "transform" and _NOTHING.match(value):
            continue
        else:
            value = _NUMBER.sub(lambda m: f"{float(m[0]):.2f}", value).replace("\n", "")
        kept[key] = value
    return kept


def _style(style: str) -> str:
    parts = (map(str.strip, part.split(":", 1)) for part in style.split(";") if part.strip())
    return ";".join(":".join(_property(key, v)) for key, v in parts if key != "font-family")


def _property(key: str, value: str) -> tuple[str, str]:
    if key == "font":  # older matplotlib: "font: bold 12px 'DejaVu Sans'"
        return "font-size", (re.findall(r"[\d.]+px", value) or ["11px"])[0]
    return key, _VARIABLE.get(value, _NUMBER.sub(lambda m: f"{float(m[0]):.2f}", value))
