"""What figure 1 is computed for, and the paper's own numbers."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from sourcewise.settings import Few, Many, Seed, Settings

__all__ = ["PAPER", "PAPER_D", "PAPER_POINTS", "PAPER_SEEDS", "Cell", "Figure1Settings", "Sweep"]

Sweep = Literal["K", "n", "beta"]

PAPER: dict[tuple[int, int, float], tuple[float, float]] = {
    # (K, n, beta), d = 10: separate, pooled; means of 5 seeds
    (1, 500, 0.5): (0.0527, 0.0527),
    (3, 500, 0.5): (0.0926, 0.0720),
    (5, 500, 0.5): (0.1240, 0.0962),
    (10, 500, 0.5): (0.1750, 0.1287),
    (15, 500, 0.5): (0.2098, 0.1544),
    (5, 100, 0.5): (0.2787, 0.2037),
    (5, 300, 0.5): (0.1703, 0.1285),
    (5, 1000, 0.5): (0.0915, 0.0718),
    (5, 5000, 0.5): (0.0385, 0.0290),
    (5, 500, 0.0): (0.1240, 0.1240),
    (5, 500, 0.3): (0.1240, 0.1068),
    (5, 500, 0.7): (0.1240, 0.0813),
    (5, 500, 1.0): (0.1240, 0.0490),
}
PAPER_D, PAPER_SEEDS, PAPER_POINTS = 10, 5, 500
MOST_NUMBERS = 10**8  # of a sample

Similarity = Annotated[float, Field(ge=0, le=1)]


class Cell(NamedTuple):
    """One cell of a sweep: what is varied, to what, and all sizes there."""

    sweep: Sweep
    value: float
    K: int
    n: int
    beta: float
    d1: int  # source-specific coordinates

    @property
    def name(self) -> str:
        """What the simulation depends on, beside the settings."""
        return f"K{self.K}-n{self.n}-specific{self.d1}"


class Figure1Settings(Settings):
    """What figure 1 is computed for; the defaults are the paper's sizes."""

    K_values: tuple[Few, ...] = Field(default=(1, 3, 5, 10, 15), description="numbers of sources")
    n_values: tuple[Many, ...] = Field(
        default=(100, 300, 500, 1000, 5000), description="sample sizes"
    )
    beta_values: tuple[Similarity, ...] = Field(
        default=(0.0, 0.3, 0.5, 0.7, 1.0), description="similarities"
    )
    K: Few = Field(default=5, description="sources outside the K sweep")
    n: Many = Field(default=500, description="sample size outside the n sweep")
    beta: Similarity = Field(default=0.5, description="similarity outside the beta sweep")
    d: Few = Field(default=10, description="coordinates, of which round(beta d) are shared")
    seeds: int | None = Field(
        default=None,
        ge=2,
        le=1_000_000,
        description="runs per cell; by default 1000, or 5 with paper_estimator",
    )
    seed: Seed = Field(default=0, description="seed of all draws")
    paper_estimator: bool = Field(
        default=False, description="measure as the paper does: 500 test points, not exact TV"
    )
    draw: Literal["samples", "statistics"] = Field(
        default="samples", description="samples: every x; statistics: only what the fits need"
    )
    spread_runs: int = Field(
        default=4000,
        ge=2,
        le=1_000_000,
        description="runs that give the paper's estimator its standard deviation",
    )

    @model_validator(mode="after")
    def _check_size(self) -> "Figure1Settings":
        n = max((self.n, *self.n_values))
        if n * self.d > MOST_NUMBERS:
            raise ValueError(f"{n} examples of {self.d} numbers: at most {MOST_NUMBERS} in all")
        return self

    @property
    def runs(self) -> int:
        """Simulated runs per cell."""
        return self.seeds or (PAPER_SEEDS if self.paper_estimator else 1000)

    def d1(self, beta: float) -> int:
        """Source-specific coordinates: round(beta d) are shared."""
        return self.d - round(beta * self.d)

    def cells(self) -> Iterator[Cell]:
        """All cells, sweep by sweep."""
        d1 = self.d1(self.beta)
        yield from (Cell("K", K, K, self.n, self.beta, d1) for K in self.K_values)
        yield from (Cell("n", n, self.K, n, self.beta, d1) for n in self.n_values)
        for beta in self.beta_values:
            yield Cell("beta", beta, self.K, self.n, beta, self.d1(beta))
