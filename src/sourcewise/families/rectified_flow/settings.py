"""Settings of the rectified flow, and of its draws."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from sourcewise.families.flow.settings import FlowSampling, FlowSettings

__all__ = ["RectifiedFlowSampling", "RectifiedFlowSettings"]


class RectifiedFlowSettings(FlowSettings):
    """Settings of flows that are trained one after another; each part has all updates."""

    DEFAULTS: ClassVar[Mapping[str, object]] = {**FlowSettings.DEFAULTS, "early": 0.0}
    IMAGES: ClassVar[Mapping[str, object]] = {**FlowSettings.IMAGES, "pairs": 4, "pair_steps": 8}

    rectifications: int = Field(
        default=2, ge=1, le=20, description="flows, each trained on the pairs of the one before"
    )
    distilled: bool = Field(
        default=False,
        description="whether a last part learns to do in one step what the last flow does",
    )
    pairs: int = Field(
        default=16,
        ge=1,
        le=10_000,
        description="pairs of noise and draw for each row, at most; images: 4",
    )
    pair_steps: int = Field(
        default=16, ge=1, le=10_000, description="steps of heun by which a pair is made; images: 8"
    )
    coupling: Literal["independent"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="independent", description="independent only: rectification finds the pairs itself"
    )
    path: Literal["linear"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="linear", description="linear only: other paths are not straight"
    )

    @model_validator(mode="after")
    def _check_early(self) -> Self:
        if self.early:
            raise ValueError("early weights of parts are not kept: early=0 is allowed")
        return self

    def judged_by(self, offered: tuple[str, ...], form: str) -> tuple[str, ...]:
        """One step has no density, and pixels are whole numbers: draws tell."""
        left = [name for name in offered if name != "log-likelihood"]
        if form == "images":
            return tuple(sorted(left, key=lambda name: name != "kernel-distance"))
        return tuple(left) if self.distilled else offered


class RectifiedFlowSampling(FlowSampling):
    """Options of its draws."""

    steps: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="steps of the sampler; 0: 1 of a distilled flow, which takes no other, or 4",
    )
    sampler: Literal["euler", "midpoint", "heun", "rk4", "adaptive"] = Field(
        default="euler", description="euler, midpoint, heun, rk4, or adaptive: no steps are set"
    )
