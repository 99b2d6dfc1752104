"""Screening by coding and form; what a name stands for is imported when it is needed."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from sourcewise.screening.options import CodingOptions, Rules

if TYPE_CHECKING:
    from sourcewise.screening.base import Screened
    from sourcewise.sources import Sources

__all__ = ["SCREENS", "policy", "screen"]

# A family's `coding` and the form of the data: the function that says what of a sample it can use.
SCREENS = {
    ("numeric", "table"): "sourcewise.screening.numeric:screen",
    ("normal-scores", "table"): "sourcewise.screening.numeric:screen_margins",
    ("smooth", "table"): "sourcewise.screening.numeric:screen_margins",
    ("text", "ragged"): "sourcewise.screening.text:screen",
    ("tokens", "table"): "sourcewise.screening.tokens:screen",
    ("mixed", "table"): "sourcewise.screening.mixed:screen",
    ("box", "table"): "sourcewise.screening.box:screen",
    ("numeric", "images"): "sourcewise.screening.images:screen",
    ("box", "images"): "sourcewise.screening.images:screen_box",
    ("smooth", "images"): "sourcewise.screening.images:screen_whole",
}


def policy(homes: Mapping[tuple[str, str], str], coding: str, kind: str) -> str:
    """What a coding has for a form; where it has nothing, its first, which says what is wrong."""
    of_coding = {of: home for (name, of), home in homes.items() if name == coding}
    return of_coding.get(kind) or next(iter(of_coding.values()))


def screen(
    coding: str, data: "Sources", rules: Rules, options: CodingOptions | None = None
) -> "Screened":
    """What of a sample can be used under a coding.

    Raises:
        InputError: a sample that cannot be used; `Unsuited` if that is for its form.
    """
    from sourcewise.forms import form  # torch

    chosen = resolve_name(policy(SCREENS, coding, form(data.x)))
    return chosen(data, rules) if options is None else chosen(data, rules, options)
