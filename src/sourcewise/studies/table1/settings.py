"""The settings of table 1: which classes, how many images, how much training."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sourcewise.settings import Seed, Settings

__all__ = ["BUDGETS", "SCALES", "Budget", "Table1Settings"]

Budget = Literal["equal", "converged"]
Scale = Literal["tiny", "small", "paper"]
BUDGETS: tuple[Budget, ...] = ("equal", "converged")
Count = Annotated[int, Field(ge=1, le=10_000_000)]

# What a scale sets unless users say otherwise: images of a class, and the models.
SCALES: dict[str, dict[str, Any]] = {
    "tiny": {"rows": (100, 400), "passes": 60, "updates": 4000, "model": {}},
    "small": {"rows": (100, 400), "passes": 100, "updates": 10_000, "model": {"width": 32}},
    "paper": {
        "rows": (500, 1000),
        "passes": 2000,
        "updates": 200_000,
        "model": {
            "width": 128,
            "levels": "1,2,3,4",
            "blocks": 3,
            "attention": "16,8",
            "batch": 2048,
            "precision": "bfloat16",
        },
    },
}


class Table1Settings(Settings):
    """The eight cells of table 1, at two budgets.

    At the budget `equal` the strategies see equally many examples in total: each model makes
    `passes` passes over its own. At `converged` each model trains until its validation loss stops
    improving, for `updates` updates at most.
    """

    hierarchy: str = Field(
        min_length=1, max_length=4096, description="file of the tree of classes, .json or .csv"
    )
    scale: Scale = Field(
        default="tiny", description="tiny, small, paper: sizes of all that follows"
    )
    K: tuple[Annotated[int, Field(ge=2, le=10_000)], ...] = Field(
        default=(3, 10), min_length=1, max_length=20, description="numbers of classes"
    )
    levels: tuple[Annotated[int, Field(ge=1, le=2)], ...] = Field(
        default=(1, 2), min_length=1, max_length=2, description="1: classes far apart, 2: alike"
    )
    rows: tuple[Count, ...] = Field(
        default=(), max_length=20, description="training images of a class; (): those of the scale"
    )
    budgets: tuple[Budget, ...] = Field(
        default=BUDGETS, min_length=1, max_length=2, description="equal, converged"
    )
    passes: float = Field(
        default=0, ge=0, le=1_000_000, description="passes at equal budgets; 0: as the scale"
    )
    updates: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="most updates of models that train until they stop; 0: as the scale",
    )
    width: int = Field(
        default=0, ge=0, le=4096, description="channels of the network; 0: as the scale"
    )
    autoencoder: str = Field(
        default="", max_length=4096, description="folder or hub id of the latents' autoencoder"
    )
    seeds: int = Field(default=3, ge=1, le=1000, description="training seeds")
    draws: int = Field(
        default=50,
        ge=2,
        le=100_000,
        description="draws of a class, and held-out images, that Frechet distances are between",
    )
    sampling_seeds: int = Field(
        default=2, ge=1, le=1000, description="sets of draws from the models of each seed"
    )
    features: str = Field(
        default="classifier", min_length=1, max_length=4096, description="that distances are in"
    )
    seed: Seed = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Training images of a class."""
        return self.rows or SCALES[self.scale]["rows"]

    def of_model(self, budget: Budget) -> dict[str, Any]:
        """Settings of the family at a budget."""
        scale = SCALES[self.scale]
        own = {"width": self.width, "autoencoder": self.autoencoder}
        own = scale["model"] | {name: value for name, value in own.items() if value}
        if budget == "equal":
            return {**own, "passes": self.passes or scale["passes"], "updates": 0, "patience": 0}
        return {**own, "passes": 1, "updates": self.updates or scale["updates"]}
