"""The record of the family of purified flows."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="purified-flow",
    about="flow matching that trains without labels it finds to be wrong",
    takes="images, numbers",
    settings="sourcewise.families.purified_flow.settings:PurifiedFlowSettings",
    model="sourcewise.families.purified_flow.model:PurifiedFlow",
    coding="smooth",
    recipe="purified",
    metrics=("likelihood-bound", "log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    sampling="sourcewise.families.flow.settings:FlowSampling",
)
