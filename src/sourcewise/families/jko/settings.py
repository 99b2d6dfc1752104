"""Settings of the JKO flow, and of its draws."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from sourcewise.families.settings import Choice, Range, TrainedSettings
from sourcewise.settings import Settings

__all__ = ["JKOSampling", "JKOSettings"]


class JKOSettings(TrainedSettings):
    """Settings of the JKO flow; passes and updates are those of each block."""

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "batch": 256,
        "passes": 20,
        "updates": 200,
        "learning_rate": 1e-2,
        "schedule": "cosine",
        "ema": 0.99,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(2e-3, 3e-2, log=True),
        "dropout": Range(0.0, 0.3),
        "width": Choice((32, 64, 128)),
        "blocks": Choice((2, 4, 6)),
    }

    blocks: int = Field(default=4, ge=1, le=100, description="steps of the scheme, N")
    gamma: float = Field(default=0.5, gt=0, le=1000, description="size of the first step")
    ratio: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="of a step's size to that of the one before; 0: sizes follow from how far "
        "blocks have moved the rows, so that all move them equally far",
    )
    left: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="distance per root of columns that the last step is to leave, for ratio=0",
    )
    steps: int = Field(
        default=1, ge=1, le=1000, description="Runge-Kutta steps of a block in training"
    )
    width: int = Field(default=64, ge=1, le=16384, description="hidden units of both layers")
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of hidden units set to zero in training"
    )


class JKOSampling(Settings):
    """Options of draws."""

    steps: int = Field(default=16, ge=1, le=100_000, description="Runge-Kutta steps of each block")
