"""The record of the spline flow."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _suits(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return find_spec("zuko") is not None and content(data) == "numbers"


FAMILY = Family(
    name="spline-flow",
    about="normalizing flow of autoregressive rational-quadratic splines",
    takes="numbers",
    settings="sourcewise.families.spline_flow.settings:SplineFlowSettings",
    model="sourcewise.families.spline_flow.model:SplineFlow",
    coding="normal-scores",
    recipe="gradient",
    metrics=("log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    suits=_suits,
    widest=1000,  # a draw takes as many passes through the network as there are columns
)
