"""What the ARM tables are computed for, and the paper's own numbers.

The paper (arXiv 2502.14583) gives fifteen cells, each for separate ("single") and pooled ("multi")
training. What we hold of it states neither the distribution that the data come from, nor the sizes
of the network, nor how it is trained: the settings name each of these choices, and none of the
defaults is the paper's.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from sourcewise.families.arm.settings import ArmSettings
from sourcewise.settings import Few, Many, Seed
from sourcewise.studies.curves import Passes, Rate, Rows, Updates
from sourcewise.theory.arm import Sizes

__all__ = [
    "PAPER",
    "ArmDSettings",
    "ArmKSettings",
    "ArmNSettings",
    "ArmStudySettings",
    "Cell",
    "Sweep",
]

Sweep = Literal["K", "n", "D"]

PAPER: dict[tuple[int, int, int], tuple[float, float]] = {
    # (K, n, D), M = 2: separate, pooled
    (1, 30000, 10): (0.0763, 0.0763),
    (3, 30000, 10): (0.1212, 0.1145),
    (5, 30000, 10): (0.1519, 0.1318),
    (7, 30000, 10): (0.1787, 0.1364),
    (10, 30000, 10): (0.2127, 0.1369),
    (3, 1000, 10): (0.5680, 0.5491),
    (3, 3000, 10): (0.3516, 0.3467),
    (3, 5000, 10): (0.2882, 0.2747),
    (3, 10000, 10): (0.2036, 0.1922),
    (3, 10000, 12): (0.3785, 0.3530),
    (3, 10000, 14): (0.5932, 0.5068),
    (3, 10000, 16): (0.7242, 0.5747),
    (3, 10000, 18): (0.7505, 0.6289),
}


class Cell(NamedTuple):
    """One cell of a table: what is varied, to what, and all sizes there."""

    sweep: Sweep
    value: int
    K: int
    n: int
    D: int

    @property
    def sizes(self) -> tuple[int, int, int]:
        """What the simulation depends on, beside the settings."""
        return self.K, self.n, self.D

    @property
    def name(self) -> str:
        """Says its sizes."""
        return f"K{self.K}-n{self.n}-D{self.D}"


class ArmStudySettings(ArmSettings):
    """One ARM table. Every choice that the paper leaves open is a field.

    Attributes:
        sweep: what is varied.
    """

    sweep: ClassVar[Sweep] = "K"

    values: tuple[Many, ...] = Field(default=(), description="of what is varied")
    K: Few = Field(default=3, description="sources where they are not varied")
    n: Many = Field(default=30000, description="examples where they are not varied")
    D: Few = Field(default=10, description="positions where they are not varied")
    M: int = Field(default=2, ge=2, le=256, description="symbols; M^D at most 2^20")
    truth: Literal["independent", "shared", "realizable"] = Field(
        default="shared",
        description="independent: a Dirichlet draw each; shared: softmax(spread (z + own z_k)); "
        "realizable: a random ARM of the same sizes",
    )
    concentration: float = Field(
        default=1.0, gt=0, description="of the Dirichlet draw (independent)"
    )
    own: float = Field(
        default=0.3, ge=0, description="s: a source's own part of the logits (shared)"
    )
    spread: float = Field(
        default=1.0, gt=0, description="shared, realizable: standard deviation of log p"
    )
    seeds: int = Field(
        default=3, ge=2, le=100_000, description="truths, samples and starts per cell"
    )
    seed: Seed = Field(default=0, description="seed of all draws")
    width: int = Field(default=80, ge=1, le=16384, description="W, at least the positions")
    batch: Rows = "all"
    passes: Passes = 1
    updates: Updates = 1000
    learning_rate: Rate = 0.03
    validation: float = Field(
        default=0.0, ge=0, lt=1, description="share of the rows that tells when to stop; 0: none"
    )

    @model_validator(mode="after")
    def _check_cells(self) -> "ArmStudySettings":
        for cell in self.cells():
            if cell.n < cell.K:
                raise ValueError(f"n = {cell.n} is less than an example for each of {cell.K}")
            if self.M**cell.D > 1 << 20:
                raise ValueError(f"{self.M}^{cell.D} sequences are above 2^20")
            if self.width < cell.D:
                raise ValueError(f"width must be at least D = {cell.D}, not {self.width}")
        return self

    def cells(self) -> Iterator[Cell]:
        """All cells of the table."""
        fixed = {"K": self.K, "n": self.n, "D": self.D}
        for value in self.values:
            yield Cell(self.sweep, value, **(fixed | {self.sweep: value}))

    def training(self) -> ArmSettings:
        """The part that the model and its training take."""
        return ArmSettings(**{name: getattr(self, name) for name in ArmSettings.model_fields})

    def sizes(self, D: int) -> Sizes:
        """Sizes of the model class, for its parameter counts."""
        W, L, d_e = self.width, self.depth, self.embedding
        return Sizes(M=self.M, D=D, d_e=d_e, W=W, L=L, B=1, encoder=self.encoder)


class ArmKSettings(ArmStudySettings):
    """The table over the number of sources."""

    values: tuple[Many, ...] = Field(default=(1, 3, 5, 7, 10), description="numbers of sources")


class ArmNSettings(ArmStudySettings):
    """The table over the sample size."""

    sweep = "n"
    values: tuple[Many, ...] = Field(
        default=(1000, 3000, 5000, 10000, 30000), description="examples in all"
    )


class ArmDSettings(ArmStudySettings):
    """The table over the number of positions."""

    sweep = "D"
    values: tuple[Many, ...] = Field(default=(10, 12, 14, 16, 18), description="positions")
    n: Many = Field(default=10000, description="examples in all")
    seeds: int = Field(
        default=2, ge=2, le=100_000, description="truths, samples and starts per cell"
    )
