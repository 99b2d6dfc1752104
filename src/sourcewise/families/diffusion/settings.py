"""Options of the draws of the diffusion family; its settings are those of all denoisers."""

from typing import Literal

from pydantic import Field

from sourcewise.families.denoisers.settings import DenoiserSampling

__all__ = ["DiffusionSampling"]


class DiffusionSampling(DenoiserSampling):
    """Options of its draws."""

    steps: int = Field(default=18, ge=2, le=100_000, description="steps of the sampler")
    sampler: Literal["heun", "dpm-solver", "euler"] = Field(
        default="heun", description="heun, dpm-solver, euler"
    )
