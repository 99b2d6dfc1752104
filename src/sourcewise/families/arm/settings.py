"""Settings of the paper's autoregressive model."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from sourcewise.families.settings import Choice, Range, TrainedSettings

__all__ = ["ArmSettings"]


class ArmSettings(TrainedSettings):
    """Settings of the paper's autoregressive model (section 4.2)."""

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "batch": 100,
        "weight_decay": 0.0,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(3e-4, 3e-2, log=True),
        "embedding": Choice((4, 8, 16)),
    }

    embedding: int = Field(default=8, ge=1, le=4096, description="d_e, numbers per embedding")
    width: int = Field(default=64, ge=1, le=16384, description="W, at least the positions")
    depth: int = Field(default=3, ge=1, le=1000, description="L, affine layers")
    encoder: Literal["per position", "shared"] = Field(
        default="per position", description="the networks that read the symbols before a position"
    )
