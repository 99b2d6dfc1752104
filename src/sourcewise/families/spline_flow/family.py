"""The record of the spline flow."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="spline-flow",
    about="normalizing flow of autoregressive rational-quadratic splines",
    takes="numbers",
    settings="sourcewise.families.spline_flow.settings:SplineFlowSettings",
    model="sourcewise.families.spline_flow.model:SplineFlow",
    coding="normal-scores",
    recipe="gradient",
    metrics=("log-likelihood", "energy-distance"),
    takes_given=True,
    widest=1000,  # a draw takes as many passes through the network as there are columns
)
