"""What all pages of reports are made with: templates in which no text of data can do harm."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sourcewise.report import words

__all__ = ["environment", "style"]

FOLDER = Path(__file__).parent


def environment() -> Environment:
    """Of the templates beside this file."""
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        # Names come from data: no text of them can break the page.
        finalize=lambda value: value if isinstance(value, Markup) else words.clean(value),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def style() -> Markup:
    """The style sheet, which stands in every page."""
    return Markup((FOLDER / "style.css").read_text(encoding="utf-8"))
