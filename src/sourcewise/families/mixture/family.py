"""The record of the mixture family."""

from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _suits(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) == "numbers"


FAMILY = Family(
    name="mixture",
    about="mixtures of Gaussians, fitted by EM with exact steps",
    takes="numbers, of any shape of density",
    settings="sourcewise.families.mixture.settings:MixtureSettings",
    model="sourcewise.families.mixture.model:Mixture",
    coding="numeric",
    recipe="exact",
    metrics=("log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    widest=100,  # the products of columns are features: 5000 numbers a row
    partial=True,
    suits=_suits,
    asks=("steps",),
    scope="these models",
)
