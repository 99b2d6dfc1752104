"""The studies by name: what `sourcewise reproduce NAME` can run, and how their results are kept.

A study has a settings class, is run once, and gives a result with `to_json`, a table (`str`) and,
if it has a figure, `draw(png, svg)`.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from sourcewise.errors import InputError, unknown
from sourcewise.files import RunFolder, read_json, versions, write_atomic, write_json
from sourcewise.settings import Settings
from sourcewise.sources import Sources
from sourcewise.studies.places import Progress

__all__ = ["STUDIES", "PlannedStudy", "Study", "plan_study"]


class StudyResult(Protocol):
    """What a study gives back."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        ...


@dataclass(frozen=True)
class Study:
    """A study that can be run by name.

    Args:
        name: what users call it.
        home: "module:function:settings class", imported when the study runs.
        about: one line for `--help`.
        on_data: whether it is about a data set of the user's choice.
        draws: whether it has a figure.
        resumes: whether it takes a folder, and goes on from what it finds there.
        timed: whether its module has `estimate(settings)`, the seconds that it will take.
    """

    name: str
    home: str
    about: str
    on_data: bool = False
    draws: bool = True
    resumes: bool = False
    timed: bool = False

    def load(self) -> tuple[Callable[..., StudyResult], type[Settings]]:
        """Its function and its settings class."""
        _, function, settings = self.home.split(":")
        return getattr(self.module, function), getattr(self.module, settings)

    @property
    def module(self) -> ModuleType:
        """Where it lives."""
        return import_module(f"sourcewise.studies.{self.home.partition(':')[0]}")


STUDIES = {
    study.name: study
    for study in [
        Study(
            "fig1",
            "figure1.study:figure1:Figure1Settings",
            "the paper's figure 1: simulated Gaussians",
        ),
        Study(
            "coverage",
            "coverage:coverage:CoverageSettings",
            "whether compare's intervals cover, on fresh data",
            draws=False,
        ),
        Study(
            "crossing",
            "crossing.study:crossing:CrossingSettings",
            "where separate overtakes pooled on a data set, beside its predictions",
            on_data=True,
        ),
        Study(
            "arm-K",
            "arm.study:arm_table:ArmKSettings",
            "the paper's ARM table over the number of sources",
            resumes=True,
            timed=True,
        ),
        Study(
            "arm-n",
            "arm.study:arm_table:ArmNSettings",
            "the paper's ARM table over the sample size",
            resumes=True,
            timed=True,
        ),
        Study(
            "arm-D",
            "arm.study:arm_table:ArmDSettings",
            "the paper's ARM table over the number of positions",
            resumes=True,
            timed=True,
        ),
        Study(
            "arm-search",
            "arm.search:arm_search:ArmSearchSettings",
            "which configuration comes closest to the paper's ARM cells",
            draws=False,
            resumes=True,
        ),
        Study(
            "ebm",
            "energy.study:energy_study:EnergyStudySettings",
            "energy-based models against n, K and the share of shared parameters",
            resumes=True,
            timed=True,
        ),
    ]
}


@dataclass(frozen=True)
class PlannedStudy:
    """A study that is checked and ready to run."""

    study: Study
    settings: Settings
    data: Sources | None
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """Of its run folder."""
        return self.study.name + (f"-{self.data.name}" if self.data else "")

    def estimate(self) -> float | None:
        """Seconds that it will take; None if it cannot be timed in advance."""
        return self.study.module.estimate(self.settings) if self.study.timed else None

    def run(
        self, out: Path, overwrite: bool = False, progress: Progress | None = None
    ) -> tuple[dict[str, Any], str]:
        """The result document and its table; from the folder if they are there already."""
        with RunFolder(out, self.config, overwrite) as folder:
            if not (folder / "result.json").exists():
                self._run(folder, progress)
            table = (folder / "table.txt").read_text(encoding="utf-8")
            return read_json(folder / "result.json"), table

    def _run(self, folder: RunFolder, progress: Progress | None) -> None:
        function, _ = self.study.load()
        data = () if self.data is None else (self.data,)
        start = time.perf_counter()
        more = {"folder": folder / "cells"} if self.study.resumes else {}
        result: Any = function(*data, self.settings, progress=progress, **more)
        if self.study.draws:
            result.draw(folder / f"{self.study.name}.png", folder / f"{self.study.name}.svg")
        write_atomic(folder / "table.txt", f"{result}\n")
        spent = {"seconds": time.perf_counter() - start, "run": str(folder.path)}
        write_json(folder / "result.json", spent | result.to_json())
        shutil.rmtree(folder / "cells", ignore_errors=True)


def plan_study(name: str, values: dict[str, Any], data: Sources | None = None) -> PlannedStudy:
    """Check name, settings and data.

    Args:
        name: of the study.
        values: its settings; unknown ones are an `InputError`.
        data: for studies about a data set.
    """
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    study = STUDIES[name]
    if study.on_data != (data is not None):
        need = "needs DATA" if study.on_data else "takes no DATA"
        raise InputError(f"study {name!r} {need}")
    settings = study.load()[1].parse(values)
    config = {
        "study": name,
        "settings": settings.model_dump(mode="json"),
        "fingerprint": data.fingerprint() if data else None,
        "versions": versions(),
    }
    return PlannedStudy(study, settings, data, config)
