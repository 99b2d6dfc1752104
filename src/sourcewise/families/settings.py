"""What settings of families have in common; importing them imports no torch.

A trained family adds its sizes to `TrainedSettings`, so that one `--set KEY=VALUE` reaches both.
"""

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sourcewise.screening.options import CodingOptions
from sourcewise.settings import Settings

__all__ = ["Choice", "FamilySettings", "Range", "Rival", "TrainedSettings"]


@dataclass(frozen=True)
class Range:
    """What a search draws a number from; evenly on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """What a search chooses among."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Rival:
    """Other settings that a reader may hold for as good, and that a verdict should not hang on."""

    name: str  # what they differ in
    now: str  # how it is now, as an option of the command line
    option: str  # how it is with them
    settings: "FamilySettings"  # they


class FamilySettings(Settings):
    """The base of the settings of every family."""

    def coding_options(self) -> CodingOptions | None:
        """What they say of how examples are encoded; None: the coding has its usual options."""
        return None

    def suited(self, form: str) -> Self:
        """What they come to for data of a form: "table", "ragged" or "images"."""
        return self

    def judged_by(self, offered: tuple[str, ...], form: str) -> tuple[str, ...]:
        """Those of the family's metrics that fit these settings and this form of data.

        The first is the primary one.
        """
        return offered

    def rival(self) -> Rival | None:
        """The settings that a verdict is held against; None: there are none."""
        return None


class TrainedSettings(FamilySettings):
    """How a family is trained by gradients; each family gives its own defaults.

    Progress is counted in examples seen. A model of n_b training rows sees `passes * n_b` of them,
    or `updates` batches if that is more, unless its validation loss stops improving before: models
    of small and of large sources wait in proportion to what they have trained.

    Attributes:
        SPACE: what a search over settings (`--trials`) varies.
        DEFAULTS: of a family, where they are others than here.
    """

    DEFAULTS: ClassVar[Mapping[str, object]] = {}
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {"learning_rate": Range(3e-4, 1e-2, log=True)}
    TUNING: ClassVar = ("pull", "tuning_rate")  # of the strategy fine-tuned alone

    batch: Annotated[int, Field(ge=1, le=10_000_000)] | Literal["all"] = Field(
        default=128, description="rows per update; all: exact full-batch gradients"
    )
    microbatch: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="rows of a batch that are in memory at once, of each model and process; 0: "
        "all; results are the same to rounding",
    )
    passes: float = Field(
        default=30,
        gt=0,
        le=1_000_000,
        description="passes over the training rows; more where `updates` asks for more",
    )
    updates: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="the fewest updates, if `passes` makes fewer; 0: `passes` alone decides",
    )
    optimizer: Literal["adam", "adamw"] = Field(default="adamw", description="adam, adamw")
    learning_rate: float = Field(default=1e-3, gt=0, description="the rate at its peak")
    schedule: Literal["constant", "cosine", "inverse-sqrt"] = Field(
        default="cosine", description="the learning rate after the warm-up"
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="share of the updates that warms up"
    )
    beta2: float = Field(
        default=0.99, gt=0, lt=1, description="decay of squared gradients in Adam"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of AdamW")
    clip: float = Field(default=1.0, ge=0, description="largest gradient norm; 0: no clipping")
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay per update of the averaged weights that are kept; 0: off; "
        "early on they average the last ninth of the updates",
    )
    bound: float = Field(
        default=0.0,
        ge=0,
        description="largest absolute value of a parameter (B of the theory), held after every "
        "update; 0: none",
    )
    validation: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="share of the training rows that says when to stop; 0: none",
    )
    check: int = Field(
        default=10,
        ge=1,
        le=1_000_000_000,
        description="updates between looks at the validation rows; 1/64 to 1/32 of the "
        "updates so far if that is more",
    )
    patience: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="share of the updates so far, and 5 looks, without improvement before it "
        "stops; 0: never",
    )
    mixing: Literal["union", "weighted"] = Field(
        default="union",
        description="union: every row once per pass; weighted: sources drawn alike often",
    )
    pull: float = Field(
        default=0.1,
        ge=0,
        le=1e12,
        description="strength that draws fine-tuned weights towards the pooled ones",
    )
    tuning_rate: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="learning rate of fine-tuned, as a share of the other",
    )
    precision: Literal["float32", "float64", "bfloat16"] = Field(
        default="float32", description="of numbers; bfloat16 by autocast"
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if "DEFAULTS" not in cls.__dict__:
            return
        for name, value in cls.DEFAULTS.items():
            field = copy(cls.model_fields[name])
            field.default = value
            cls.model_fields[name] = field
        cls.model_rebuild(force=True)

    @model_validator(mode="after")
    def _check(self) -> "TrainedSettings":
        if self.batch == "all" and self.mixing == "weighted":
            raise ValueError("batch=all takes every row once: mixing=weighted needs batches")
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError("weight_decay belongs to adamw: set weight_decay=0 with adam")
        return self

    def of_tuning(self) -> Self:
        """What they come to where training goes on from weights, which draw in place of 0."""
        rate = self.tuning_rate * self.learning_rate
        return self.model_copy(update={"learning_rate": rate, "weight_decay": 0.0})

    @property
    def kept_averages(self) -> tuple[float, ...]:
        """Decays of averages of the weights that are kept beside them, for a family that combines
        several; none, unless its settings say so."""
        return ()

    @property
    def ema_lengths(self) -> tuple[float, ...]:
        """Relative lengths of averages of the weights, of which the one that loses least on the
        validation rows is kept (see `training.averages`); none: `ema` says."""
        return ()

    @property
    def early_share(self) -> float:
        """The share of the updates whose average is kept beside the weights; 0: none is."""
        return 0.0

    def rows_per_update(self, n: int) -> int:
        """Of a model with n training rows."""
        return n if self.batch == "all" else min(self.batch, n)

    def planned(self, n: int) -> int:
        """Updates of a model with n training rows, unless it stops early."""
        return max(self.updates, math.ceil(self.passes * n / self.rows_per_update(n)))
