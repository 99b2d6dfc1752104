"""Settings of purified flows: those of flows, and how labels are judged."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from sourcewise.families.flow.settings import FlowSettings

__all__ = ["PurifiedFlowSettings"]


class PurifiedFlowSettings(FlowSettings):
    """Settings of flow matching that judges labels; `docs/purified-flow.md` has what the defaults
    were chosen by."""

    IMAGES: ClassVar[Mapping[str, object]] = {
        **FlowSettings.IMAGES,
        "purify_after": 0.3,
        "probe_time": 0.2,
        "probe_margin": 0.5,
        "probe_memory": 0.7,
    }

    purify_after: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of the planned updates after which labels are judged; 1: never; "
        "images: .3",
    )
    probe_time: float = Field(
        default=0.3,
        ge=0,
        lt=1,
        description="time t of the path, from 0 (noise) to 1 (data), at which they are; "
        "images: .2",
    )
    probe_draws: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="draws of noise that a label is judged by; each costs two evaluations of the "
        "network per row and update",
    )
    probe_margin: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="standard errors, over these draws, by which a label must be worse than none; "
        "images: .5",
    )
    probe_memory: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="weight, beside the look of the moment, of what a row was judged by before; "
        "images: .7",
    )

    coupling: Literal["independent"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default="independent",
        description="independent only: rows that lost their label would be paired as one source",
    )

    @model_validator(mode="after")
    def _check_margin(self) -> Self:
        if self.probe_margin and self.probe_draws < 2:
            raise ValueError(
                "probe_margin: one draw has no standard error: probe_draws=2 or more, or "
                "probe_margin=0"
            )
        return self

    @model_validator(mode="after")
    def _check_unlabelled(self) -> Self:
        if not self.unlabelled and self.purify_after < 1:
            raise ValueError(
                "unlabelled=0: labels are judged against what is learned without them, which "
                "takes unlabelled above 0 (or purify_after=1)"
            )
        return self
