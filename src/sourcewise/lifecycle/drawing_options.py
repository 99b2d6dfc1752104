"""Options of drawing that a family has beside sources and noise."""

from collections.abc import Mapping
from typing import Any

from sourcewise.errors import InputError
from sourcewise.families.registry import families
from sourcewise.results.contract import Json

__all__ = ["drawing_options"]


def drawing_options(name: str, chosen: Mapping[str, Any]) -> Json:
    """What the `sample` of a family takes besides, where it is not the usual.

    Raises:
        InputError: the family has no such option, or not this value of it.
    """
    options = families()[name].sampling_class
    if chosen and not options.model_fields:
        raise InputError(f"the family {name!r} has no options of drawing: --set has none to set")
    return options.parse(chosen).model_dump(include={*chosen})
