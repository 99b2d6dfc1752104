"""A run from its settings to its folder: resumed where it stopped, finished once.

Under `torchrun` every process calls `execute`: all of them train, the first one alone holds the
folder and writes.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from sourcewise.errors import InputError
from sourcewise.execution import Execution
from sourcewise.fitting.job import Job, Progress
from sourcewise.run_folders import RunFolder, default_folder
from sourcewise.training.processes import Processes

__all__ = ["Runnable", "execute"]

Outcome = TypeVar("Outcome")
Result = TypeVar("Result")


class Prepared(Protocol):
    """What is to be run."""

    @property
    def job(self) -> Job:
        """What is fitted."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """What identifies the run."""
        ...


Ready = TypeVar("Ready", bound=Prepared)


class Runnable(ABC, Generic[Ready, Outcome, Result]):
    """A run that is checked and ready.

    Attributes:
        files: names of what a finished run's folder holds.
    """

    files: tuple[str, ...]

    def __init__(self, prepared: Ready, execution: Execution | None = None):
        self.prepared, self.execution = prepared, execution or Execution()

    @property
    def folder(self) -> Path:
        """The default run folder."""
        return default_folder(self.prepared.job.data.name, self.prepared.config)

    @abstractmethod
    def work(self, path: Path | None, progress: Progress | None) -> Outcome:
        """Train and measure, going on from what the folder holds; every process calls it."""

    @abstractmethod
    def write(self, folder: Path, outcome: Outcome) -> None:
        """Write what was found; `result.json` last."""

    @abstractmethod
    def result(self, outcome: Outcome) -> Result:
        """What was found, of a run without a folder."""

    @abstractmethod
    def finished(self, path: Path) -> Result:
        """What a finished run's folder holds."""

    def current(self, path: Path) -> bool:
        """Whether a finished run's files are those of options that do not identify the run."""
        return True

    def tidy(self, path: Path) -> None:
        """Remove what only an unfinished run needs."""


def execute(
    run: Runnable[Any, Any, Result],
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Carry a run out.

    Without a folder everything is kept in memory. A folder that holds the same run, finished or
    not, is resumed; another run there is replaced if `overwrite`.

    Raises:
        InputError: whatever is wrong with the data or the folder.
        TrainingFailed: a loss is not finite.
    """
    if out is None:
        return run.result(run.work(None, progress))
    path, processes = Path(out), Processes.found()
    if processes.first:
        with RunFolder(path, run.prepared.config, overwrite) as folder:
            changed = folder.changed()
            if changed:
                warnings.warn(
                    f"{path / changed} is not as it was written: made again", stacklevel=2
                )
            if not processes.agreed(changed is None and run.current(path)):
                try:
                    run.write(path, run.work(path, progress))
                    folder.finish(run.files)
                except InputError:
                    folder.discard()  # it can never be finished
                    raise
            processes.meet()
            run.tidy(path)
    else:
        if not processes.agreed(False):  # the first one looks whether the run is finished
            run.work(path, None)
        processes.meet()  # the first one has written all
    return run.finished(path)
