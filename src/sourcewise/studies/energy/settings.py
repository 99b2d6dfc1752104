"""What the study of energy-based models is computed for.

The class is that of Theorem 4.4 (arXiv 2502.14583, section 4.3; `theory.energy`): a ReLU network
of width W and depth L, embeddings of d_e numbers, every parameter in [-B, B]. The truth is a
random member of it. Three sweeps for every dimension D of the cube: over the examples n, the
sources K, and d_e, which moves the share of shared parameters `beta = S / (S + d_e)`.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.settings import TrainedSettings
from sourcewise.settings import Few, Many, Seed
from sourcewise.studies.curves import Passes, Rate, Rows, Updates
from sourcewise.theory.energy import Sizes

__all__ = ["SWEEPS", "Cell", "EnergyStudySettings", "Sweep"]

Sweep = Literal["n", "K", "d_e"]
SWEEPS: tuple[Sweep, ...] = ("n", "K", "d_e")


class Cell(NamedTuple):
    """One cell of a sweep: what is varied, to what, all sizes there, and where fits start."""

    sweep: Sweep
    value: int
    D: int
    K: int
    n: int
    d_e: int
    near: bool = False  # the fits start at the truth, not at random

    @property
    def name(self) -> str:
        """What the simulation depends on, beside the settings."""
        near = "-near" if self.near else ""
        return f"D{self.D}-K{self.K}-n{self.n}-d_e{self.d_e}{near}"


class EnergyStudySettings(TrainedSettings):
    """The study's sizes, its truths, and the training, which is the same for both strategies."""

    dimensions: tuple[Annotated[int, Field(ge=1, le=2)], ...] = Field(
        default=(1, 2), description="D, coordinates of x"
    )
    samples: tuple[Many, ...] = Field(
        default=(300, 1000, 3000, 10000, 30000), description="n where it is varied"
    )
    sources: tuple[Few, ...] = Field(default=(1, 2, 4, 8), description="K where it is varied")
    embeddings: tuple[Few, ...] = Field(default=(1, 2, 4), description="d_e where it is varied")
    n: Many = Field(default=3000, description="examples where they are not varied")
    K: Few = Field(default=4, description="sources where they are not varied")
    embedding: Few = Field(default=2, description="d_e, numbers per embedding where not varied")
    width: int = Field(default=6, ge=1, le=16384, description="W, at least D + d_e")
    depth: int = Field(default=2, ge=2, le=1000, description="L, affine layers")
    bound: float = Field(default=4.0, ge=1, description="B, largest absolute value of a parameter")
    spread: float = Field(default=1.0, gt=0, description="of truths: standard deviation of log p")
    own: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="of truths: embeddings are uniform within own * bound; 0: the "
        "sources are alike",
    )
    seeds: int = Field(default=6, ge=2, le=100_000, description="truths and samples per cell")
    seed: Seed = Field(default=0, description="seed of all draws")
    starts: int = Field(
        default=3, ge=1, le=1000, description="fits of every block, of which the likeliest is kept"
    )
    delta: float = Field(default=0.05, gt=0, lt=1, description="error probability of the bound")
    nodes: tuple[Annotated[int, Field(ge=2, le=4096)], ...] = Field(
        default=(128, 32),
        min_length=2,
        max_length=2,
        description="per axis of the quadrature in training: of D = 1, of D = 2",
    )
    batch: Rows = 1024
    passes: Passes = 1
    updates: Updates = 2000
    optimizer: Literal["adam", "adamw"] = Field(default="adam", description="adam, adamw")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay of AdamW")
    learning_rate: Rate = 0.03
    validation: float = Field(default=0.0, ge=0, le=0, description="0: every row trains")

    @model_validator(mode="after")
    def _check_cells(self) -> "EnergyStudySettings":
        for cell in self.cells():
            if cell.n < cell.K:
                raise ValueError(f"n = {cell.n} is less than an example for each of {cell.K}")
            if self.width < cell.D + cell.d_e:
                least = f"D + d_e = {cell.D + cell.d_e}"
                raise ValueError(f"width must be at least {least}, not {self.width}")
        return self

    def cells(self) -> Iterator[Cell]:
        """All cells of all sweeps, with random starts."""
        varied: list[tuple[Sweep, tuple[int, ...]]] = [
            ("n", self.samples),
            ("K", self.sources),
            ("d_e", self.embeddings),
        ]
        fixed = {"K": self.K, "n": self.n, "d_e": self.embedding}
        for D in self.dimensions:
            for sweep, values in varied:
                for value in values:
                    sizes = fixed | {sweep: value}
                    yield Cell(sweep, value, D, sizes["K"], sizes["n"], sizes["d_e"])

    def training(self, D: int, d_e: int, share: float = 1.0) -> EnergySettings:
        """Settings of the models and of their training, at a share of the learning rate."""
        trained = {name: getattr(self, name) for name in TrainedSettings.model_fields}
        trained["learning_rate"] *= share
        return EnergySettings(
            **trained,
            width=self.width,
            depth=self.depth,
            embedding=d_e,
            nodes=self.nodes[D - 1],
            activation="relu",
            objective="likelihood",
        )

    def sizes(self, D: int, d_e: int) -> Sizes:
        """Sizes of the model class, for its parameter counts and its bound."""
        return Sizes(D=D, d_e=d_e, W=self.width, L=self.depth, B=self.bound)
