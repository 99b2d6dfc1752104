"""Screening by the name of a coding; what a name stands for is imported when it is needed."""

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from sourcewise.screening.options import CodingOptions, Rules

if TYPE_CHECKING:
    from sourcewise.screening.base import Screened
    from sourcewise.sources import Sources

__all__ = ["SCREENS", "screen"]

# A family's `coding`: the function that says what of a sample it can use.
SCREENS = {
    "numeric": "sourcewise.screening.numeric:screen",
    "text": "sourcewise.screening.text:screen",
    "tokens": "sourcewise.screening.tokens:screen",
    "mixed": "sourcewise.screening.mixed:screen",
    "box": "sourcewise.screening.box:screen",
}


def screen(
    coding: str, data: "Sources", rules: Rules, options: CodingOptions | None = None
) -> "Screened":
    """What of a sample can be used under a coding.

    Raises:
        InputError: a sample that cannot be used; `Unsuited` if that is for its form.
    """
    policy = resolve_name(SCREENS[coding])
    return policy(data, rules) if options is None else policy(data, rules, options)
