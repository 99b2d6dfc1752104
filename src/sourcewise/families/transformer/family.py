"""The record of the transformer family."""

from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _suits(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) == "text"


FAMILY = Family(
    name="transformer",
    about="text and other sequences, one symbol after another",
    takes="text",
    settings="sourcewise.families.transformer.settings:TransformerSettings",
    model="sourcewise.families.transformer.model:Transformer",
    coding="text",
    recipe="gradient",
    takes_given=True,
    suits=_suits,
    sampling="sourcewise.families.transformer.settings:TransformerSampling",
)
