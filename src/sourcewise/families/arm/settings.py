"""Settings of the paper's autoregressive model."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sourcewise.families.settings import Choice, Range, TrainedSettings

__all__ = ["ArmSettings"]


class ArmSettings(TrainedSettings):
    """Settings of the paper's autoregressive model (section 4.2)."""

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
    batch: Annotated[int, Field(ge=1, le=10_000_000)] | Literal["all"] = Field(
        default=100, description="rows per update; all: exact full-batch gradients"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay of AdamW")
