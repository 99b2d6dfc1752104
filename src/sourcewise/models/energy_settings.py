"""Settings of the energy family; importing them imports no torch."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sourcewise.models.settings import Choice, Range, TrainedSettings

__all__ = ["EnergySettings"]


class EnergySettings(TrainedSettings):
    """Settings of the energy family; the defaults are for small tables on a CPU.

    What `auto` stands for, and which settings serve nothing, depends on the columns: see
    `models.energy.choices`.
    """

    SPACE: ClassVar[Mapping[str, Range | Choice]] = {
        "learning_rate": Range(5e-4, 1e-2, log=True),
        "weight_decay": Range(1e-3, 0.3, log=True),
        "width": Choice((32, 64, 128)),
    }

    embedding: int = Field(default=8, ge=1, description="d_e, numbers per embedding, >= 1")
    width: int | Literal["auto"] = Field(
        default="auto",
        description="W, at least D + d_e, or channels of convolutions, >= 1; auto: 64 or D + d_e "
        "if that is more, 32 channels",
    )
    depth: int = Field(
        default=3, ge=1, description="L, affine layers; of convolutions: layers; >= 1"
    )
    activation: Literal["relu", "silu", "softplus"] = Field(
        default="silu", description="relu (the paper's), silu, softplus"
    )
    spectral: float = Field(
        default=0.0, ge=0, description="largest singular value of every layer; 0: no limit"
    )
    network: Literal["mlp", "convolutional"] = Field(
        default="mlp", description="mlp, convolutional (columns are the pixels of an image)"
    )
    image: tuple[int, ...] = Field(
        default=(),
        description="of convolutional: channels,height,width; not needed for arrays of images",
    )
    rule: Literal["gauss-legendre", "clenshaw-curtis", "grid"] = Field(
        default="gauss-legendre",
        description="the normaliser's quadrature for up to 3 columns: gauss-legendre, "
        "clenshaw-curtis; or grid: the density is constant in `nodes` cells per axis, one for "
        "each value of columns with few, and the sum over all cells is exact (up to 2^20)",
    )
    nodes: int | Literal["auto"] = Field(
        default="auto",
        description="nodes per axis of the quadrature in training, >= 2, or auto: 64, 32, 16 for "
        "1, 2, 3 columns; twice as many for validation, four times for scores; of a grid: auto is "
        "the most values that a column has",
    )
    objective: Literal["auto", "likelihood", "nce", "pcd", "denoising", "sliced"] = Field(
        default="auto",
        description="likelihood (exact, where the normaliser is), nce (noise-contrastive), pcd "
        "(persistent contrastive divergence), denoising, sliced (score matching); auto: "
        "likelihood, otherwise nce",
    )
    noise: Literal["mixture", "uniform"] = Field(
        default="mixture",
        description="what nce contrasts with, and where chains and annealing start: mixture (of "
        "normals cut at the box, fitted to the training rows), uniform",
    )
    components: int = Field(default=8, ge=1, description="of the mixture, >= 1")
    negatives: int = Field(default=16, ge=1, description="of nce: noise points per row, >= 1")
    chains: int = Field(
        default=16, ge=1, description="of pcd: chains per source that move before an update, >= 1"
    )
    replay: int = Field(
        default=64, ge=1, description="of pcd: chains per source that are kept, >= chains"
    )
    steps: int = Field(default=10, ge=1, description="of pcd: Langevin steps per update, >= 1")
    adjusted: bool = Field(
        default=True, description="of pcd: Metropolis test of every Langevin step"
    )
    acceptance: float = Field(
        default=0.8,
        gt=0,
        lt=1,
        description="of pcd: the step is adapted to this acceptance (without the test: what it "
        "would accept), in (0, 1)",
    )
    restart: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="of pcd: share of the moved chains that begin anew, in [0, 1]",
    )
    energy_decay: float = Field(
        default=0.0, ge=0, description="of pcd: weight of the squares of energies, 0 or more"
    )
    smoothing: float = Field(
        default=0.1,
        gt=0,
        le=0.3,
        description="of denoising: standard deviation of the noise, in spreads of a column within "
        "sources; the model is of the data with this noise; in (0, .3]",
    )
    temperatures: int = Field(
        default=200, ge=2, description="of annealed importance sampling, >= 2"
    )
    particles: int = Field(
        default=128, ge=16, description="of annealed importance sampling, per source, >= 16"
    )
    sampler: Literal["auto", "grid", "mala", "hmc"] = Field(
        default="auto",
        description="grid (exact but for its cells; up to 3 columns), mala, hmc; auto: grid, "
        "otherwise hmc",
    )
    batch: int | Literal["all"] = Field(
        default=256, description="rows per update, >= 1, or all: exact full-batch gradients"
    )
    updates: int = Field(default=2000, ge=0, description="updates at least, 0 or more")
    schedule: Literal["constant", "cosine", "inverse-sqrt"] = Field(
        default="constant", description="constant, cosine, inverse-sqrt (after the warm-up)"
    )
    ema: float = Field(
        default=0.999, ge=0, lt=1, description="decay of the averaged weights, in [0, 1); 0: off"
    )
    learning_rate: float = Field(
        default=1e-2, gt=0, description="peak, above 0; 0.002 unless given for pcd and scores"
    )
    check: int = Field(
        default=40,
        ge=1,
        description="updates between looks at the validation rows, >= 1; 1/64 to 1/32 of the "
        "updates so far if that is more",
    )

    @model_validator(mode="before")
    @classmethod
    def _careful(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Gradients of chains and scores are noisy: a smaller rate, unless one is given."""
        noisy = values.get("objective") in ("pcd", "denoising", "sliced")
        return {"learning_rate": 2e-3} | values if noisy else values

    @model_validator(mode="after")
    def _check_energy(self) -> "EnergySettings":
        if isinstance(self.nodes, int) and self.nodes < 2:
            raise ValueError(f"nodes must be >= 2 or auto, not {self.nodes}")
        if self.image and (len(self.image) != 3 or min(self.image) < 1):
            raise ValueError(f"image must be channels,height,width, not {self.image}")
        if self.objective == "pcd" and self.replay < self.chains:
            raise ValueError(f"replay must be at least chains ({self.chains}), not {self.replay}")
        return self
