"""What the study of energy-based models is computed for.

The class is that of Theorem 4.4 (arXiv 2502.14583, section 4.3; `theory.energy`): a ReLU network
of width W and depth L, embeddings of d_e numbers, every parameter in [-B, B]. The truth is a
random member of it. Three sweeps for every dimension D of the cube: over the examples n, the
sources K, and d_e, which moves the share of shared parameters `beta = S / (S + d_e)`.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.settings import TrainedSettings
from sourcewise.theory.energy import Sizes

__all__ = ["SWEEPS", "EnergyStudySettings", "Place", "Sweep"]

Sweep = Literal["n", "K", "d_e"]
SWEEPS: tuple[Sweep, ...] = ("n", "K", "d_e")

Positive = Annotated[int, Field(ge=1)]


class Place(NamedTuple):
    """One place of a sweep: what is varied, to what, and all sizes there."""

    sweep: Sweep
    value: int
    D: int
    K: int
    n: int
    d_e: int

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """What the simulation depends on: D, K, n, d_e."""
        return self.D, self.K, self.n, self.d_e


class EnergyStudySettings(TrainedSettings):
    """The study's sizes, its truths, and the training, which is the same for both strategies."""

    dimensions: tuple[Annotated[int, Field(ge=1, le=2)], ...] = Field(
        default=(1, 2), description="D, coordinates of x"
    )
    samples: tuple[Positive, ...] = Field(
        default=(300, 1000, 3000, 10000, 30000), description="n where it is varied"
    )
    sources: tuple[Positive, ...] = Field(default=(1, 2, 4, 8), description="K where it is varied")
    embeddings: tuple[Positive, ...] = Field(
        default=(1, 2, 4), description="d_e where it is varied"
    )
    n: Positive = Field(default=3000, description="examples where they are not varied")
    K: Positive = Field(default=4, description="sources where they are not varied")
    embedding: Positive = Field(
        default=2, description="d_e, numbers per embedding where not varied"
    )
    width: int = Field(default=6, ge=1, description="W, at least D + d_e")
    depth: int = Field(default=2, ge=2, description="L, affine layers")
    bound: float = Field(default=4.0, ge=1, description="B, largest absolute value of a parameter")
    spread: float = Field(default=1.0, gt=0, description="of truths: standard deviation of log p")
    own: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="of truths: embeddings are uniform within own * bound; 0: the "
        "sources are alike",
    )
    seeds: int = Field(default=6, ge=2, description="truths and samples per place")
    seed: int = Field(default=0, description="seed of all draws")
    starts: int = Field(
        default=3, ge=1, description="fits of every block, of which the likeliest is kept"
    )
    delta: float = Field(default=0.05, gt=0, lt=1, description="error probability of the bound")
    nodes: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=(128, 32),
        min_length=2,
        max_length=2,
        description="per axis of the quadrature in training: of D = 1, of D = 2",
    )
    batch: Positive | Literal["all"] = Field(
        default=1024, description="rows per update; all: exact full-batch gradients"
    )
    passes: float = Field(
        default=1,
        gt=0,
        description="passes over the training rows; more where `updates` asks for more",
    )
    updates: int = Field(
        default=2000, ge=0, description="the fewest updates, if `passes` makes fewer"
    )
    optimizer: Literal["adam", "adamw"] = Field(default="adam", description="adam, adamw")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay of AdamW")
    learning_rate: float = Field(default=0.03, gt=0, description="the rate at its peak")
    validation: float = Field(default=0.0, ge=0, le=0, description="0: every row trains")

    @model_validator(mode="after")
    def _check_places(self) -> "EnergyStudySettings":
        for place in self.places():
            if place.n < place.K:
                raise ValueError(f"n = {place.n} is less than an example for each of {place.K}")
            if self.width < place.D + place.d_e:
                least = f"D + d_e = {place.D + place.d_e}"
                raise ValueError(f"width must be at least {least}, not {self.width}")
        return self

    def places(self) -> Iterator[Place]:
        """All places of all sweeps."""
        for D in self.dimensions:
            for sweep, values in zip(
                SWEEPS, (self.samples, self.sources, self.embeddings), strict=True
            ):
                fixed = {"K": self.K, "n": self.n, "d_e": self.embedding}
                for value in values:
                    yield Place(sweep, value, D, **(fixed | {sweep: value}))

    def training(self, D: int, d_e: int, pace: float = 1.0) -> EnergySettings:
        """Settings of the models and of their training, at a share of the learning rate."""
        values: dict[str, Any] = {
            name: getattr(self, name) for name in TrainedSettings.model_fields
        }
        values["learning_rate"] *= pace
        values |= {"width": self.width, "depth": self.depth, "embedding": d_e}
        values |= {"nodes": self.nodes[D - 1], "activation": "relu", "objective": "likelihood"}
        return EnergySettings(**values)

    def of_class(self, D: int, d_e: int) -> Sizes:
        """Sizes of the model class, for its parameter counts and its bound."""
        return Sizes(D=D, d_e=d_e, W=self.width, L=self.depth, B=self.bound)
