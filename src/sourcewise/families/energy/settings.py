"""Settings of the energy family; importing them imports no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sourcewise.families.settings import Choice, Range, TrainedSettings
from sourcewise.screening.options import BoxOptions

__all__ = ["EnergySettings"]

IMAGES = {"learning_rate": 2e-3, "updates": 600, "validation": 0.0, "energy_decay": 0.01}


class EnergySettings(TrainedSettings):
    """Settings of the energy family; the defaults are for small tables on a CPU.

    What `auto` stands for, and which settings serve nothing, depends on the columns: see
    `families.energy.plan`.
    """

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "batch": 256,
        "updates": 2000,
        "schedule": "constant",
        "ema": 0.999,
        "check": 40,
    }
    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(5e-4, 1e-2, log=True),
        "weight_decay": Range(1e-3, 0.3, log=True),
        "width": Choice((32, 64, 128)),
    }

    learning_rate: float = Field(
        default=1e-2,
        gt=0,
        description="the rate at its peak; unless given, 0.002 for pcd, denoising and sliced, "
        "and for convolutions",
    )
    embedding: int = Field(default=8, ge=1, le=4096, description="d_e, numbers per embedding")
    width: Annotated[int, Field(ge=1, le=16384)] | Literal["auto"] = Field(
        default="auto",
        description="W, at least D + d_e, or channels of convolutions; auto: 64 or D + d_e if "
        "that is more, 16 channels",
    )
    depth: int = Field(default=3, ge=1, le=1000, description="L, affine layers, or convolutions")
    activation: Literal["relu", "silu", "softplus"] = Field(
        default="silu", description="activation between the layers; relu is the paper's"
    )
    spectral: float = Field(
        default=0.0, ge=0, description="largest singular value of every layer; 0: no limit"
    )
    network: Literal["auto", "mlp", "convolutional"] = Field(
        default="auto",
        description="of the energy; of convolutional, columns are the pixels of an image; auto: "
        "convolutional for images, otherwise mlp",
    )
    image: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(),
        description="channels,height,width, with network=convolutional; not needed for "
        "arrays of images",
    )
    rule: Literal["gauss-legendre", "clenshaw-curtis", "grid"] = Field(
        default="gauss-legendre",
        description="how the normaliser is summed: two rules of quadrature, for up to 3 columns; "
        "or grid: the density is constant in `nodes` cells per axis, and the sum over all cells "
        "is exact (2^20 at most)",
    )
    nodes: Annotated[int, Field(ge=2, le=1 << 21)] | Literal["auto"] = Field(
        default="auto",
        description="nodes per axis of the quadrature in training; auto: 64, 48, 16 for 1, 2, 3 "
        "columns; twice as many for validation, four times for scores; of a grid: cells per axis; "
        "auto: range / step of the column where that is largest",
    )
    objective: Literal["auto", "likelihood", "nce", "pcd", "denoising", "sliced"] = Field(
        default="auto",
        description="what training lowers: the exact likelihood (1 to 3 columns, or rule=grid), "
        "noise-contrastive estimation, persistent contrastive divergence, denoising or sliced "
        "score matching; auto: likelihood where it is exact, otherwise nce",
    )
    noise: Literal["mixture", "uniform"] = Field(
        default="mixture",
        description="what nce contrasts with, and where chains and annealing start; mixture: of "
        "normals cut at the box, fitted to the training rows",
    )
    components: int = Field(default=8, ge=1, le=1000, description="normals in noise=mixture")
    negatives: int = Field(default=16, ge=1, le=10_000, description="noise points per row, of nce")
    chains: int = Field(
        default=16,
        ge=1,
        le=100_000,
        description="chains per source that move before an update, of pcd",
    )
    replay: int = Field(
        default=64,
        ge=1,
        le=1_000_000,
        description="chains per source that are kept, at least `chains`, of pcd",
    )
    steps: int = Field(
        default=10, ge=1, le=100_000, description="Langevin steps per update, of pcd"
    )
    adjusted: bool = Field(
        default=True, description="Metropolis test of every Langevin step, of pcd"
    )
    acceptance: float = Field(
        default=0.8,
        gt=0,
        lt=1,
        description="share of Langevin steps accepted (without the test: that it would accept), "
        "to which their size is adapted, of pcd",
    )
    restart: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="share of the moved chains that begin anew, of pcd",
    )
    energy_decay: float = Field(
        default=0.0, ge=0, description="weight of the squares of energies, of pcd; 0: none"
    )
    smoothing: float = Field(
        default=0.1,
        gt=0,
        le=0.3,
        description="standard deviation of the noise, in spreads of a column within sources, of "
        "denoising; the model is of the data with this noise",
    )
    temperatures: int = Field(
        default=200,
        ge=2,
        le=100_000,
        description="steps of annealed importance sampling (more than 3 columns)",
    )
    particles: int = Field(
        default=128,
        ge=16,
        le=100_000,
        description="chains per source of annealed importance sampling (more than 3 columns)",
    )
    sampler: Literal["auto", "grid", "mala", "hmc"] = Field(
        default="auto",
        description="how samples are drawn: grid, exact but for its cells (1 to 3 columns, or "
        "rule=grid), or Markov chains; auto: grid where it can be, otherwise hmc",
    )

    @model_validator(mode="before")
    @classmethod
    def _careful(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Gradients of chains and scores are noisy: a smaller rate, unless one is given.

        Of images each update takes long, energies come apart from those of chains without a
        pull to 0, and what could tell when to stop (score matching) stops them too soon.
        """
        if values.get("objective") in ("pcd", "denoising", "sliced"):
            values = {"learning_rate": 2e-3} | values
        elif values.get("network") == "convolutional" and "objective" not in values:
            values = IMAGES | values
        return values

    @model_validator(mode="after")
    def _check_energy(self) -> "EnergySettings":
        if self.image and len(self.image) != 3:
            text = ",".join(map(str, self.image))
            raise ValueError(f"image must be channels,height,width, not {text}")
        if self.objective == "pcd" and self.replay < self.chains:
            raise ValueError(f"replay must be at least chains ({self.chains}), not {self.replay}")
        return self

    def suited(self, form: str) -> Self:
        """Convolutions for images, unless another network was asked for."""
        if form != "images" or self.network != "auto":
            return self
        given = self.model_dump(include=self.model_fields_set)
        return self.parse(given | {"network": "convolutional"})

    def judged_by(self, offered: tuple[str, ...], form: str) -> tuple[str, ...]:
        """Draws decide for images, whose log-likelihoods are estimates of chains."""
        if form != "images":
            return offered
        return tuple(sorted(offered, key=lambda name: name == "log-likelihood"))

    def coding_options(self) -> BoxOptions:
        """Whether columns are pixels, and the cells of a grid."""
        image = self.image if self.network == "convolutional" else None
        return BoxOptions(image, self.nodes if self.rule == "grid" else None)
