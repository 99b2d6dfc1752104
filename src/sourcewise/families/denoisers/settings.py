"""Settings that families of denoisers share, and options of their draws."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sourcewise.errors import InputError
from sourcewise.families.settings import Choice, Range, TrainedSettings
from sourcewise.screening.options import LatentOptions
from sourcewise.settings import Settings

__all__ = ["DenoiserSampling", "DenoiserSettings"]

Multiple = Annotated[int, Field(ge=1, le=64)]
Length = Annotated[float, Field(gt=0.001, lt=0.28)]


class DenoiserSettings(TrainedSettings):
    """Settings of a denoiser; the defaults are for 100 to 1000 examples a source on a CPU.

    Noise levels sigma are in units of the data's standard deviation. Images have defaults of their
    own: `IMAGES`.
    """

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "batch": 64,
        "passes": 100,
        "updates": 2000,
        "learning_rate": 2e-2,
        "schedule": "inverse-sqrt",
        "weight_decay": 0.0,
        "check": 50,
    }
    IMAGES: ClassVar[Mapping[str, object]] = {
        "batch": 32,
        "passes": 14,
        "updates": 300,
        "learning_rate": 7e-2,
        "dropout": 0.1,
        "noise_mean": -1.0,
        "noise_sd": 1.8,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(1e-2, 0.1, log=True),
        "dropout": Range(0.0, 0.3),
    }

    width: int = Field(
        default=0,
        ge=0,
        le=4096,
        description="channels of the first level, or hidden units for tables; 0: 16, or 128",
    )
    levels: tuple[Multiple, ...] = Field(
        default=(1, 1, 2),
        min_length=1,
        max_length=8,
        description="channels of each level of images, in multiples of width",
    )
    blocks: int = Field(default=1, ge=1, le=64, description="residual blocks, of each level")
    attention: tuple[Multiple, ...] = Field(
        default=(4,),
        max_length=8,
        description="pixels per side of the levels whose blocks attend; the innermost one always",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of activations set to zero in training"
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
    autoencoder: str = Field(
        default="",
        max_length=4096,
        description="folder, or OWNER/NAME of the hub, of an AutoencoderKL whose latents are "
        "modelled; empty: pixels are",
    )
    lengths: tuple[Length, ...] = Field(
        default=(0.05, 0.075, 0.1, 0.15, 0.2),
        max_length=20,
        description="relative lengths of averages of the weights, of which the one that loses "
        "least on the validation rows is kept; (): the setting ema alone",
    )
    early: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of the updates after which weights are kept that guide draws, .1 at "
        "least; 0: none",
    )
    bound_draws: int = Field(
        default=16, ge=1, le=100_000, description="noise levels that a row's bound is taken at"
    )

    @model_validator(mode="after")
    def _check_averages(self) -> Self:
        if self.ema and self.lengths:
            raise ValueError("ema is for lengths=(), which has averages of its own")
        if 0 < self.early < 0.1:
            raise ValueError(f"early={self.early:g}: allowed are 0, and .1 to 1")
        return self

    def suited(self, form: str) -> Self:
        """With the defaults of images for images; of other data there are no latents."""
        if form == "images":
            given = self.model_dump(include=self.model_fields_set)
            return self.parse({**self.IMAGES, **given})
        if self.autoencoder:
            raise InputError("setting autoencoder: only images have latents")
        return self

    def judged_by(self, offered: tuple[str, ...], form: str) -> tuple[str, ...]:
        """Pixels are whole numbers, of which a flow has no density."""
        return tuple(name for name in offered if form != "images" or name != "log-likelihood")

    def coding_options(self) -> LatentOptions | None:
        """The autoencoder, if there is one."""
        return LatentOptions(self.autoencoder) if self.autoencoder else None

    @property
    def ema_lengths(self) -> tuple[float, ...]:
        """See `TrainedSettings`."""
        return self.lengths

    @property
    def early_share(self) -> float:
        """See `TrainedSettings`."""
        return self.early


class DenoiserSampling(Settings):
    """Options of draws."""

    steps: int = Field(default=18, ge=1, le=100_000, description="steps of the sampler")
    guidance: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="weight w of what is learned, u + w (c - u); 1: off",
    )
    guide: Literal["unlabelled", "early"] = Field(
        default="unlabelled",
        description="u: without the label, or early: weights after a share of the updates",
    )
