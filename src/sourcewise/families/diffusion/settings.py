"""Settings of the diffusion family, and of its draws."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sourcewise.families.settings import Choice, Range, TrainedSettings
from sourcewise.settings import Settings

__all__ = ["DiffusionSampling", "DiffusionSettings"]

Multiple = Annotated[int, Field(ge=1, le=64)]


class DiffusionSettings(TrainedSettings):
    """Settings of diffusion; the defaults are for 100 to 1000 examples a source on a CPU.

    Noise levels sigma are in units of the data's standard deviation.
    """

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "batch": 64,
        "passes": 100,
        "updates": 2000,
        "learning_rate": 1e-2,
        "schedule": "inverse-sqrt",
        "ema": 0.999,
        "weight_decay": 0.0,
        "check": 50,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(2e-3, 3e-2, log=True),
        "dropout": Range(0.0, 0.3),
    }

    width: int = Field(
        default=0,
        ge=0,
        le=4096,
        description="channels of the first level, or hidden units for tables; 0: 16, or 128",
    )
    levels: tuple[Multiple, ...] = Field(
        default=(1, 2, 2),
        min_length=1,
        max_length=8,
        description="channels of each level of images, in multiples of width",
    )
    blocks: int = Field(default=1, ge=1, le=64, description="residual blocks, of each level")
    attention: int = Field(
        default=8, ge=0, le=4096, description="pixels per side up to which blocks attend"
    )
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of activations set to zero in training"
    )
    noise_mean: float = Field(
        default=-0.5, ge=-20, le=20, description="mean of log sigma in training"
    )
    noise_sd: float = Field(
        default=1.6, gt=0, le=20, description="standard deviation of log sigma in training"
    )
    flips: bool = Field(
        default=False, description="whether half of the images are seen mirrored in training"
    )
    unlabelled: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="share of examples trained on without their label, which guidance needs",
    )
    bound_draws: int = Field(
        default=16, ge=1, le=100_000, description="noise levels that a row's bound is taken at"
    )


class DiffusionSampling(Settings):
    """Options of its draws."""

    steps: int = Field(default=32, ge=2, le=100_000, description="steps of the sampler")
    guidance: float = Field(
        default=1.0, ge=0, le=1000, description="weight w of the label, u + w (c - u); 1: as it is"
    )
    sampler: Literal["heun", "dpm-solver", "euler"] = Field(
        default="heun", description="heun, dpm-solver, euler"
    )
