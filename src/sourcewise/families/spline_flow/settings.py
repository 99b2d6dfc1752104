"""Settings of the spline flow."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sourcewise.families.settings import Choice, Range, TrainedSettings

__all__ = ["SplineFlowSettings"]


class SplineFlowSettings(TrainedSettings):
    """Settings of the spline flow; the defaults are for tables of 100 to 100 000 rows on a CPU."""

    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(5e-4, 1e-2, log=True),
        "dropout": Range(0.0, 0.5),
        "width": Choice((32, 64, 128)),
        "transforms": Choice((1, 2, 3)),
    }

    batch: Annotated[int, Field(ge=1, le=10_000_000)] | Literal["all"] = Field(
        default=256, description="rows per update; all: exact full-batch gradients"
    )
    passes: float = Field(
        default=40,
        gt=0,
        le=1_000_000,
        description="passes over the training rows; more where `updates` asks for more",
    )
    updates: int = Field(
        default=1000,
        ge=0,
        le=1_000_000_000,
        description="the fewest updates, if `passes` makes fewer; 0: `passes` alone decides",
    )
    schedule: Literal["constant", "cosine", "inverse-sqrt"] = Field(
        default="constant", description="the learning rate after the warm-up"
    )
    ema: float = Field(
        default=0.999, ge=0, lt=1, description="decay of the averaged weights; 0: off"
    )
    learning_rate: float = Field(default=6e-3, gt=0, description="the rate at its peak")
    transforms: int = Field(
        default=2, ge=1, le=100, description="autoregressive steps, in alternating column order"
    )
    bins: int = Field(default=8, ge=2, le=1000, description="pieces of each spline")
    width: int = Field(default=64, ge=1, le=16384, description="hidden units of a step's network")
    layers: int = Field(default=1, ge=0, le=1000, description="residual blocks of it")
    dropout: float = Field(
        default=0.3, ge=0, lt=1, description="share of hidden units set to zero in training"
    )
