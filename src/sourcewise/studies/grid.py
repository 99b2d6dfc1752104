"""A study is a grid of cells: each is computed once, and kept once it is computed.

A study says which cells it has, how one is computed, and how all of them make its result. Running
them, with progress, and taking up what an interrupted run left, is the same for all studies.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from pydantic import TypeAdapter

from sourcewise.errors import InputError
from sourcewise.files import read_json, write_json
from sourcewise.settings import Settings
from sourcewise.studies.pictures import Picture

__all__ = ["Cell", "Grid", "Progress", "Result"]

Progress = Callable[[int, int], None]  # called with (done, in all)


class Cell(Protocol):
    """What is computed in one piece."""

    @property
    def name(self) -> str:
        """Its file's name. Cells of the same name are the same, and computed once."""
        ...


class Result(Protocol):
    """What a study finds; as text (`str`) it is the study's table."""

    def to_json(self) -> dict[str, Any]:
        """As plain values, without the settings."""
        ...


C = TypeVar("C", bound=Cell)
F = TypeVar("F")
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Grid(ABC, Generic[C, F, R]):
    """A study with its settings: C are its cells, F what is found in one, R the study's result.

    Attributes:
        found: F, a type that pydantic can read from its plain values.
        short: settings with few units in each cell, for trials of the time.
        picture: how the result is drawn, if it is.
    """

    found: ClassVar[Any]
    short: ClassVar[Mapping[str, Any]]
    picture: ClassVar[Picture | None] = None

    settings: Settings

    @abstractmethod
    def cells(self) -> Sequence[C]:
        """What is computed; sweeps that cross may name a cell more than once."""

    def later(self, found: Mapping[str, F]) -> Sequence[C]:
        """Cells that are chosen by what was found in the others."""
        return ()

    @abstractmethod
    def compute(self, cell: C, progress: Progress | None, folder: Path | None) -> F:
        """One cell; it reports its progress through its units, twice at least.

        Args:
            cell: which one.
            progress: called with (done, in all) of this cell.
            folder: for unfinished work, removed afterwards; None: nothing is kept.
        """

    @abstractmethod
    def fold(self, found: Mapping[str, F]) -> R:
        """The result, from what was found in all cells, by their names."""

    def run(self, progress: Progress | None = None, folder: Path | None = None) -> R:
        """The result.

        Args:
            progress: called with (done, in all).
            folder: keeps the cells that are finished, so that an interrupted run is taken up.
        """
        found: dict[str, F] = {}
        if not self.cells():
            raise InputError("no cell to compute: nothing is varied")
        self._fill(found, self.cells(), progress, folder)
        self._fill(found, self.later(found), progress, folder)
        return self.fold(found)

    def _fill(
        self,
        found: dict[str, F],
        cells: Sequence[C],
        progress: Progress | None,
        folder: Path | None,
    ) -> None:
        """Compute the cells that are not among those found."""
        missing = {cell.name: cell for cell in cells if cell.name not in found}
        total = len(found) + len(missing)
        for name, cell in missing.items():
            found[name] = self._kept(cell, within(progress, len(found), total), folder)

    def _kept(self, cell: C, progress: Progress | None, folder: Path | None) -> F:
        """From the folder if it is there already."""
        if folder is None:
            return self.compute(cell, progress, None)
        path, unfinished = folder / f"{cell.name}.json", folder / cell.name
        kind = TypeAdapter(self.found)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, kind.dump_python(self.compute(cell, progress, unfinished)))
            shutil.rmtree(unfinished, ignore_errors=True)
        return kind.validate_python(read_json(path))

    # What an estimate of the time is made of, see `studies.timing`.

    def shortened(self) -> Self:
        """The same study with few units in each cell."""
        return replace(self, settings=self.settings.model_copy(update=dict(self.short)))

    @abstractmethod
    def units(self, cell: C) -> int:
        """Of what a cell's time grows with: updates, or repetitions."""

    @abstractmethod
    def work(self, cell: C) -> float:
        """What a unit takes, in any measure that puts cells in order."""

    def kind(self, cell: C) -> Hashable:
        """Cells of different kinds are not compared by their work."""
        return None


def within(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """Progress of one part as a part of all."""
    if progress is None:
        return None
    return lambda done, total: progress(1000 * number + 1000 * done // total, 1000 * parts)
