"""The record of the Gaussian family."""

from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _suits(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) == "numbers"


FAMILY = Family(
    name="gaussian",
    about="multivariate normal, fitted exactly",
    takes="numbers and images, fitted exactly",
    settings="sourcewise.families.gaussian.settings:GaussianSettings",
    model="sourcewise.families.gaussian.model:Gaussian",
    coding="numeric",
    recipe="exact",
    metrics=("log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    partial=True,
    widest=2000,  # a covariance has their square, 32 MB
    suits=_suits,
)
