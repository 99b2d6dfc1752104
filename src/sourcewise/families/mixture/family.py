"""The record of the mixture family."""

from sourcewise.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="mixture",
    about="mixtures of Gaussians, fitted by EM with exact steps",
    takes="numbers, of any shape of density",
    settings="sourcewise.families.mixture.settings:MixtureSettings",
    model="sourcewise.families.mixture.model:Mixture",
    coding="numeric",
    recipe="exact",
    metrics=("log-likelihood", "energy-distance"),
    takes_given=True,
    widest=100,  # the products of columns are features: 5000 numbers a row
    asks=("steps",),
    scope="these models",
)
