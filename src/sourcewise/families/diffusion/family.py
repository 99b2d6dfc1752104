"""The record of the diffusion family."""

from typing import TYPE_CHECKING

from sourcewise.families.family import Family

if TYPE_CHECKING:
    from sourcewise.sources import Sources

__all__ = ["FAMILY"]


def _suits(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) == "images"


def _able(data: "Sources") -> bool:
    from sourcewise.screening.base import content

    return content(data) == "numbers"


FAMILY = Family(
    name="diffusion",
    about="diffusion, by a denoiser of every noise level",
    takes="images, numbers",
    settings="sourcewise.families.denoisers.settings:DenoiserSettings",
    model="sourcewise.families.diffusion.model:Diffusion",
    coding="smooth",
    recipe="gradient",
    metrics=("likelihood-bound", "log-likelihood", "energy-distance", "kernel-distance"),
    takes_given=True,
    suits=_suits,
    able=_able,
    sampling="sourcewise.families.diffusion.settings:DiffusionSampling",
)
