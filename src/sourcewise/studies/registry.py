"""The studies by name. A new one is a file or folder here and an entry in `STUDIES`.

Listing them imports no torch.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sourcewise.errors import unknown

__all__ = ["STUDIES", "Study", "study"]


@dataclass(frozen=True)
class Study:
    """A study that can be run by name.

    Args:
        name: what users call it.
        about: one line for help and tables.
        settings: "module:class" of its settings.
        grid: "module:class" of its `studies.grid.Grid`, which computes it.
        takes_data: whether it is about a data set of the user's choice.
    """

    name: str
    about: str
    settings: str
    grid: str
    takes_data: bool = False

    def load(self, home: str) -> Any:
        """The class that `settings` or `grid` names."""
        module, name = home.split(":")
        return getattr(import_module(f"sourcewise.studies.{module}"), name)


STUDIES = {
    entry.name: entry
    for entry in [
        Study(
            "fig1",
            "the paper's figure 1, simulated Gaussians",
            "figure1.settings:Figure1Settings",
            "figure1.study:Figure1Grid",
        ),
        Study(
            "arm-K",
            "the paper's ARM table over the number of sources",
            "arm.settings:ArmKSettings",
            "arm.study:ArmGrid",
        ),
        Study(
            "arm-n",
            "the paper's ARM table over the sample size",
            "arm.settings:ArmNSettings",
            "arm.study:ArmGrid",
        ),
        Study(
            "arm-D",
            "the paper's ARM table over the number of positions",
            "arm.settings:ArmDSettings",
            "arm.study:ArmGrid",
        ),
        Study(
            "arm-search",
            "which configuration comes closest to the paper's ARM tables",
            "arm.search:ArmSearchSettings",
            "arm.search:SearchGrid",
        ),
        Study(
            "ebm",
            "energy-based models beside the theory's bound and law",
            "energy.settings:EnergyStudySettings",
            "energy.study:EnergyGrid",
        ),
        Study(
            "coverage",
            "whether the intervals of compare cover, on fresh data",
            "coverage:CoverageSettings",
            "coverage:CoverageGrid",
        ),
        Study(
            "crossing",
            "where separate overtakes pooled on DATA, beside predictions",
            "crossing.study:CrossingSettings",
            "crossing.study:CrossingGrid",
            takes_data=True,
        ),
    ]
}


def study(name: str) -> Study:
    """The study called `name`; an unknown name is an `InputError` that suggests the nearest.

    >>> study("fig2")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    sourcewise.errors.InputError: no study 'fig2': did you mean 'fig1'? (there are: fig1, ...)
    """
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    return STUDIES[name]
