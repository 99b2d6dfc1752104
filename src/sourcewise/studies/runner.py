"""How `sourcewise reproduce NAME` plans, times and runs a study, and keeps its result."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sourcewise.errors import InputError
from sourcewise.files import read_json, versions, write_atomic, write_json
from sourcewise.run_folders import MANIFEST, RunFolder
from sourcewise.sources import Sources
from sourcewise.studies import registry
from sourcewise.studies.grid import Grid, Progress, estimate
from sourcewise.training.processes import Processes

__all__ = ["PlannedStudy", "plan_study"]

CELLS, TABLE, RESULT = "cells", "table.txt", "result.json"


class Finished(NamedTuple):
    """What a study leaves in its folder."""

    document: Any  # plain values
    table: str


@dataclass(frozen=True)
class PlannedStudy:
    """A study that is checked and ready to run."""

    study: str  # its name
    name: str  # of its run folder
    grid: Grid[Any, Any, Any]  # its cells
    config: dict[str, object]  # what identifies the run

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of its figure's files, if it has a figure."""
        return (f"{self.study}.png", f"{self.study}.svg") if self.grid.picture else ()

    def estimate(self) -> float:
        """Seconds that it will take."""
        return estimate(self.grid)

    def run(
        self, out: Path, overwrite: bool = False, progress: Progress | None = None
    ) -> Finished:
        """The result document and its table; from the folder if they are there already."""
        content = (CELLS, TABLE, *self.pictures, RESULT, MANIFEST)
        processes = Processes.found()
        if not processes.first:  # of several processes the first one writes
            if not processes.agreed(False):
                self.grid.run(None, out / CELLS)
                processes.meet()
            processes.meet()
            return _finished(out)
        with RunFolder(out, self.config, overwrite, content) as folder:
            if not processes.agreed(folder.changed() is None):
                try:
                    self._run(folder, progress)
                except InputError:
                    if not any((folder / CELLS).glob("*.json")):
                        folder.discard()  # it can never be finished
                    raise
                folder.finish([TABLE, RESULT])
            processes.meet()
            return _finished(out)

    def _run(self, folder: RunFolder, progress: Progress | None) -> None:
        start = time.perf_counter()
        result = self.grid.run(progress, folder / CELLS)
        Processes.found().meet()  # none reads cells any more
        if self.grid.picture:
            png, svg = self.pictures
            self.grid.picture.write(result, folder / png, folder / svg)
        write_atomic(folder / TABLE, f"{result}\n")
        spent = time.perf_counter() - start
        first = {"seconds": spent, "run": str(folder.path), "name": self.study}
        write_json(folder / RESULT, {**first, **result.to_json()})
        shutil.rmtree(folder / CELLS, ignore_errors=True)


def _finished(out: Path) -> Finished:
    return Finished(read_json(out / RESULT), (out / TABLE).read_text(encoding="utf-8"))


def plan_study(
    name: str, values: Mapping[str, object], data: Sources | None = None
) -> PlannedStudy:
    """Check the study's name, its settings, and the data if it is about a data set."""
    study = registry.study(name)
    if study.takes_data != (data is not None):
        need = "needs DATA" if study.takes_data else "takes no DATA"
        raise InputError(f"study {name!r} {need}")
    settings = study.load(study.settings).parse(values)
    config = {
        "study": name,
        "settings": settings.model_dump(mode="json"),
        "fingerprint": data.fingerprint() if data else None,
        "versions": versions(),
    }
    grid = study.load("grid")(settings, *([data] if data else []))
    return PlannedStudy(name, f"{name}-{data.name}" if data else name, grid, config)
