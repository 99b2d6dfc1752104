"""Settings of the flow family, and of its draws."""

from typing import Literal

from pydantic import Field

from sourcewise.families.denoisers.settings import DenoiserSampling, DenoiserSettings

__all__ = ["FlowSampling", "FlowSettings"]


class FlowSettings(DenoiserSettings):
    """Settings of flow matching."""

    path: Literal["linear", "cosine", "variance-preserving"] = Field(
        default="linear", description="from noise to data: linear, cosine, variance-preserving"
    )


class FlowSampling(DenoiserSampling):
    """Options of its draws."""

    sampler: Literal["euler", "midpoint", "heun", "rk4", "adaptive"] = Field(
        default="heun", description="euler, midpoint, heun, rk4, or adaptive: no steps are set"
    )
