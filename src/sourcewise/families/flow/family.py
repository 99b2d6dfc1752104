"""The record of the flow family."""

from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _able(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) in ("images", "numbers")


FAMILY = Family(
    name="flow",
    about="flow matching, by the velocity from noise to data",
    takes="images, numbers",
    settings="sourcewise.families.flow.settings:FlowSettings",
    model="sourcewise.families.flow.model:Flow",
    coding="smooth",
    recipe="gradient",
    metrics=("likelihood-bound", "log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    able=_able,
    sampling="sourcewise.families.flow.settings:FlowSampling",
)
