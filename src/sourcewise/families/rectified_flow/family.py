"""The record of the rectified flow."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="rectified-flow",
    about="flows one after another, each straighter than the last, that draw in few steps",
    takes="images, numbers",
    settings="sourcewise.families.rectified_flow.settings:RectifiedFlowSettings",
    model="sourcewise.families.rectified_flow.model:RectifiedFlow",
    coding="smooth",
    recipe="greedy",
    metrics=("log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    sampling="sourcewise.families.rectified_flow.settings:RectifiedFlowSampling",
)
