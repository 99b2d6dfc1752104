"""The families by name, with their settings; listing them imports no torch."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from sourcewise.errors import unknown
from sourcewise.settings import Settings

if TYPE_CHECKING:
    from sourcewise.models.base import ConditionalModel

__all__ = ["FAMILIES", "Family", "GaussianSettings", "family"]


class GaussianSettings(Settings):
    """Settings of the Gaussian family; the defaults are those for data.

    The paper's simulation uses `specific=d1, covariance="identity"`.
    """

    specific: int | Literal["all", "none"] = Field(
        default="all",
        description="all, none, or d1 >= 0: the first d1 mean coordinates differ between the "
        "sources of a block, the others are shared",
    )
    covariance: Literal["identity", "diagonal", "full"] = Field(
        default="full", description="identity, diagonal, full"
    )
    shared_covariance: bool = Field(
        default=True,
        description="true: one covariance for the sources of a block; false: each its own",
    )
    shrinkage: Literal["auto", "none", "ledoit-wolf"] | float = Field(
        default="auto",
        description="none, ledoit-wolf, a number in [0, 1], or auto: ledoit-wolf unless the "
        "covariance is identity",
    )

    @model_validator(mode="after")
    def _check(self) -> "GaussianSettings":
        if isinstance(self.specific, int) and self.specific < 0:
            raise ValueError(f"specific must be >= 0, not {self.specific}")
        if isinstance(self.shrinkage, float) and not 0 <= self.shrinkage <= 1:
            raise ValueError(f"shrinkage must lie in [0, 1], not {self.shrinkage}")
        if self.covariance == "identity" and self.shrinkage not in ("auto", "none"):
            raise ValueError("shrinkage has nothing to shrink when covariance is identity")
        return self

    @property
    def resolved_shrinkage(self) -> Literal["none", "ledoit-wolf"] | float:
        """What `auto` stands for."""
        if self.shrinkage != "auto":
            return self.shrinkage
        return "none" if self.covariance == "identity" else "ledoit-wolf"


@dataclass(frozen=True)
class Family:
    """A registered family.

    Args:
        name: what users call it.
        settings: its settings class.
        home: "module:class" of the model, imported when one is built.
        about: one line for `--help`.
    """

    name: str
    settings: type[Settings]
    home: str
    about: str

    def build(self, settings: Settings, *, K: int, d: int) -> "ConditionalModel":
        """An untrained model for K sources and d variables."""
        module, name = self.home.split(":")
        return getattr(import_module(module), name)(settings, K=K, d=d)

    def parse(self, values: dict[str, Any] | Settings | None) -> Settings:
        """Settings from names and values; an unknown name is an `InputError`."""
        return values if isinstance(values, Settings) else self.settings.parse(values or {})


FAMILIES = {
    item.name: item
    for item in [
        Family(
            "gaussian",
            GaussianSettings,
            "sourcewise.models.gaussian:Gaussian",
            "multivariate normal, fitted exactly",
        ),
    ]
}


def family(name: str) -> Family:
    """The family called `name`; an unknown name is an `InputError` that suggests the nearest.

    >>> family("gausian")
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no family 'gausian': did you mean 'gaussian'? (allowed: gaussian)
    """
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]
