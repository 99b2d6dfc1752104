"""The record of the table family."""

from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _suits(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) in ("mixed", "numbers")


FAMILY = Family(
    name="table",
    about="categories, numbers and gaps, one column after another",
    takes="numbers, categories",
    settings="sourcewise.families.table.settings:TableSettings",
    model="sourcewise.families.table.model:TableModel",
    coding="mixed",
    recipe="gradient",
    metrics=("log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    suits=_suits,
)
