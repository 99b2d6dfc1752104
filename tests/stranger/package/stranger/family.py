"""The record of the family."""

from sourcewise.families.family import Family

FAMILY = Family(
    name="generator",
    about="a network that turns noise into rows, trained by the energy score",
    takes="numbers, by their draws",
    settings="stranger.settings:GeneratorSettings",
    model="stranger.model:Generator",
    coding="numeric",
    recipe="gradient",
    metrics=("energy-score",),
)
