"""The studies by name. A new one is a file or folder here and a line in `STUDIES`.

Listing them imports no torch.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sourcewise.errors import unknown

__all__ = ["STUDIES", "Study", "study"]


@dataclass(frozen=True)
class Study:
    """A study that can be run by name."""

    name: str  # what users call it
    # in this room; its function `grid` gives the study's cells (`studies.grid.Grid`) for settings,
    # and for the data if it takes data
    module: str
    settings: str  # the name of its settings class in that module
    about: str  # one line for help and tables
    takes_data: bool = False  # whether it is about a data set of the user's choice
    spreads: bool = False  # whether several processes share its work

    def load(self, what: str) -> Any:
        """Something in its module."""
        return getattr(import_module(f"sourcewise.studies.{self.module}"), what)


STUDIES = {
    entry.name: entry
    for entry in [
        Study("fig1", "figure1.study", "Figure1Settings", "the paper's figure 1, on Gaussians"),
        Study("arm-K", "arm.study", "ArmKSettings", "the paper's ARM table over the sources K"),
        Study("arm-n", "arm.study", "ArmNSettings", "the paper's ARM table over the examples n"),
        Study("arm-D", "arm.study", "ArmDSettings", "the paper's ARM table over the length D"),
        Study(
            "arm-search",
            "arm.search",
            "ArmSearchSettings",
            "which settings come closest to the paper's ARM tables",
        ),
        Study(
            "ebm",
            "energy.study",
            "EnergyStudySettings",
            "energy-based models beside the theory's bound and law",
        ),
        Study("audit", "audit.study", "AuditSettings", "whether verdicts hold, on known truths"),
        Study(
            "best",
            "best.study",
            "BestSettings",
            "whether the best pair of family and strategy leads as its intervals say",
        ),
        Study("advice", "advice", "AdviceSettings", "whether the advice of more rows decides"),
        Study(
            "samplers",
            "samplers.study",
            "SamplersSettings",
            "errors of all samplers against their steps, and their orders",
        ),
        Study(
            "spfm",
            "spfm.study",
            "SpfmSettings",
            "flow matching that stops believing wrong labels: what it flags and regains",
        ),
        Study(
            "spfm-images",
            "spfm.images",
            "SpfmImagesSettings",
            "the same on images of DATA, judged by a classifier",
            takes_data=True,
        ),
        Study(
            "jko",
            "jko.study",
            "JKOStudySettings",
            "JKO flows beside the exact scheme and its bounds, on known truths",
        ),
        Study(
            "reflow",
            "reflow.study",
            "ReflowSettings",
            "rectified flows: what each rectification gains and loses, beside bounds",
        ),
        Study(
            "table1",
            "table1.study",
            "Table1Settings",
            "the paper's table 1 and figure 3, diffusion on classes of DATA",
            takes_data=True,
            spreads=True,
        ),
        Study(
            "crossing",
            "crossing.study",
            "CrossingSettings",
            "where separate overtakes pooled on DATA, beside predictions",
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
