"""Tables of the site that come from the records: families, metrics, and settings of a family.

A line `<!-- families -->`, `<!-- metrics -->` or `<!-- settings NAME -->` becomes a table when the
site is built, so that a new family or metric is in the docs by itself.
"""

import re

from sourcewise.families.registry import families, family
from sourcewise.metrics.registry import metrics


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by MkDocs for every page."""
    return re.sub(r"<!-- (families|metrics|settings)(?: (\S+))? -->", _table, markdown)


def _table(found: re.Match[str]) -> str:
    what, name = found.groups()
    if what == "settings":
        rows = [
            (f"`{s.name}`", f"`{s.default}`" if s.default else "", s.allowed, s.about)
            for s in family(name).settings_class.listed()
        ]
        return _rows(("setting", "default", "allowed", "what it does"), rows)
    if what == "metrics":
        rows = [
            (
                f"`{m.name}`",
                m.about,
                {"samples": "draws", "density": "a density", "bound": "a bound"}[m.needs],
                "higher" if m.higher_is_better else "lower",
                "decides" if m.decides else "is shown",
            )
            for m in metrics().values()
        ]
        return _rows(("metric", "what it is", "needs", "better", "role"), rows)
    rows = [
        (f"`{f.name}`", f.takes, f.about, f.recipe, ", ".join(f"`{m}`" for m in f.metrics))
        for f in families().values()
    ]
    return _rows(("family", "takes", "what it is", "recipe", "metrics"), rows)


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )
