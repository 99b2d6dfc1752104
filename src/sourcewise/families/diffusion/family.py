"""The record of the diffusion family."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="diffusion",
    about="diffusion, by a denoiser of every noise level",
    takes="images, numbers",
    settings="sourcewise.families.diffusion.settings:DiffusionSettings",
    model="sourcewise.families.diffusion.model:Diffusion",
    coding="normal-scores",
    recipe="gradient",
    metrics=("likelihood-bound", "energy-distance"),
    takes_given=True,
    sampling="sourcewise.families.diffusion.settings:DiffusionSampling",
)
