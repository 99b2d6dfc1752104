"""Settings of the table family."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sourcewise.families.settings import Choice, Range, TrainedSettings
from sourcewise.screening.options import MixedOptions

__all__ = ["TableSettings"]


class TableSettings(TrainedSettings):
    """Settings of the table family; the defaults are for small tables on a CPU."""

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "batch": 256,
        "passes": 10,
        "updates": 500,
        "learning_rate": 2e-3,
        "schedule": "constant",
        "ema": 0.999,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(5e-4, 6e-3, log=True),
        "dropout": Range(0.0, 0.5),
        "width": Choice((32, 64, 128)),
    }

    bins: Annotated[int, Field(ge=2, le=10_000)] | Literal["auto"] = Field(
        default="auto",
        description="bins of a column of numbers; auto: 2 n^(1/3) within 8 to 64",
    )
    order: tuple[str, ...] = Field(
        default=("information",),
        min_length=1,
        description="given, information (each column after the one it depends on most), or names "
        "of the columns that come first",
    )
    components: int = Field(
        default=8, ge=1, le=1000, description="of the mixtures that numbers are drawn from"
    )
    width: int = Field(default=64, ge=1, le=16384, description="channels of a column")
    layers: int = Field(default=2, ge=0, le=1000, description="residual blocks")
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="share of channels set to zero in training"
    )

    def coding_options(self) -> MixedOptions:
        """Bins, and the order of columns."""
        return MixedOptions(self.bins, self.order)
