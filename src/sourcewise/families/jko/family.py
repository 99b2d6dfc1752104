"""The record of the JKO flow."""

from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _able(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) == "numbers"


FAMILY = Family(
    name="jko",
    about="continuous flow of blocks, each a step of the JKO scheme from data to noise",
    takes="numbers",
    settings="sourcewise.families.jko.settings:JKOSettings",
    model="sourcewise.families.jko.model:JKOFlow",
    coding="smooth",
    recipe="greedy",
    metrics=("log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    able=_able,
    sampling="sourcewise.families.jko.settings:JKOSampling",
)
