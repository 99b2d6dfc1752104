"""Settings of the spline flow."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from sourcewise.families.settings import Choice, Range, TrainedSettings

__all__ = ["SplineFlowSettings"]


class SplineFlowSettings(TrainedSettings):
    """Settings of the spline flow; the defaults are for tables of 100 to 100 000 rows on a CPU."""

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "batch": 256,
        "passes": 40,
        "updates": 1000,
        "learning_rate": 6e-3,
        "schedule": "constant",
        "ema": 0.999,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(5e-4, 1e-2, log=True),
        "dropout": Range(0.0, 0.5),
        "width": Choice((32, 64, 128)),
        "transforms": Choice((1, 2, 3)),
    }

    transforms: int = Field(
        default=2, ge=1, le=100, description="autoregressive steps, in alternating column order"
    )
    bins: int = Field(default=8, ge=2, le=1000, description="pieces of each spline")
    width: int = Field(default=64, ge=1, le=16384, description="hidden units of a step's network")
    layers: int = Field(default=1, ge=0, le=1000, description="residual blocks of it")
    dropout: float = Field(
        default=0.3, ge=0, lt=1, description="share of hidden units set to zero in training"
    )
