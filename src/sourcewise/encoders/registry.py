"""Codings and encoders by name; what a name stands for is imported when it is needed."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sourcewise.errors import InputError

if TYPE_CHECKING:
    from sourcewise.encoders.base import Encoder
    from sourcewise.encoders.screening import Screened
    from sourcewise.settings import Settings
    from sourcewise.sources import Sources

__all__ = ["ENCODERS", "SCREENS", "load", "screen"]

# A family's `coding`: the function that checks a sample and says how its examples are encoded.
SCREENS = {
    "numeric": "sourcewise.encoders.screening:screen",
    "text": "sourcewise.encoders.text:screen",
    "tokens": "sourcewise.encoders.tokens:screen",
    "mixed": "sourcewise.encoders.mixed_screening:screen",
    "box": "sourcewise.encoders.box_screening:screen",
}
# The "kind" of an encoder's JSON: its class.
ENCODERS = {
    "numeric": "sourcewise.encoders.numeric:NumericEncoder",
    "text": "sourcewise.encoders.text:TextEncoder",
    "tokens": "sourcewise.encoders.tokens:TokenEncoder",
    "mixed": "sourcewise.encoders.mixed:MixedEncoder",
    "box": "sourcewise.encoders.box:BoxEncoder",
}


def screen(coding: str, data: "Sources", settings: "Settings", **options: Any) -> "Screened":
    """Check a sample and choose its coding.

    Args:
        coding: a family's `coding`.
        data: the sample.
        settings: of the family; some say how to encode (bytes or characters, number of bins).
        **options: min_rows, missing, log.
    """
    return _resolve(SCREENS[coding])(data, settings=settings, **options)


def load(document: dict[str, Any]) -> "Encoder":
    """An encoder from its JSON.

    Raises:
        InputError: its kind is unknown.
    """
    kind = document.get("kind")
    if kind not in ENCODERS:
        raise InputError(f"no encoder of kind {kind!r} (known: {', '.join(ENCODERS)})")
    return _resolve(ENCODERS[kind]).from_json(document)


def _resolve(home: str) -> Any:
    module, name = home.split(":")
    return getattr(import_module(module), name)
