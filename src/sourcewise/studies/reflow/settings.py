"""Settings of the study, and its cells."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from sourcewise.families.rectified_flow.settings import RectifiedFlowSettings
from sourcewise.settings import Many, Seed, Settings
from sourcewise.studies.reflow.sets import SETS

__all__ = ["Cell", "ReflowSettings"]

Steps = Annotated[int, Field(ge=1, le=10_000)]


class ReflowSettings(Settings):
    """Sets, sizes of samples, and the training of every part."""

    sets: tuple[Literal["line", "normals", "checkerboard", "digits"], ...] = Field(
        default=SETS, min_length=1, description="what is learned"
    )
    rectifications: int = Field(default=3, ge=1, le=3, description="flows, one after another")
    steps: tuple[Steps, ...] = Field(
        default=(1, 2, 4, 8, 16, 32),
        min_length=1,
        description="of Euler's method, T",
    )
    rows: Annotated[int, Field(ge=20, le=10_000_000)] = Field(
        default=4000, description="rows that are learned from, of sets other than digits"
    )
    draws: Annotated[int, Field(ge=2, le=100_000)] = Field(
        default=2000, description="held-out rows, and draws of each field, likewise"
    )
    points: Annotated[int, Field(ge=2, le=2000)] = Field(
        default=1000, description="of these, points that W2 is taken between"
    )
    ways: Many = Field(default=500, description="ways that are followed")
    intervals: Steps = Field(
        default=64, description="of time, in which ways are followed; all steps divide it"
    )
    updates: Many = Field(default=2000, description="of each part")
    batch: Many = Field(default=128, description="rows per update")
    width: Annotated[int, Field(ge=1, le=4096)] = Field(default=64, description="hidden units")
    digits_width: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=128, description="hidden units where digits are learned"
    )
    seed: Seed = Field(default=0, description="of truths, weights and draws")

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        if any(self.intervals % T for T in self.steps):
            raise ValueError(f"steps must divide intervals={self.intervals}")
        return self


class Cell(NamedTuple):
    """A set, with the settings."""

    name: str
    settings: ReflowSettings

    @property
    def width(self) -> int:
        """Hidden units."""
        return self.settings.digits_width if self.name == "digits" else self.settings.width

    @property
    def of_model(self) -> RectifiedFlowSettings:
        """Settings of the set's model."""
        s = self.settings
        return RectifiedFlowSettings.parse(
            {
                "rectifications": s.rectifications,
                "distilled": True,
                "passes": 1e-6,
                "updates": s.updates,
                "batch": s.batch,
                "width": self.width,
            }
        )
