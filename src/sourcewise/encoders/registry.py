"""Codings and encoders by name; what a name stands for is imported when it is needed."""

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from sourcewise.errors import InputError
from sourcewise.forms import form
from sourcewise.screening.options import CodingOptions
from sourcewise.screening.registry import policy

if TYPE_CHECKING:
    from sourcewise.encoders.base import Coding, Document, Encoder
    from sourcewise.screening.base import Screened

__all__ = ["ENCODERS", "PLANS", "load", "plan"]

# A family's `coding` and the form of the data: the function that says how examples are encoded.
PLANS = {
    ("numeric", "table"): "sourcewise.encoders.numeric:plan",
    ("normal-scores", "table"): "sourcewise.encoders.normal_scores:plan",
    ("smooth", "table"): "sourcewise.encoders.smooth:plan",
    ("text", "ragged"): "sourcewise.encoders.text:plan",
    ("tokens", "table"): "sourcewise.encoders.tokens:plan",
    ("mixed", "table"): "sourcewise.encoders.mixed:plan",
    ("box", "table"): "sourcewise.encoders.box:plan",
    ("numeric", "images"): "sourcewise.encoders.principal:plan",
    ("box", "images"): "sourcewise.encoders.pixels:plan",
    ("smooth", "images"): "sourcewise.encoders.standard_images:plan",
}
# The "kind" of an encoder's JSON: its class.
ENCODERS = {
    "numeric": "sourcewise.encoders.numeric:NumericEncoder",
    "normal-scores": "sourcewise.encoders.normal_scores:NormalScoresEncoder",
    "smooth": "sourcewise.encoders.smooth:SmoothEncoder",
    "text": "sourcewise.encoders.text:TextEncoder",
    "tokens": "sourcewise.encoders.tokens:TokenEncoder",
    "mixed": "sourcewise.encoders.mixed:MixedEncoder",
    "box": "sourcewise.encoders.box:BoxEncoder",
    "principal": "sourcewise.encoders.principal:PrincipalEncoder",
    "pixels": "sourcewise.encoders.pixels:PixelEncoder",
    "latents": "sourcewise.encoders.latents:LatentEncoder",
    "standard-images": "sourcewise.encoders.standard_images:StandardImageEncoder",
}


def plan(coding: str, screened: "Screened", options: CodingOptions | None = None) -> "Coding":
    """How the examples of a sample are encoded.

    The sample is screened for this coding under these options; None: the usual ones.
    """
    planned = resolve_name(policy(PLANS, coding, form(screened.data.x)))
    return planned(screened) if options is None else planned(screened, options)


def load(document: "Document") -> "Encoder":
    """An encoder from its JSON.

    Raises:
        ValueError: it is no encoder's document.
    """
    kind = document.get("kind")
    if kind not in ENCODERS:
        raise InputError(f"no encoder of kind {kind!r} (known: {', '.join(ENCODERS)})")
    encoder = resolve_name(ENCODERS[kind]).from_json(document)
    names = [column.name for column in encoder.coding.coded_columns]
    if len(set(names)) != len(names):
        raise InputError("two columns of the encoder have the same name")
    return encoder
