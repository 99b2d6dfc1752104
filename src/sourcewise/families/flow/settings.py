"""Settings of the flow family, and of its draws."""

from typing import Literal

from pydantic import Field

from sourcewise.families.denoisers.settings import DenoiserSettings
from sourcewise.settings import Settings

__all__ = ["FlowSampling", "FlowSettings"]


class FlowSettings(DenoiserSettings):
    """Settings of flow matching."""

    path: Literal["linear", "cosine", "variance-preserving"] = Field(
        default="linear", description="from noise to data: linear, cosine, variance-preserving"
    )


class FlowSampling(Settings):
    """Options of its draws."""

    steps: int = Field(default=18, ge=1, le=100_000, description="steps of the solver")
    guidance: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="weight w of what is learned, u + w (c - u); 1: off",
    )
    guide: Literal["unlabelled", "early"] = Field(
        default="unlabelled",
        description="u: without the label, or early: weights after a share of the updates",
    )
    sampler: Literal["euler", "midpoint", "heun", "rk4", "adaptive"] = Field(
        default="heun", description="euler, midpoint, heun, rk4, or adaptive: no steps are set"
    )
