"""Settings of the studies of self-purification."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from sourcewise.settings import Few, Many, Seed, Settings
from sourcewise.studies.curves import Strategy

__all__ = ["GUIDANCE", "SpfmImagesSettings", "SpfmSettings"]

Weight = Annotated[float, Field(ge=0, le=1000)]
After = Annotated[
    float, Field(ge=0, lt=1, description="share of the updates after which labels are judged")
]
Time = Annotated[
    float, Field(ge=0, lt=1, description="t at which they are, from 0 (noise) to 1 (data)")
]
Margin = Annotated[
    float,
    Field(ge=0, le=100, description="standard errors by which a label must be worse than none"),
]
Memory = Annotated[
    float, Field(ge=0, lt=1, description="weight of what a row was judged by before")
]
GUIDANCE = (1.0, 2.0)


class _Trained(Settings):
    """What both studies have in common."""

    noise: float = Field(default=0.4, gt=0, lt=1, description="share of wrong labels")
    purify_after: After = 0.1
    probe_time: Time = 0.3
    probe_draws: int = Field(default=4, ge=1, le=1000, description="draws that they are judged by")
    probe_margin: Margin = 0
    probe_memory: Memory = 0
    guidance: tuple[Weight, ...] = Field(
        default=GUIDANCE, min_length=1, max_length=20, description="weights w of draws; 1: off"
    )
    strategies: tuple[Strategy, ...] = Field(
        default=("pooled", "separate"), min_length=1, max_length=2, description="pooled, separate"
    )
    updates: int = Field(
        default=0, ge=0, le=1_000_000_000, description="of a model; 0: as its family has it"
    )
    passes: float = Field(
        default=0, ge=0, le=1_000_000, description="over the rows; 0: as the family has it"
    )
    width: int = Field(default=0, ge=0, le=4096, description="of the network; 0: as the family")
    seed: Seed = 0

    @model_validator(mode="after")
    def _check_strategies(self) -> Self:
        if "pooled" not in self.strategies:
            raise ValueError("strategies: pooled must be among them, it alone judges labels")
        return self

    def of_model(self, purified: bool) -> dict[str, Any]:
        """Settings of the family."""
        sizes = {name: getattr(self, name) for name in ("updates", "passes", "width")}
        found = {name: value for name, value in sizes.items() if value}
        judged = [name for name in type(self).model_fields if name.startswith(("probe", "purify"))]
        return found | ({name: getattr(self, name) for name in judged} if purified else {})


class SpfmSettings(_Trained):
    """The table in closed form, and models of classes in the plane."""

    closed_rows: Many = Field(
        default=4000, description="rows with right labels, and with wrong ones, of the table"
    )
    K: int = Field(default=4, ge=2, le=1000, description="classes in the plane, on a circle")
    scale: float = Field(
        default=0.35, gt=0, lt=1, description="their standard deviation; that of all rows is 1"
    )
    rows: Many = Field(default=150, description="rows of a class")
    draws: Many = Field(default=300, description="draws of a class")
    updates: int = Field(default=600, ge=1, le=1_000_000_000, description="of a model, at least")
    passes: float = Field(default=1, gt=0, le=1_000_000, description="over the rows, at least")
    width: int = Field(default=64, ge=1, le=4096, description="hidden units of the network")
    seeds: int = Field(default=4, ge=2, le=1000, description="samples that models train on")


class SpfmImagesSettings(_Trained):
    """Models of image classes."""

    purify_after: After = 0.3
    probe_time: Time = 0.2
    probe_margin: Margin = 0.5
    probe_memory: Memory = 0.7
    rows: Many = Field(default=300, description="images of a class that models train on")
    classes: Few = Field(default=10_000, description="classes, the first ones; all if fewer")
    draws: Many = Field(default=100, description="draws of a class")
    clean: Many = Field(
        default=1000, description="other images of a class, at most, that the classifier is of"
    )
    classifier_updates: Many = Field(default=1500, description="of the classifier")
    seeds: int = Field(default=3, ge=1, le=1000, description="samples that models train on")
