"""Options of the draws of the diffusion family; its settings are those of all denoisers."""

from typing import Literal

from pydantic import Field

from sourcewise.settings import Settings

__all__ = ["DiffusionSampling"]


class DiffusionSampling(Settings):
    """Options of its draws."""

    steps: int = Field(default=18, ge=2, le=100_000, description="steps of the sampler")
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
    sampler: Literal["heun", "dpm-solver", "euler"] = Field(
        default="heun", description="heun, dpm-solver, euler"
    )
