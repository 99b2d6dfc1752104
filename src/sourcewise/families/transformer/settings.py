"""Settings of the transformer family."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from sourcewise.families.settings import Choice, Range, TrainedSettings
from sourcewise.screening.options import TextOptions
from sourcewise.settings import Settings

__all__ = ["TransformerSampling", "TransformerSettings"]


class TransformerSettings(TrainedSettings):
    """Settings of the transformer family; the defaults are for small sources on a CPU."""

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "updates": 150,
        "learning_rate": 2e-3,
        "schedule": "constant",
        "weight_decay": 0.1,
        "ema": 0.999,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(5e-4, 6e-3, log=True),
        "dropout": Range(0.0, 0.4),
        "weight_decay": Range(0.01, 0.5, log=True),
        "width": Choice((32, 64, 96)),
    }

    width: int = Field(default=64, ge=2, le=16384, description="channels of a position")
    layers: int = Field(default=2, ge=1, le=1000, description="blocks")
    heads: int = Field(
        default=4, ge=1, le=1000, description="heads of attention; width / heads must be even"
    )
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of channels set to zero in training"
    )
    label_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of strings trained without their label",
    )
    symbols: Literal["characters", "bytes"] = Field(
        default="characters", description="what a symbol is; bytes of UTF-8"
    )
    longest: int = Field(
        default=2048, ge=1, le=1_000_000, description="longest text in symbols, given or drawn"
    )

    @model_validator(mode="after")
    def _check_heads(self) -> "TransformerSettings":
        if self.width % (2 * self.heads):
            raise ValueError(f"width / heads must be even, not {self.width} / {self.heads}")
        return self

    def coding_options(self) -> TextOptions:
        """What a symbol is, and how many a text may have."""
        return TextOptions(self.symbols, self.longest)


class TransformerSampling(Settings):
    """Options of drawing samples."""

    temperature: float = Field(
        default=1.0, gt=0, description="divides the logits: below 1, likelier draws"
    )
