"""Settings of the Gaussian family."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sourcewise.errors import InputError
from sourcewise.families.settings import FamilySettings, Rival
from sourcewise.screening.options import NumericOptions

__all__ = ["GaussianSettings"]


WIDE = 256  # columns, above which eigenvectors of every part cost too much
_Share = Annotated[float, Field(ge=0, le=1)]


class GaussianSettings(FamilySettings):
    """Settings of the Gaussian family; the defaults are those for data.

    The paper's simulation uses `specific=d1, covariance="identity"`.
    """

    specific: Annotated[int, Field(ge=0)] | Literal["all", "none"] = Field(
        default="all",
        description="d1: the first d1 mean coordinates differ between the sources of a block, the "
        "others are shared",
    )
    covariance: Literal["identity", "diagonal", "full"] = Field(
        default="full",
        description="covariances within sources; identity: known to be 1 in the columns' units",
    )
    shared_covariance: bool = Field(
        default=True,
        description="one covariance for all sources of a block, or each its own",
    )
    shared_slopes: bool = Field(
        default=True,
        description="one slope on given columns for all sources of a block, or each its own",
    )
    shrinkage: Literal["auto", "none", "ledoit-wolf", "predictive"] | _Share = Field(
        default="auto",
        description="how covariances are shrunk; predictive: as parts of the training rows are "
        f"best predicted from the others; auto: predictive, of more than {WIDE} columns "
        "ledoit-wolf, of an identity none",
    )

    components: Annotated[int, Field(ge=1, le=2000)] | Literal["auto"] = Field(
        default="auto",
        description="principal components of images that are modelled, all other directions being "
        "one noise; auto: all pixel values up to 16, otherwise a fifth of the images of the "
        "smallest source (16 to 200)",
    )

    @model_validator(mode="after")
    def _check(self) -> "GaussianSettings":
        if self.covariance == "identity" and self.shrinkage not in ("auto", "none"):
            raise ValueError("shrinkage has nothing to shrink when covariance is identity")
        return self

    def coding_options(self) -> NumericOptions | None:
        """The components of images; an identity is one in the units of the columns."""
        options = NumericOptions(self.components, self.covariance != "identity")
        return None if options == NumericOptions() else options

    def rival(self) -> Rival | None:
        """Without shrinkage; of settings that fix how covariances shrink, those that do not."""
        if self.covariance == "identity":
            return None
        other = "none" if self.shrinkage in ("auto", "predictive") else "auto"
        changed = self.model_copy(update={"shrinkage": other})
        now, option = (f"--set shrinkage={how}" for how in (self.shrinkage, other))
        return Rival("shrinkage", now, option, changed)

    def shrinks(self, d: int) -> Literal["none", "ledoit-wolf", "predictive"] | float:
        """How covariances of d columns are shrunk."""
        if self.covariance == "identity":
            return "none"
        if self.shrinkage != "auto":
            return self.shrinkage
        if d == 1:
            return "none"  # a variance has no shape
        return "predictive" if d <= WIDE else "ledoit-wolf"

    @property
    def shares(self) -> bool:
        """Whether all sources of a block have one covariance."""
        return self.shared_covariance or self.covariance == "identity"

    def specific_means(self, d: int) -> int:
        """d1, of d columns."""
        named = {"all": d, "none": 0}
        d1 = self.specific if isinstance(self.specific, int) else named[self.specific]
        if d1 > d:
            raise InputError(f"setting specific: at most the {d} columns, not {self.specific}")
        return d1
