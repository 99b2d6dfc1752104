"""The record of the energy family."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="energy",
    about="an energy on a box of numbers; normalised by quadrature for up to three columns",
    takes="numbers, images",
    settings="sourcewise.families.energy.settings:EnergySettings",
    model="sourcewise.families.energy.model:Energy",
    coding="box",
    recipe="phased",
    takes_given=True,
    metrics=("log-likelihood", "energy-distance", "kernel-distance"),
)
