"""Settings of the mixture family."""

from typing import Annotated, Literal

from pydantic import Field

from sourcewise.families.settings import FamilySettings

__all__ = ["Means", "MixtureSettings", "Shape"]

Means = Literal["components", "offsets", "means"]
Shape = Literal["full", "diagonal", "tied"]


class MixtureSettings(FamilySettings):
    """Settings of mixtures of Gaussians; what is `auto` is chosen by the training rows."""

    components: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        default="auto", description="number of components; auto: as many as predict better"
    )
    most: int = Field(default=16, ge=1, le=64, description="the most components that `auto` tries")
    covariance: Shape | Literal["auto"] = Field(
        default="auto",
        description="covariances of components; tied: all have the same one; auto: full, and of "
        "few rows whichever predicts better",
    )
    sharing: Means | Literal["auto"] = Field(
        default="auto",
        description="what the sources of a block share beside covariances, each with weights of "
        "its own: components: the means too; offsets: the means but for a shift of each source; "
        "means: nothing more; auto: whichever predicts better",
    )
    prior: Annotated[float, Field(ge=0, le=1e6)] | Literal["auto"] = Field(
        default="auto",
        description="rows that a covariance's prior counts for, as a multiple of columns + 1; "
        "auto: 1, or 4 (of few rows) or 0.05 (of given columns) where that predicts better",
    )
    choice: Literal["parts", "bic"] = Field(
        default="parts",
        description="what `auto` is chosen by; parts: how well parts of the training rows are "
        "predicted from the others; bic: the information criterion of Schwarz",
    )
    tolerance: float = Field(
        default=1e-3, gt=0, le=1, description="nats per row, below which a step of EM is the last"
    )
    steps: int = Field(default=100, ge=1, le=100_000, description="the most steps of EM")
