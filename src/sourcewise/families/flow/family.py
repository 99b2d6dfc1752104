"""The record of the flow family."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="flow",
    about="flow matching, by the velocity from noise to data",
    takes="images, numbers",
    settings="sourcewise.families.flow.settings:FlowSettings",
    model="sourcewise.families.flow.model:Flow",
    coding="smooth",
    recipe="gradient",
    metrics=("likelihood-bound", "energy-distance", "kernel-distance"),
    takes_given=True,
    sampling="sourcewise.families.flow.settings:FlowSampling",
)
